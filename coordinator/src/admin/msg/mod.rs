//! `amends msg`.

mod list;
mod one;
mod publish;

use amends_proto::v1::{CancelMessagesRequest, RetryMessagesRequest};
use clap::{Args, Subcommand};

use super::connect::ConnectArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::items::on_each;
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
