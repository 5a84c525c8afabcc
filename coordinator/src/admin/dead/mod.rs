//! `amends dead`.

mod act;
mod export;
mod select;

use std::path::PathBuf;

use amends_proto::v1::{DeadLetter, GetDeadLetterRequest, ListDeadLettersRequest};
use clap::{Args, Subcommand};

use super::args::Extent;
use super::connect::{ConnectArgs, Remote};
use super::error::{CommandError, note};
use super::exit::Exit;
use super::message::{DeadLetterView, MessageFile};
use super::msg::about;
use super::output::{Format, Listing, pairs, print_json, print_one};
use super::page::Rest;
use super::show;
use act::{DiscardArgs, ResendArgs};
use select::{Which, letters};

/// Arguments of `amends dead`.
#[derive(Debug, Args)]
pub(super) struct DeadArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(subcommand)]
    command: DeadCommand,
}

#[derive(Debug, Subcommand)]
enum DeadCommand {
    /// List dead letters, newest first
    #[command(after_help = "Examples:\n  amends dead list --group mailer\n  \
        amends dead list --state discarded --since 7d     who gave them up, when and why\n  \
        amends dead list --state resent --since 7d --all -o jsonl")]
    List {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        extent: Extent,
    },
    /// Show one dead letter with its body
    #[command(after_help = "Examples:\n  amends dead show 0196…\n  \
        amends dead show 0196… --editable > letter.json; amends dead resend 0196… --edit letter.json")]
    Show {
        /// Its id
        id: String,
        /// Print the message alone, as `dead resend --edit` reads it
        #[arg(long)]
        editable: bool,
    },
    /// Deliver dead letters to their group again
    Resend(ResendArgs),
    /// End dead letters without delivering them
    Discard(DiscardArgs),
    /// Write dead letters as JSON lines, bodies as base64
    #[command(after_help = "Example: amends dead export --group mailer --file mailer.jsonl")]
    Export {
        #[command(flatten)]
        which: Which,
        /// Write to this file instead of standard output
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

pub(super) fn run(args: DeadArgs) -> Result<Exit, CommandError> {
    let connect = &args.connect;
    let format = connect.output;
    match args.command {
        DeadCommand::List { which, extent } => {
            connect.with(async |remote| list(&remote, format, &which, &extent).await)
        }
        DeadCommand::Show { id, editable } => {
            connect.with(async |remote| show(&remote, format, id, editable).await)
        }
        DeadCommand::Resend(args) => {
            let edited = args.edited()?;
            connect.with(async |remote| act::resend(&remote, format, &args, edited).await)
        }
        DeadCommand::Discard(args) => {
            connect.with(async |remote| act::discard(&remote, format, &args).await)
        }
        DeadCommand::Export { which, file } => {
            connect.with(async |remote| export::run(&remote, &which, file.as_deref()).await)
        }
    }
}

async fn list(
    remote: &Remote,
    format: Format,
    which: &Which,
    extent: &Extent,
) -> Result<Exit, CommandError> {
    let mut listing = if which.is_ended() {
        let (headers, cells) = (DeadLetterView::ENDED_HEADERS, DeadLetterView::ended_cells);
        Listing::new(format, headers, cells as fn(&DeadLetterView) -> Vec<String>)
    } else {
        Listing::new(format, DeadLetterView::HEADERS, DeadLetterView::cells as _)
    };
    let request = ListDeadLettersRequest {
        filter: Some(which.to_proto()),
        ..Default::default()
    };
    let take = |page: Vec<DeadLetter>| listing.push(page.iter().map(Into::into).collect());
    let rest = letters(remote, request, extent.limit(), take).await?;
    listing.finish()?;
    if rest == Rest::More {
        let limit = extent.limit;
        note(&format!(
            "there are more than {limit}; see --limit and --all"
        ));
    }
    Ok(Exit::Done)
}

async fn show(
    remote: &Remote,
    format: Format,
    id: String,
    editable: bool,
) -> Result<Exit, CommandError> {
    let letter = get(remote, id).await?;
    if editable {
        let message = letter.message.unwrap_or_default();
        print_json(&MessageFile::editable(&message))?;
        return Ok(Exit::Done);
    }
    print_one(format, &DeadLetterView::from(&letter), |_| text(&letter))?;
    Ok(Exit::Done)
}

async fn get(remote: &Remote, id: String) -> Result<DeadLetter, CommandError> {
    let request = GetDeadLetterRequest { id };
    let answer = remote.dead_letters().get_dead_letter(request).await?;
    Ok(answer.into_inner().dead_letter.unwrap_or_default())
}

fn text(letter: &DeadLetter) -> String {
    let message = letter.message.clone().unwrap_or_default();
    let state = show::short(letter.state().as_str_name(), "DEAD_LETTER_STATE_");
    let mut lines = vec![
        ("dead letter", letter.id.clone()),
        ("group", letter.group.clone()),
        ("state", state.to_owned()),
        ("attempts", letter.attempts.to_string()),
        ("first error", letter.first_error.clone()),
        ("last error", letter.last_error.clone()),
        ("since", show::time(letter.create_time.as_ref())),
        ("resolved", show::time(letter.resolve_time.as_ref())),
        ("by", letter.actor.clone()),
        ("reason", letter.reason.clone()),
        ("resent as", letter.resent_as.clone()),
    ];
    let about = about(&message).into_iter();
    lines.extend(about.map(|(name, value)| match name {
        "id" => ("message", value),
        name => (name, value),
    }));
    pairs(lines)
}
