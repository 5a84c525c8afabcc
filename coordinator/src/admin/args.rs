//! Arguments that several commands have.

use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use prost_types::Timestamp;

use crate::clock::{Clock as _, SystemClock};
use crate::config::value::parse_duration;

/// Who acts.
#[derive(Debug, Args)]
pub(super) struct Operator {
    /// Who says so; kept
    #[arg(
        long,
        env = "USER",
        default_value = "unknown",
        hide_env_values = true,
        value_name = "NAME"
    )]
    pub(super) operator: String,
}

/// How much of a list to show.
#[derive(Debug, Args)]
pub(super) struct Extent {
    /// How many at most
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(super) limit: u32,
    /// All of them
    #[arg(long, conflicts_with = "limit")]
    pub(super) all: bool,
}

impl Extent {
    /// The limit, if there is one.
    pub(super) fn limit(&self) -> Option<u32> {
        (!self.all).then_some(self.limit)
    }
}

/// A time span back from now, or a point in time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Since {
    /// This long ago.
    Ago(Duration),
    /// Then.
    At(Timestamp),
}

impl Since {
    /// The point in time; nothing is older than the epoch.
    pub(super) fn to_proto(self) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(span) => {
                let now = Duration::from_millis(u64::try_from(SystemClock.now().0).unwrap_or(0));
                Timestamp::from(UNIX_EPOCH + now.saturating_sub(span))
            }
        }
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(ago) = parse_duration(text) {
            return Ok(Self::Ago(ago));
        }
        text.parse().map(Self::At).map_err(|_| {
            "expected a time span such as 30m, 1h or 7d, or a time such as 2026-01-31T08:00:00Z"
                .to_owned()
        })
    }
}

/// For clap: a time with its unit.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .ok_or_else(|| "expected a time with its unit, such as 200ms, 5s or 1h".to_owned())
}
