//! Half messages: what may happen to the messages of one local transaction.
//!
//! They are prepared together and decided together. The first verdict stands:
//! its repetition is known, its opposite is refused. Until there is one, the
//! producer group is asked; a check counts when an instance was really asked,
//! and after the last one that brought no verdict a person has to decide.
//!
//! ```text
//!              verdict, by the producer, a check or a person
//!   PREPARED ────────────────────────────────────────▶ COMMITTED or ROLLED_BACK
//!    │    ▲                                                     ▲
//!    │    └── asked again by a person ──┐                       │
//!    └──── last check, no verdict ──▶ STUCK ────────────────────┘
//! ```
//!
//! [`Half::take`] says what follows from a command: a [`Record`] to be made
//! durable, and then applied, or why nothing does. Whoever keeps halves compares
//! what a record rests on with what is stored when it is written, so that of two
//! writers one wins; the other one asks again with what is there then.
//! Not here: the messages, whom to ask, how records are kept.

mod check;

use serde::{Deserialize, Serialize};

use crate::id::text_id;
use crate::time::{Millis, Timestamp};

pub use check::{Check, CheckLog, MAX_CHECK_LOG, MAX_CHECK_TEXT_BYTES};

text_id!(
    /// Names a local transaction and the messages that belong to it.
    HalfId, 128, "printable ASCII characters without blanks", |c| c.is_ascii_graphic()
);

/// What a local transaction came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It committed: its messages are delivered.
    Commit,
    /// It did not and never will: they are delivered to nobody.
    Rollback,
}

/// Who decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DecidedBy {
    /// The producer, by itself.
    Producer,
    /// The producer, when it was asked.
    CheckBack,
    /// A person.
    Operator,
    /// Nobody: the checks were used up, and then messages are discarded.
    Discarded,
}

/// The states of a half, and no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HalfState {
    /// Waits for its verdict.
    Prepared,
    /// To be delivered.
    Committed,
    /// Delivered to nobody, ever.
    RolledBack,
    /// Needs a person.
    Stuck,
}

/// What is done when the checks are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AfterLastCheck {
    /// It stays, visible, until a person decides.
    Keep,
    /// It is rolled back.
    Discard,
}

/// How often to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckPolicy {
    /// From one check to the next.
    pub interval: Millis,
    /// Checks that count; at least one.
    pub max_checks: u32,
    /// What then.
    pub after_last: AfterLastCheck,
}

/// Where a half stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Standing {
    /// PREPARED.
    Prepared {
        /// When to ask next.
        check_at: Timestamp,
    },
    /// COMMITTED or ROLLED_BACK.
    Decided {
        /// Which.
        verdict: Verdict,
        /// By whom.
        by: DecidedBy,
    },
    /// STUCK.
    Stuck,
}

/// What is known of a half.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Half {
    /// Where it stands.
    pub standing: Standing,
    /// Checks that count.
    pub checks: u32,
    /// The latest checks.
    pub log: CheckLog,
}

/// What happens to a half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Somebody has decided.
    Decide(Verdict, DecidedBy),
    /// A check has ended.
    Checked(Check),
    /// The producer shall be asked now.
    AskNow,
}

/// What has happened; to be made durable before anything rests on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// The verdict. Its messages become visible, or are dropped, in the same write.
    Decided {
        /// Which.
        verdict: Verdict,
        /// By whom.
        by: DecidedBy,
        /// The check that it came with.
        check: Option<Check>,
    },
    /// A check without a verdict.
    Checked {
        /// The check.
        check: Check,
        /// When to ask next; none: STUCK.
        next: Option<Timestamp>,
    },
    /// The producer is asked next at this time.
    AskAt(Timestamp),
}

/// Why there is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nothing {
    /// This verdict was given before.
    Known,
    /// The other verdict stands.
    Opposite(Verdict),
    /// A check of something that needs none any more.
    Late,
}

impl Half {
    /// One that is prepared.
    #[must_use]
    pub fn prepared(check_at: Timestamp) -> Self {
        Self {
            standing: Standing::Prepared { check_at },
            checks: 0,
            log: CheckLog::default(),
        }
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> HalfState {
        match self.standing {
            Standing::Prepared { .. } => HalfState::Prepared,
            Standing::Stuck => HalfState::Stuck,
            Standing::Decided { verdict, .. } => verdict.state(),
        }
    }

    /// What follows from a command.
    ///
    /// # Errors
    /// Why nothing does.
    pub fn take(
        &self,
        command: Command,
        now: Timestamp,
        policy: &CheckPolicy,
    ) -> Result<Record, Nothing> {
        match (&self.standing, command) {
            (Standing::Decided { verdict, .. }, Command::Decide(wanted, _))
                if *verdict == wanted =>
            {
                Err(Nothing::Known)
            }
            (Standing::Decided { verdict, .. }, Command::Decide(..) | Command::AskNow) => {
                Err(Nothing::Opposite(*verdict))
            }
            (Standing::Decided { .. }, Command::Checked(_)) => Err(Nothing::Late),
            (_, Command::Decide(verdict, by)) => Ok(Record::Decided {
                verdict,
                by,
                check: None,
            }),
            (_, Command::AskNow) => Ok(Record::AskAt(now)),
            (standing, Command::Checked(check)) => match (check.verdict, standing) {
                // As good when nobody hoped for it any more.
                (Some(verdict), _) => Ok(Record::Decided {
                    verdict,
                    by: DecidedBy::CheckBack,
                    check: Some(check),
                }),
                (None, Standing::Prepared { .. }) => Ok(self.unanswered(check, now, policy)),
                (None, _) => Err(Nothing::Late),
            },
        }
    }

    fn unanswered(&self, check: Check, now: Timestamp, policy: &CheckPolicy) -> Record {
        let is_last = check.counted && self.checks.saturating_add(1) >= policy.max_checks;
        match (is_last, policy.after_last) {
            (true, AfterLastCheck::Discard) => Record::Decided {
                verdict: Verdict::Rollback,
                by: DecidedBy::Discarded,
                check: Some(check),
            },
            (true, AfterLastCheck::Keep) => Record::Checked { check, next: None },
            (false, _) => Record::Checked {
                check,
                next: Some(now + policy.interval),
            },
        }
    }

    /// Takes in what has happened.
    pub fn apply(&mut self, record: Record) {
        match record {
            Record::Decided { verdict, by, check } => {
                check.into_iter().for_each(|check| self.note(check));
                self.standing = Standing::Decided { verdict, by };
            }
            Record::Checked { check, next } => {
                self.note(check);
                self.standing = match next {
                    Some(check_at) => Standing::Prepared { check_at },
                    None => Standing::Stuck,
                };
            }
            Record::AskAt(check_at) => self.standing = Standing::Prepared { check_at },
        }
    }

    fn note(&mut self, check: Check) {
        self.checks = self.checks.saturating_add(u32::from(check.counted));
        self.log.note(check);
    }
}

impl Verdict {
    /// The state that follows from it.
    #[must_use]
    pub fn state(self) -> HalfState {
        match self {
            Self::Commit => HalfState::Committed,
            Self::Rollback => HalfState::RolledBack,
        }
    }
}

macro_rules! names {
    ($Type:ident { $($variant:ident = $name:literal),* $(,)? }) => {
        impl $Type {
            /// As it is stored and shown.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// Reads what [`Self::as_str`] wrote.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

names!(Verdict { Commit = "COMMIT", Rollback = "ROLLBACK" });
names!(DecidedBy {
    Producer = "producer",
    CheckBack = "check-back",
    Operator = "operator",
    Discarded = "discarded",
});
names!(HalfState {
    Prepared = "PREPARED",
    Committed = "COMMITTED",
    RolledBack = "ROLLED_BACK",
    Stuck = "STUCK",
});
