//! The command line of `shop`.

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand};

use crate::role::{
    BuyArgs, FrontArgs, ProbeArgs, ProviderArgs, RabbitMqArgs, ReconcileArgs, ResendArgs,
    SamplesArgs, ServiceArgs,
};
use crate::runner::RunArgs;

/// What `shop` was asked to do.
#[derive(Debug, Parser)]
#[command(
    name = "shop",
    version,
    about = "Places orders through a saga over its services, breaks things on the way, and checks the books",
    after_help = "Exit code: 0 when everything came out right, 1 when not, 2 for wrong arguments.\n\n\
        Examples:\n  shop\n  shop --serve\n  shop --scenario coordinator-dies --keep /tmp/shop\n  \
        shop --store postgres://localhost/amends --shop-database postgres://localhost/shop_{service}\n  \
        shop --broker rabbitmq --scenario undo-dies",
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// One part of the shop; `None`: all of it.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What to play.
    #[command(flatten)]
    pub run: RunArgs,
}

/// One part of the shop.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run one service of the shop
    Service(ServiceArgs),
    /// Run the shop's front
    Front(FrontArgs),
    /// Buy something with a live saga, as a customer's own process
    Buy(BuyArgs),
    /// Create the tables of all services and add the sample data, where they are missing
    Samples(SamplesArgs),
    /// Send again what a service's outbox holds as failed
    Resend(ResendArgs),
    /// Compare what provider, payments, orders, points and payment log say
    Reconcile(ReconcileArgs),
    /// Run a payment provider to try with
    Provider(ProviderArgs),
    /// Ask a service, or the front, how it is; success means well
    Probe(ProbeArgs),
    /// Run the coordinator: `amends serve`, ended by the end of standard input
    #[command(hide = true)]
    Coordinator(CoordinatorArgs),
    /// Run a private RabbitMQ server, ended by the end of standard input
    #[command(hide = true, name = "rabbitmq")]
    RabbitMq(RabbitMqArgs),
}

/// Arguments of `shop coordinator`.
#[derive(Debug, Args)]
pub struct CoordinatorArgs {
    /// What follows `amends serve`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub args: Vec<OsString>,
}
