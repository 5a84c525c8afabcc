//! `amends msg`.

mod half;
mod list;
mod one;
mod publish;

use amends_proto::v1::{CancelMessagesRequest, HalfVerdict, RetryMessagesRequest};
use clap::{Args, Subcommand};

use super::connect::ConnectArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::items::on_each;
use half::{DecideArgs, HalvesArgs};
use list::ListArgs;
use publish::PublishArgs;

pub(super) use one::about;

/// Arguments of `amends msg`.
#[derive(Debug, Args)]
pub(super) struct MsgArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(subcommand)]
    command: MsgCommand,
}

#[derive(Debug, Subcommand)]
enum MsgCommand {
    /// Publish one message, or many from a file
    Publish(PublishArgs),
    /// Show one message: state, body, what became of it in each group
    Get {
        /// Its id
        id: String,
    },
    /// List messages, newest first
    List(ListArgs),
    /// Take back messages that were not published yet, for example delayed ones
    #[command(after_help = "Example: amends msg cancel m-1 m-2 --reason 'order was withdrawn'")]
    Cancel {
        /// Their ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        /// Why; kept
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// List half ids: local transactions with the messages that wait for them, newest first
    Halves(HalvesArgs),
    /// Show one half id: its messages, its verdict, what its checks brought
    Half {
        /// The half id
        id: String,
    },
    /// Have producers asked now what became of their local transactions
    #[command(after_help = "Example: amends msg check order-7")]
    Check {
        /// Half ids
        #[arg(required = true, value_name = "HALF_ID")]
        ids: Vec<String>,
    },
    /// Decide by hand: the local transactions committed, deliver their messages
    #[command(after_help = "Example: amends msg commit order-7 --reason 'paid, says the bank'")]
    Commit(DecideArgs),
    /// Decide by hand: the local transactions will never commit, deliver nothing
    #[command(after_help = "Example: amends msg rollback order-7 --reason 'never paid'")]
    Rollback(DecideArgs),
    /// List producer groups: live instances, and what waits for them
    Producers,
    /// Make messages that wait for another attempt to publish try at once
    #[command(after_help = "Example: amends msg retry m-1")]
    Retry {
        /// Their ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
}

pub(super) fn run(args: MsgArgs) -> Result<Exit, CommandError> {
    let connect = &args.connect;
    let format = connect.output;
    match args.command {
        MsgCommand::Publish(args) => {
            let messages = args.messages()?;
            connect.with(async |remote| publish::run(&remote, format, messages).await)
        }
        MsgCommand::Get { id } => connect.with(async |remote| one::get(&remote, format, id).await),
        MsgCommand::List(args) => {
            connect.with(async |remote| list::run(&remote, format, &args).await)
        }
        MsgCommand::Cancel { ids, reason } => connect.with(async |remote| {
            let mut client = remote.messages();
            let cancel = async |ids| {
                let reason = reason.clone();
                let request = CancelMessagesRequest { ids, reason };
                Ok(client.cancel_messages(request).await?.into_inner().results)
            };
            on_each(format, &ids, cancel).await
        }),
        MsgCommand::Halves(args) => {
            connect.with(async |remote| half::list(&remote, format, &args).await)
        }
        MsgCommand::Half { id } => {
            connect.with(async |remote| half::get(&remote, format, id).await)
        }
        MsgCommand::Check { ids } => {
            connect.with(async |remote| half::check(&remote, format, &ids).await)
        }
        MsgCommand::Commit(args) => connect
            .with(async |remote| half::settle(&remote, format, &args, HalfVerdict::Commit).await),
        MsgCommand::Rollback(args) => connect
            .with(async |remote| half::settle(&remote, format, &args, HalfVerdict::Rollback).await),
        MsgCommand::Producers => {
            connect.with(async |remote| half::producers(&remote, format).await)
        }
        MsgCommand::Retry { ids } => connect.with(async |remote| {
            let mut client = remote.messages();
            let retry = async |ids| {
                let request = RetryMessagesRequest { ids };
                Ok(client.retry_messages(request).await?.into_inner().results)
            };
            on_each(format, &ids, retry).await
        }),
    }
}
