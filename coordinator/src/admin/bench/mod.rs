//! `amends bench`: measures a coordinator, and beside it the same calls made
//! without one.
//!
//! What is measured runs in processes of their own on the loopback interface:
//! the coordinator, the participants it calls, and this process, which makes
//! the load. All of them end with this one, however it ends.
//! It does not: use a coordinator that runs already, or its store.

mod compared;
mod connections;
mod direct;
mod driver;
mod filled;
mod grow;
mod half;
mod hanging;
mod latency;
mod live;
mod msg;
mod participant;
mod place;
mod process;
mod registration;
mod relay;
mod report;
mod restart;
mod run;
mod saga;
mod serving;
mod setup;
mod store;
mod svg;
mod tcc;
mod usage;
mod waiting;
mod workload;

use clap::{Args, Subcommand};
use tokio::runtime::{Handle, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use super::error::CommandError;
use super::exit::Exit;
use crate::cores::Cores;
use filled::FillArgs;
use grow::GrowArgs;
use half::HalfArgs;
use live::LiveArgs;
use msg::MessagesArgs;
use participant::ParticipantArgs;
use relay::RelayArgs;
use run::SagaArgs;
use tcc::TccArgs;

/// Arguments of `amends bench`.
#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Run sagas, and the same calls without a coordinator; print both and their ratio
    Saga(SagaArgs),
    /// Run TCCs, and the same calls without a coordinator; print both and their ratio
    Tcc(TccArgs),
    /// Run live sagas, and the same calls without a coordinator; print both and their ratio
    Live(LiveArgs),
    /// Publish and consume messages, and publish with the client library alone; print both and their ratio
    Msg(MessagesArgs),
    /// Prepare and commit half messages, and publish plain ones; print both and their ratio
    Half(HalfArgs),
    /// Run sagas of growing concurrency and length; print a table and draw a plot
    Grow(GrowArgs),
    /// Copies finished sagas in the store of the environment
    #[command(hide = true)]
    Fill(FillArgs),
    /// Makes the calls of sagas and nothing else; ends when its standard input does
    #[command(hide = true)]
    Relay(RelayArgs),
    /// The participant that a bench calls; ends when its standard input does
    #[command(hide = true)]
    Participant(ParticipantArgs),
}

pub(super) fn run(args: &BenchArgs) -> Result<Exit, CommandError> {
    let runtime = runtime()?;
    let cores = Cores::start().map_err(|error| no_runtime(&error))?;
    let exit = runtime.block_on(async {
        let stop = stop_signal()?;
        // Whichever ends first: dropping the other ends its processes.
        tokio::select! {
            exit = dispatch(&args.command, cores.handles()) => exit,
            () = stop => Err(CommandError::Failed("interrupted".to_owned())),
        }
    });
    // Reading standard input cannot be interrupted; do not wait for it.
    runtime.shutdown_background();
    exit
}

async fn dispatch(command: &BenchCommand, cores: &[Handle]) -> Result<Exit, CommandError> {
    match command {
        BenchCommand::Saga(args) => run::run(args, cores).await,
        BenchCommand::Tcc(args) => tcc::run(args, cores).await,
        BenchCommand::Live(args) => live::run(args, cores).await,
        BenchCommand::Msg(args) => msg::run(args, cores).await,
        BenchCommand::Half(args) => half::run(args, cores).await,
        BenchCommand::Grow(args) => grow::run(args, cores).await,
        BenchCommand::Fill(args) => filled::run(args).await,
        BenchCommand::Relay(args) => relay::run(args, cores).await,
        BenchCommand::Participant(args) => participant::run(args, cores).await,
    }
}

/// With [`Cores`] the coordinator's layout, so that direct calls have what its
/// calls have.
fn runtime() -> Result<Runtime, CommandError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| no_runtime(&error))
}

fn no_runtime(error: &std::io::Error) -> CommandError {
    CommandError::Failed(format!("cannot start the runtime: {error}"))
}

/// Done at SIGINT or SIGTERM.
fn stop_signal() -> Result<impl Future<Output = ()>, CommandError> {
    let failed = |error| CommandError::Failed(format!("cannot wait for signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
