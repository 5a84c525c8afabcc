//! The top of the command tree.

use clap::{Parser, Subcommand};

use super::bench::BenchArgs;
use super::completion::CompletionArgs;
use super::config::ConfigCommandArgs;
use super::consumer::ConsumerArgs;
use super::dead::DeadArgs;
use super::definition::DefinitionArgs;
use super::exit::EXIT_CODES_HELP;
use super::migrate::MigrateArgs;
use super::msg::MsgArgs;
use super::participant::ParticipantArgs;
use super::serve::ServeArgs;
use super::status::StatusArgs;
use super::tx::TxArgs;

/// A coordinator for distributed transactions: server and command line in one.
#[derive(Debug, Parser)]
#[command(name = "amends", version, arg_required_else_help = true)]
#[command(after_help = EXIT_CODES_HELP)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a coordinator
    Serve(ServeArgs),
    /// Look at transactions, start them and act on them
    #[command(visible_alias = "transaction")]
    Tx(TxArgs),
    /// Publish messages, look at them, take them back
    #[command(visible_alias = "message")]
    Msg(MsgArgs),
    /// Messages that no group could handle
    Dead(DeadArgs),
    /// Consumer groups: what they want, and what they have handled
    Consumer(ConsumerArgs),
    /// Definitions of sagas
    Definition(DefinitionArgs),
    /// The services that execute steps
    Participant(ParticipantArgs),
    /// Say what the coordinator is and how it is doing
    Status(StatusArgs),
    /// Bring the schema of the store up to date
    Migrate(MigrateArgs),
    /// Measure a coordinator against the same calls made without one
    Bench(BenchArgs),
    /// Show and check the configuration
    Config(ConfigCommandArgs),
    /// Print a completion script for a shell
    Completion(CompletionArgs),
}
