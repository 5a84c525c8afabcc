//! Which transactions are meant.

use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use amends_proto::v1::TransactionState;
use clap::{Args, ValueEnum};
use prost_types::Timestamp;

use crate::clock::{Clock as _, SystemClock};
use crate::config::value::parse_duration;

/// The public states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum StateArg {
    /// Recorded, not yet begun
    Prepared,
    /// Going forward
    Running,
    /// Every try succeeded, confirms are under way
    Confirming,
    /// Being undone
    Compensating,
    /// Everything happened
    Succeeded,
    /// Everything was made good
    Compensated,
    /// Needs a person
    Stuck,
    /// Ended by hand
    Forced,
}

impl StateArg {
    /// As the API numbers it.
    pub(super) fn to_proto(self) -> i32 {
        i32::from(match self {
            Self::Prepared => TransactionState::Prepared,
            Self::Running => TransactionState::Running,
            Self::Confirming => TransactionState::Confirming,
            Self::Compensating => TransactionState::Compensating,
            Self::Succeeded => TransactionState::Succeeded,
            Self::Compensated => TransactionState::Compensated,
            Self::Stuck => TransactionState::Stuck,
            Self::Forced => TransactionState::Forced,
        })
    }
}

/// Transactions named one by one, or all that match.
#[derive(Debug, Args)]
pub(super) struct Selection {
    /// Their ids
    #[arg(value_name = "GID", required_unless_present_any = ["state", "definition"], conflicts_with_all = ["state", "definition"])]
    pub(super) gids: Vec<String>,
    /// All in this state; several with commas
    #[arg(long, value_enum, ignore_case = true, value_delimiter = ',')]
    pub(super) state: Vec<StateArg>,
    /// All with this definition
    #[arg(long, value_name = "NAME")]
    pub(super) definition: Option<String>,
    /// Really act on all that --state and --definition select
    #[arg(long)]
    pub(super) yes: bool,
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
