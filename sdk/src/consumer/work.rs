//! What is done with one message, and what the coordinator is told about it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use amends_proto::v1;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::consumer_log::{self, Arrival, Fault};
use crate::message::MessageDef;
use crate::saga::convert;
use crate::{Database, Seen, StepError, StepResult};

/// The longest text about a failure that is sent, in characters.
const MAX_ERROR_CHARS: usize = 1000;

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It took effect, now or before.
    Done,
    /// Not now.
    Again {
        /// When; `None` leaves it to the group's schedule.
        after: Option<Duration>,
        error: String,
    },
    /// Never.
    Dead { error: String },
}

impl Verdict {
    pub(super) fn to_proto(&self, token: u64) -> v1::Settlement {
        use v1::settlement::Verdict as Wire;
        let verdict = match self {
            Self::Done => Wire::Done(v1::Done {}),
            Self::Again { after, error } => Wire::Again(v1::Again {
                after: after.and_then(convert::duration),
                error: error.chars().take(MAX_ERROR_CHARS).collect(),
            }),
            Self::Dead { error } => Wire::Dead(v1::Dead {
                error: error.chars().take(MAX_ERROR_CHARS).collect(),
            }),
        };
        v1::Settlement {
            token,
            verdict: Some(verdict),
        }
    }
}

impl From<StepResult<Seen>> for Verdict {
    fn from(done: StepResult<Seen>) -> Self {
        match done {
            Ok(_) => Self::Done,
            Err(StepError::Refused { code, message }) => Self::Dead {
                error: format!("{code}: {message}"),
            },
            Err(StepError::InProgress { retry_after }) => Self::Again {
                after: retry_after,
                error: "not yet".to_owned(),
            },
            Err(unknown @ StepError::Unknown(_)) => Self::Again {
                after: None,
                error: unknown.to_string(),
            },
        }
    }
}

/// Works on messages. Dropping the future loses the message's place, not its effect.
pub(crate) trait Work: Send + Sync + 'static {
    fn work(&self, message: v1::Message, attempt: u32) -> BoxFuture<'_, Verdict>;
}

/// Hands messages to a handler of the service, through the consumer log.
pub(crate) struct HandlerWork {
    pub(crate) database: Database,
    pub(crate) def: MessageDef,
}

impl Work for HandlerWork {
    fn work(&self, message: v1::Message, attempt: u32) -> BoxFuture<'_, Verdict> {
        Box::pin(async move {
            let subscription = &self.def.subscription;
            let arrival = Arrival {
                group: subscription.group_name(),
                message: &message,
                attempt,
                dedupe: subscription.dedupes_by(),
                timeout: subscription.attempt_timeout(),
            };
            let done =
                consumer_log::consume(&self.database, &self.def.handler, &arrival, Fault::None);
            Verdict::from(done.await)
        })
    }
}

/// Whatever happens, there is a verdict: a lane must not stay busy for ever.
pub(super) async fn guarded(work: Arc<dyn Work>, message: v1::Message, attempt: u32) -> Verdict {
    let done = AssertUnwindSafe(work.work(message, attempt)).catch_unwind();
    done.await.unwrap_or_else(|_| Verdict::Again {
        after: None,
        error: "the consumer panicked".to_owned(),
    })
}
