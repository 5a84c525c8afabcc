//! Which dead letters are meant.

use amends_proto::v1::{DeadLetter, DeadLetterFilter, DeadLetterState, ListDeadLettersRequest};
use clap::{Args, ValueEnum};

use crate::admin::args::Since;
use crate::admin::connect::Remote;
use crate::admin::error::CommandError;
use crate::admin::items::MAX_ITEMS_PER_CALL;
use crate::admin::page::{Rest, read_pages};

/// What became of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StateArg {
    /// Nobody has dealt with it
    Open,
    /// It was delivered again
    Resent,
    /// It was given up by hand
    Discarded,
}

/// All that match.
#[derive(Debug, Args)]
pub(super) struct Which {
    #[command(flatten)]
    filter: Filter,
    /// Only this state
    #[arg(long, value_enum, ignore_case = true, default_value = "open")]
    state: StateArg,
}

impl Which {
    /// Whether only those are meant that somebody has dealt with.
    pub(super) fn is_ended(&self) -> bool {
        !matches!(self.state, StateArg::Open)
    }

    pub(super) fn to_proto(&self) -> DeadLetterFilter {
        let state = match self.state {
            StateArg::Open => DeadLetterState::Open,
            StateArg::Resent => DeadLetterState::Resent,
            StateArg::Discarded => DeadLetterState::Discarded,
        };
        DeadLetterFilter {
            state: state.into(),
            ..self.filter.to_proto()
        }
    }
}

/// A filter of dead letters in any state.
#[derive(Debug, Args)]
struct Filter {
    /// Only this group
    #[arg(long)]
    group: Option<String>,
    /// Only this topic
    #[arg(long)]
    topic: Option<String>,
    /// Only this key
    #[arg(long)]
    key: Option<String>,
    /// Only those since: a time span such as 1h, or a time such as 2026-01-31T08:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
}

impl Filter {
    fn to_proto(&self) -> DeadLetterFilter {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        DeadLetterFilter {
            group: text(&self.group),
            topic: text(&self.topic),
            key: text(&self.key),
            created_after: self.since.map(Since::to_proto),
            ..Default::default()
        }
    }
}

/// Open dead letters named one by one, or all that match.
#[derive(Debug, Args)]
pub(super) struct Selection {
    /// Their ids
    #[arg(value_name = "ID", required_unless_present_any = ["group", "topic", "key", "since"],
        conflicts_with_all = ["group", "topic", "key", "since"])]
    pub(super) ids: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// How many at most, of all that match
    #[arg(long, default_value_t = 1000, value_name = "N", conflicts_with = "ids",
        value_parser = clap::value_parser!(u32).range(1..=MAX_ITEMS_PER_CALL as i64))]
    pub(super) limit: u32,
    /// Really act on all that match
    #[arg(long)]
    yes: bool,
}

impl Selection {
    /// The filter to act on, which needs `--yes`. `None`: ids are named.
    pub(super) async fn filter(
        &self,
        remote: &Remote,
    ) -> Result<Option<DeadLetterFilter>, CommandError> {
        if !self.ids.is_empty() {
            return Ok(None);
        }
        let filter = self.filter.to_proto();
        if self.yes {
            return Ok(Some(filter));
        }
        let request = ListDeadLettersRequest {
            filter: Some(filter),
            ..Default::default()
        };
        let mut count = 0;
        letters(remote, request, Some(self.limit), |page| {
            count += page.len();
            Ok(())
        })
        .await?;
        Err(CommandError::Usage(format!(
            "{count} dead letters are selected; add --yes to act on all of them"
        )))
    }
}

/// Reads all pages that a request selects.
pub(super) async fn letters(
    remote: &Remote,
    request: ListDeadLettersRequest,
    limit: Option<u32>,
    take: impl FnMut(Vec<DeadLetter>) -> Result<(), CommandError>,
) -> Result<Rest, CommandError> {
    let mut client = remote.dead_letters();
    let fetch = async |page_size, page_token| {
        let request = ListDeadLettersRequest {
            page_size,
            page_token,
            ..request.clone()
        };
        let page = client.list_dead_letters(request).await?.into_inner();
        Ok((page.dead_letters, page.next_page_token))
    };
    read_pages(limit, fetch, take).await
}
