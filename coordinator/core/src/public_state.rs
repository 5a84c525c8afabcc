//! Kinds of transactions, and the states that the world sees of all of them.

/// What kind of transaction an id stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A saga run from a definition.
    Saga,
    /// Branches that are tried, then all confirmed or all cancelled.
    Tcc,
    /// A saga whose steps are decided by code in the caller while it runs.
    Live,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Saga, Self::Tcc, Self::Live];

    /// Its name in the API and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Saga => "SAGA",
            Self::Tcc => "TCC",
            Self::Live => "LIVE",
        }
    }
}

/// A public state; see the vocabulary of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PublicState {
    /// Everything is held; somebody else decides.
    Prepared,
    /// Going forward.
    Running,
    /// TCC: what is held is being taken.
    Confirming,
    /// Going back.
    Compensating,
    /// Final: everything happened.
    Succeeded,
    /// Final: everything was made good.
    Compensated,
    /// Needs a person.
    Stuck,
    /// Final: ended by hand.
    Forced,
}

impl PublicState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Prepared,
        Self::Running,
        Self::Confirming,
        Self::Compensating,
        Self::Succeeded,
        Self::Compensated,
        Self::Stuck,
        Self::Forced,
    ];

    /// Its name in the API and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "PREPARED",
            Self::Running => "RUNNING",
            Self::Confirming => "CONFIRMING",
            Self::Compensating => "COMPENSATING",
            Self::Succeeded => "SUCCEEDED",
            Self::Compensated => "COMPENSATED",
            Self::Stuck => "STUCK",
            Self::Forced => "FORCED",
        }
    }

    /// Whether nothing will ever happen again.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Compensated | Self::Forced)
    }
}
