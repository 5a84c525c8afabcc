//! What a branch is: where its calls go, what they are sent, how often they are tried.

use serde::{Deserialize, Serialize};

use crate::id::{Gid, StepName};
use crate::payload::Payload;
use crate::retry::RetryPolicy;
use crate::saga::{MAX_TIMEOUT, Violation};
use crate::target::Target;
use crate::time::Millis;

/// Most branches of a TCC.
pub const MAX_BRANCHES: usize = 256;

/// A branch as it is registered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// Unique in its TCC.
    pub name: StepName,
    /// Who does the work.
    pub work: Work,
    /// Bound of one call.
    pub timeout: Millis,
    /// Retries of the try, where the coordinator calls it.
    pub retry: RetryPolicy,
    /// Retries of confirm and cancel before the branch counts as stuck.
    pub settle_retry: RetryPolicy,
}

/// Who does the work of a branch.
#[expect(
    clippy::large_enum_variant,
    reason = "lives in a box or behind an Arc, once per branch"
)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Work {
    /// A participant that keeps a consumer log.
    Participant {
        /// Where the try is sent.
        r#try: Target,
        /// Where confirm is sent.
        confirm: Target,
        /// Where cancel is sent.
        cancel: Target,
        /// Who calls the try.
        tried_by: TriedBy,
        /// What each of the three is sent.
        input: Payload,
    },
    /// A TCC begun under this one.
    Nested {
        /// Its id.
        gid: Gid,
    },
}

/// Who calls the try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriedBy {
    /// The coordinator, once the registration is durable.
    Coordinator,
    /// Whoever registered it, who then reports what came of it.
    Caller,
}

impl Registration {
    /// Every rule that it breaks, with the field at fault.
    #[must_use]
    pub fn check(&self) -> Vec<Violation> {
        let mut wrong = Vec::new();
        let mut add = |field: &str, code, message| {
            let field = field.to_owned();
            wrong.push(Violation {
                field,
                code,
                message,
            });
        };
        if self.timeout.0 == 0 || self.timeout > MAX_TIMEOUT {
            let message = format!("is {}, must be 1ms to 24h", self.timeout);
            add("timeout", "DURATION_INVALID", message);
        }
        for (policy, field) in [(&self.retry, "retry"), (&self.settle_retry, "settle_retry")] {
            for (part, message) in policy.check() {
                add(&format!("{field}.{part}"), "RETRY_INVALID", message);
            }
        }
        wrong
    }

    /// What differs from another registration of the same name.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        let work = match (&self.work, &other.work) {
            (
                Work::Participant {
                    r#try,
                    confirm,
                    cancel,
                    tried_by,
                    input,
                },
                Work::Participant {
                    r#try: other_try,
                    confirm: other_confirm,
                    cancel: other_cancel,
                    tried_by: other_by,
                    input: other_input,
                },
            ) => {
                let parts = [
                    (r#try == other_try, "try"),
                    (confirm == other_confirm, "confirm"),
                    (cancel == other_cancel, "cancel"),
                    (tried_by == other_by, "tried_by"),
                    (input == other_input, "input"),
                ];
                parts.into_iter().find(|(same, _)| !same)
            }
            (one, two) => Some((one == two, "work")).filter(|(same, _)| !same),
        };
        let rest = [
            (self.name == other.name, "name"),
            (self.timeout == other.timeout, "timeout"),
            (self.retry == other.retry, "retry"),
            (self.settle_retry == other.settle_retry, "settle_retry"),
        ];
        let rest = rest.into_iter().find(|(same, _)| !same);
        work.or(rest).map(|(_, what)| what)
    }

    /// Who calls the try; `None`: nobody, a child votes.
    #[must_use]
    pub fn tried_by(&self) -> Option<TriedBy> {
        match &self.work {
            Work::Participant { tried_by, .. } => Some(*tried_by),
            Work::Nested { .. } => None,
        }
    }

    /// The TCC that the branch is, if it is one.
    #[must_use]
    pub fn child(&self) -> Option<&Gid> {
        match &self.work {
            Work::Participant { .. } => None,
            Work::Nested { gid } => Some(gid),
        }
    }
}
