//! `amends msg list`.

use amends_proto::v1::{ListMessagesRequest, MessageState};
use clap::{Args, ValueEnum};

use crate::admin::args::{Extent, Since};
use crate::admin::connect::Remote;
use crate::admin::error::{CommandError, note};
use crate::admin::exit::Exit;
use crate::admin::message::MessageStatusView;
use crate::admin::output::{Format, Listing};
use crate::admin::page::{Rest, read_pages};

/// Arguments of `amends msg list`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    amends msg list --state committed              what the broker does not have yet, and why\n  \
    amends msg list --topic orders --since 1h --all -o jsonl\n  \
    amends msg list --delayed                      what waits for its time")]
pub(super) struct ListArgs {
    /// Only this state; several with commas
    #[arg(long, value_enum, ignore_case = true, value_delimiter = ',')]
    state: Vec<StateArg>,
    /// Only this topic
    #[arg(long)]
    topic: Option<String>,
    /// Only this tag
    #[arg(long)]
    tag: Option<String>,
    /// Only this key
    #[arg(long)]
    key: Option<String>,
    /// Only those created since: a time span such as 1h, or a time such as 2026-01-31T08:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// Only those that wait for their time
    #[arg(long)]
    delayed: bool,
    #[command(flatten)]
    extent: Extent,
}

/// The states of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StateArg {
    /// Invisible until its local transaction is known to have committed
    Prepared,
    /// Will be published: now, at its time, or at the next attempt
    Committed,
    /// The broker has it
    Published,
    /// Taken back
    #[value(alias = "rolled_back")]
    RolledBack,
    /// Needs a person
    Stuck,
}

impl StateArg {
    fn to_proto(self) -> i32 {
        i32::from(match self {
            Self::Prepared => MessageState::Prepared,
            Self::Committed => MessageState::Committed,
            Self::Published => MessageState::Published,
            Self::RolledBack => MessageState::RolledBack,
            Self::Stuck => MessageState::Stuck,
        })
    }
}

pub(super) async fn run(
    remote: &Remote,
    format: Format,
    args: &ListArgs,
) -> Result<Exit, CommandError> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let request = ListMessagesRequest {
        states: args.state.iter().map(|state| state.to_proto()).collect(),
        topic: text(&args.topic),
        tag: text(&args.tag),
        key: text(&args.key),
        created_after: args.since.map(Since::to_proto),
        delayed: args.delayed,
        ..Default::default()
    };
    let mut listing = Listing::new(format, MessageStatusView::HEADERS, MessageStatusView::cells);
    let mut client = remote.messages();
    let fetch = async |page_size, page_token| {
        let request = ListMessagesRequest {
            page_size,
            page_token,
            ..request.clone()
        };
        let page = client.list_messages(request).await?.into_inner();
        let messages = page.messages.iter().map(Into::into).collect();
        Ok((messages, page.next_page_token))
    };
    let rest = read_pages(args.extent.limit(), fetch, |page| listing.push(page)).await?;
    listing.finish()?;
    if rest == Rest::More {
        let limit = args.extent.limit;
        note(&format!(
            "there are more than {limit}; see --limit and --all"
        ));
    }
    Ok(Exit::Done)
}
