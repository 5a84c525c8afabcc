//! `amends tx`.

mod act;
mod filter;
mod list;
mod outcome;
mod start;
mod trace;
mod transaction;
mod wait;
mod watch;

use std::time::Duration;

use clap::{Args, Subcommand};

use super::args::duration;
use super::connect::ConnectArgs;
use super::error::CommandError;
use super::exit::{EXIT_CODES_HELP, Exit};
use act::{CancelArgs, ForceArgs, MarkUndoneArgs, RetryArgs};
use list::ListArgs;
use start::StartArgs;

/// Arguments of `amends tx`.
#[derive(Debug, Args)]
pub(super) struct TxArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(subcommand)]
    command: TxCommand,
}

#[derive(Debug, Subcommand)]
enum TxCommand {
    /// List transactions, newest first
    List(ListArgs),
    /// Start a saga
    Start(StartArgs),
    /// Show one transaction: state, steps or branches, cause, what can be done
    Get {
        /// Its id
        gid: String,
    },
    /// Wait until a transaction has ended; the exit code says how
    #[command(after_help = EXIT_CODES_HELP)]
    Wait {
        /// Its id
        gid: String,
        /// How long to wait
        #[arg(long, value_parser = duration, default_value = "60s", value_name = "TIME")]
        timeout: Duration,
    },
    /// Print a line for each change of a transaction until it has ended
    Watch {
        /// Its id
        gid: String,
    },
    /// Print what was durably recorded about a transaction, with relative times
    Trace {
        /// Its id
        gid: String,
    },
    /// Make transactions turn back and undo what they did; of a TCC: cancel all branches
    Cancel(CancelArgs),
    /// Make what waits for a retry try again now
    Retry(RetryArgs),
    /// End transactions by hand, as they are
    Force(ForceArgs),
    /// Declare one step undone by hand; of a TCC: one branch confirmed or cancelled
    #[command(visible_alias = "mark-done")]
    MarkUndone(MarkUndoneArgs),
}

pub(super) fn run(args: TxArgs) -> Result<Exit, CommandError> {
    let connect = &args.connect;
    let format = connect.output;
    match args.command {
        TxCommand::List(args) => {
            connect.with(async |remote| list::run(&remote, format, &args).await)
        }
        TxCommand::Start(args) => {
            let request = args.request()?;
            connect.with(async |remote| start::run(&remote, format, &args, request).await)
        }
        TxCommand::Get { gid } => {
            connect.with(async |remote| transaction::get(&remote, format, gid).await)
        }
        TxCommand::Wait { gid, timeout } => {
            connect.with(async |remote| wait::run(&remote, format, &gid, timeout).await)
        }
        TxCommand::Watch { gid } => {
            connect.with(async |remote| watch::run(&remote, format, gid).await)
        }
        TxCommand::Trace { gid } => {
            connect.with(async |remote| trace::run(&remote, format, &gid).await)
        }
        TxCommand::Cancel(args) => {
            connect.with(async |remote| act::cancel(&remote, format, &args).await)
        }
        TxCommand::Retry(args) => {
            connect.with(async |remote| act::retry(&remote, format, &args).await)
        }
        TxCommand::Force(args) => {
            connect.with(async |remote| act::force(&remote, format, &args).await)
        }
        TxCommand::MarkUndone(args) => {
            connect.with(async |remote| act::mark_undone(&remote, format, args).await)
        }
    }
}
