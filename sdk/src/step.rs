//! What a step sees ([`StepCx`]) and what it answers ([`StepResult`]).
//!
//! Three outcomes, never two: `Ok` is done, [`StepError::Refused`] is a final
//! "no", everything else is unknown and the call is made again. `?` on any
//! error means unknown; [`reject!`](crate::reject) means refused.

use std::fmt;
use std::time::{Duration, Instant};

/// Any error of the outside world.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What a step answers.
pub type StepResult<T> = Result<T, StepError>;

/// Why a step did not succeed.
///
/// It does not implement [`std::error::Error`], so that `?` turns every other
/// error into [`StepError::Unknown`].
#[derive(Debug)]
pub enum StepError {
    /// A business "no". It is final: stored as the answer, never retried, and
    /// nothing that the step wrote remains. Make it with [`reject!`](crate::reject).
    Refused {
        /// Stable code for programs, for example `OUT_OF_STOCK`.
        code: String,
        /// What happened, for people.
        message: String,
    },
    /// Not yet: everything this call wrote is rolled back, and it is made again later.
    InProgress {
        /// When to ask again; `None` leaves it to the coordinator.
        retry_after: Option<Duration>,
    },
    /// Anything else: it proves nothing. Everything this call wrote is rolled
    /// back, and it is made again with backoff.
    Unknown(BoxError),
}

impl StepError {
    /// A refusal with a stable code and a message for people.
    pub fn refused(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Refused {
            code: code.into(),
            message: message.into(),
        }
    }

    /// An unknown outcome described by a text.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::Unknown(message.into().into())
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for StepError {
    fn from(error: E) -> Self {
        Self::Unknown(Box::new(error))
    }
}

impl fmt::Display for StepError {
    /// Prints the whole chain of sources of an unknown outcome.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { code, message } => write!(f, "refused: {code}: {message}"),
            Self::InProgress { retry_after: None } => write!(f, "in progress"),
            Self::InProgress {
                retry_after: Some(after),
            } => {
                write!(f, "in progress, ask again in {after:?}")
            }
            Self::Unknown(error) => {
                write!(f, "{error}")?;
                let mut source = error.source();
                while let Some(cause) = source {
                    write!(f, ": {cause}")?;
                    source = cause.source();
                }
                Ok(())
            }
        }
    }
}

/// Returns from the step with a refusal: a stable code, then a message as in
/// [`format!`].
///
/// ```
/// # use amends::{reject, StepResult};
/// fn take(stock: i64, wanted: i64) -> StepResult<i64> {
///     if wanted > stock {
///         reject!("OUT_OF_STOCK", "{wanted} wanted, {stock} left");
///     }
///     Ok(stock - wanted)
/// }
/// assert_eq!(take(1, 2).unwrap_err().to_string(), "refused: OUT_OF_STOCK: 2 wanted, 1 left");
/// ```
#[macro_export]
macro_rules! reject {
    ($code:expr, $($message:tt)+) => {
        return ::core::result::Result::Err($crate::StepError::refused(
            $code,
            ::std::format!($($message)+),
        ))
    };
}

/// Which call of which step of which transaction this is.
#[derive(Clone, Debug)]
pub struct StepCx {
    gid: String,
    branch: String,
    step: String,
    attempt: u32,
    deadline: Option<Instant>,
}

impl StepCx {
    /// A context, for calling a step method directly in a unit test.
    pub fn new(gid: impl Into<String>, branch: impl Into<String>, step: impl Into<String>) -> Self {
        Self {
            gid: gid.into(),
            branch: branch.into(),
            step: step.into(),
            attempt: 1,
            deadline: None,
        }
    }

    /// The same with the number of the attempt.
    #[must_use]
    pub fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// The same with the time at which the caller stops waiting.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }

    /// The global transaction.
    #[must_use]
    pub fn gid(&self) -> &str {
        &self.gid
    }

    /// The branch: the step's name in the saga.
    #[must_use]
    pub fn branch(&self) -> &str {
        &self.branch
    }

    /// The step as the service names it.
    #[must_use]
    pub fn step(&self) -> &str {
        &self.step
    }

    /// The number of this attempt, from 1 on. For information: never decide by it.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// When the caller stops waiting, where it said so. An answer after it is lost.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// `gid/branch`: the same for every attempt of this step and for its
    /// undo, and for no other step. Hand it to systems that deduplicate.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        format!("{}/{}", self.gid, self.branch)
    }
}
