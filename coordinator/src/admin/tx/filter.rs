//! Which transactions are meant.

use amends_proto::v1::{TransactionKind, TransactionState};
use clap::{Args, ValueEnum};

/// The kinds of transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum KindArg {
    /// Run from a definition
    Saga,
    /// Branches that are tried, then all confirmed or all cancelled
    Tcc,
    /// Steps decided by code in the caller while it runs
    Live,
}

impl KindArg {
    /// As the API numbers it.
    pub(super) fn to_proto(self) -> i32 {
        i32::from(match self {
            Self::Saga => TransactionKind::Saga,
            Self::Tcc => TransactionKind::Tcc,
            Self::Live => TransactionKind::Live,
        })
    }
}

/// The public states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum StateArg {
    /// TCC under a parent: everything is held, and the parent decides
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
    #[arg(value_name = "GID", required_unless_present_any = ["state", "kind", "definition"], conflicts_with_all = ["state", "kind", "definition"])]
    pub(super) gids: Vec<String>,
    /// All in this state; several with commas
    #[arg(long, value_enum, ignore_case = true, value_delimiter = ',')]
    pub(super) state: Vec<StateArg>,
    /// All of this kind; several with commas
    #[arg(long, value_enum, ignore_case = true, value_delimiter = ',')]
    pub(super) kind: Vec<KindArg>,
    /// All with this definition, or this name of a TCC
    #[arg(long, value_name = "NAME")]
    pub(super) definition: Option<String>,
    /// Really act on all that --state, --kind and --definition select
    #[arg(long)]
    pub(super) yes: bool,
}
