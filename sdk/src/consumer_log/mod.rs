//! The consumer log: what makes every step take effect once.
//!
//! One row per (group, tag, key) in the service's own database, written in
//! the *same* transaction as the business change. For a step: group = service,
//! tag = `do` or `undo`, key = `gid/branch`. For a branch of a TCC the tags
//! are `try` and `settle`. For a message: group = consumer
//! group, tag = `topic:tag`, key = the message's id or its own key. For
//! the local transaction of half messages: group = producer group, tag = `half`,
//! key = half id. Guarantees:
//! - a step commits at most once; a duplicate gets the first answer, byte for byte;
//! - an undo takes effect only after its step did, and at most once;
//! - a step that arrives after its undo is refused ([`UNDONE_BEFORE_DO`]);
//! - a refusal is an answer: stored, and nothing else of the call remains;
//! - any other failure, a panic included, leaves nothing at all.
//!
//! Rows are only ever inserted, never locked by reading: two calls meet on the
//! unique key, and the later one waits until the earlier one has ended.
//! Transactions that lose a race are run again, at most [`MAX_ATTEMPTS`] times.
//!
//! Of a branch of a TCC, a confirm takes effect only after the try, a cancel in
//! place of it, and each of them once; see [`TRY_AFTER_CANCEL`] and what follows there.
//!
//! Steps with external effects cannot share a transaction with them: see
//! [`external`]. What is *not* promised here: that a step is called at all;
//! that is the coordinator's part.

mod external;
mod half;
mod local;
mod message;
mod retention;
mod rows;
mod tcc;

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;

pub(crate) use half::{HalfKey, Truth};
pub(crate) use message::{Arrival, consume};
pub(crate) use retention::remove_in_batches;
pub use retention::{DEFAULT_RETENTION, MAX_REMOVED_AT_ONCE, remove_older_than};
pub use tcc::{CANCEL_AFTER_CONFIRM, CONFIRM_AFTER_CANCEL, CONFIRM_WITHOUT_TRY, TRY_AFTER_CANCEL};

use crate::backoff::Backoff;
use crate::conn;
use crate::service::{Handler, StepDef};
use crate::{Conn, Database, DatabaseError, StepCx, StepError, StepResult};
use rows::{Key, Status, WrittenBy};

/// The code with which a step is refused that arrives after its undo.
pub const UNDONE_BEFORE_DO: &str = "UNDONE_BEFORE_DO";

/// The code with which an undo is refused when the step has none.
pub const NOT_COMPENSABLE: &str = "NOT_COMPENSABLE";

/// The code with which an undo is refused when the coordinator has the step's
/// answer but the log has no trace of the step: the log was cut too early, or
/// this is another database. A person must look; "nothing to undo" would be a guess.
pub const LOG_ENTRY_MISSING: &str = "LOG_ENTRY_MISSING";

/// How often a transaction is run that loses races (deadlock, serialisation
/// failure, busy) before the outcome is unknown.
pub const MAX_ATTEMPTS: u32 = 10;

/// No further attempt begins after this time.
pub const MAX_ATTEMPTS_TIME: Duration = Duration::from_secs(5);

/// How long an attempt may take where the caller names no deadline.
pub const MAX_ATTEMPT_DURATION: Duration = Duration::from_secs(60);

/// The longest group and message id, in characters.
pub const MAX_NAME_LENGTH: usize = 128;

/// The longest tag, in characters: a topic, a colon and a message's tag.
pub const MAX_TAG_LENGTH: usize = 257;

/// The longest key, in characters.
pub const MAX_KEY_LENGTH: usize = 255;

const RETRY: Backoff = Backoff {
    first: Duration::from_millis(5),
    most: Duration::from_millis(200),
};

/// Whether a delivery was seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It was not: do the work in this transaction.
    First,
    /// It was, and the work of then is committed.
    Before,
}

/// Notes in this transaction that `group` has handled the delivery `id`, and
/// says whether it had before. Waits while another transaction that noted the
/// same delivery is open.
///
/// # Errors
/// Unknown: as the database says, or a name that is empty or too long.
pub async fn first_delivery(conn: &mut Conn, group: &str, id: &str) -> StepResult<Seen> {
    let key = Key::delivery(group, id)?;
    let new = rows::insert(conn, &key, id, WrittenBy::Message, Status::Succeeded, None).await?;
    Ok(if new { Seen::First } else { Seen::Before })
}

/// Which call of a step or of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Do,
    Undo,
    Try,
    Confirm,
    Cancel,
}

impl Phase {
    pub(crate) fn is_of_tcc(self) -> bool {
        matches!(self, Self::Try | Self::Confirm | Self::Cancel)
    }
}

/// One call of a step or of a branch, as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) service: &'static str,
    pub(crate) phase: Phase,
    pub(crate) cx: StepCx,
    pub(crate) input: Bytes,
    /// For undo, confirm and cancel: the answer of the step or try, as far as the coordinator knows it.
    pub(crate) output: Option<Bytes>,
}

/// A failure on demand, for the test kit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The service's code has run; then the transaction fails.
    AfterTheWork,
}

/// Executes one call of a step through the consumer log.
///
/// When the future is dropped, the call has happened entirely or not at all
/// (external effects: its outcome is unknown, as after a crash).
///
/// # Errors
/// The answers that are not "done"; [`StepError::Unknown`] is no answer.
pub(crate) async fn execute(
    database: &Database,
    step: &StepDef,
    call: &Call,
    fault: Fault,
) -> StepResult<Bytes> {
    let done = match (&step.handler, call.phase) {
        (Handler::External { forward, .. }, Phase::Do) => {
            external::run(database, forward, call, fault).await
        }
        (Handler::External { backward, .. }, Phase::Undo) => {
            external::undo(database, backward.as_ref(), call).await
        }
        (handler, _) => {
            let mut races = Races::new();
            loop {
                let done = once(database, handler, call, fault).await;
                match races.wait_after(&done) {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => break done,
                }
            }
        }
    };
    if let Err(StepError::Unknown(_)) = &done {
        note_failure(database, call, &done).await;
    }
    done
}

/// One transaction of a call.
async fn once(
    database: &Database,
    handler: &Handler,
    call: &Call,
    fault: Fault,
) -> StepResult<Bytes> {
    match (handler, call.phase) {
        (Handler::Local { forward, .. }, Phase::Do) => {
            local::run(database, forward, call, fault).await
        }
        (Handler::Local { backward, .. }, Phase::Undo) => {
            local::undo(database, backward.as_ref(), call).await
        }
        (Handler::Tcc(code), Phase::Try) => local::run(database, &code.hold, call, fault).await,
        (Handler::Tcc(code), Phase::Confirm) => tcc::confirm(database, &code.confirm, call).await,
        (Handler::Tcc(code), Phase::Cancel) => tcc::cancel(database, &code.cancel, call).await,
        (_, phase) => Err(StepError::unknown(format!("it has no phase {phase:?}"))),
    }
}

/// Tells deliveries apart; sorts by time.
fn delivery_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// What an undo, a confirm and a cancel answer.
static SETTLED: Bytes = Bytes::from_static(b"null");

/// What a refusal looks like in the log.
#[derive(serde::Serialize, serde::Deserialize)]
struct StoredRefusal {
    code: String,
    message: String,
}

fn encode_refusal(code: &str, message: &str) -> StepResult<Bytes> {
    let stored = StoredRefusal {
        code: code.to_owned(),
        message: message.to_owned(),
    };
    Ok(serde_json::to_vec(&stored)?.into())
}

fn decode_refusal(bytes: &[u8]) -> StepError {
    match serde_json::from_slice::<StoredRefusal>(bytes) {
        Ok(stored) => StepError::refused(stored.code, stored.message),
        Err(error) => StepError::Unknown(Box::new(error)),
    }
}

/// The answer to a step that was undone before it came, or to a try that was cancelled.
fn barred(phase: Phase) -> StepError {
    match phase {
        Phase::Try => {
            let text = "this branch was cancelled before its try arrived";
            StepError::refused(TRY_AFTER_CANCEL, text)
        }
        _ => StepError::refused(UNDONE_BEFORE_DO, "this step was undone before it arrived"),
    }
}

/// Runs the service's code behind a barrier: a panic is an unknown outcome.
pub(crate) async fn barrier<T>(work: impl Future<Output = StepResult<T>>) -> StepResult<T> {
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .unwrap_or_else(|panic| {
            let text = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "no message".to_owned());
            Err(StepError::unknown(format!("the step panicked: {text}")))
        })
}

/// How long this call may take.
fn time_left(cx: &StepCx) -> Duration {
    let left = cx
        .deadline()
        .map(|at| at.saturating_duration_since(Instant::now()));
    left.unwrap_or(MAX_ATTEMPT_DURATION)
        .min(MAX_ATTEMPT_DURATION)
}

/// Decides whether a transaction that lost a race is run again.
struct Races {
    begin: Instant,
    lost: u32,
}

impl Races {
    fn new() -> Self {
        Self {
            begin: Instant::now(),
            lost: 0,
        }
    }

    /// How long to wait before running the transaction again; `None`: do not.
    fn wait_after<T>(&mut self, done: &StepResult<T>) -> Option<Duration> {
        let Err(StepError::Unknown(error)) = done else {
            return None;
        };
        self.lost += 1;
        let again = self.lost < MAX_ATTEMPTS && self.begin.elapsed() < MAX_ATTEMPTS_TIME;
        (again && is_conflict(&**error)).then(|| {
            tracing::debug!(%error, lost = self.lost, "the transaction lost a race; it is run again");
            RETRY.wait(self.lost)
        })
    }
}

/// Looks through the whole chain: the service may have wrapped the error.
fn is_conflict(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(this) = error {
        if let Some(database) = this.downcast_ref::<DatabaseError>() {
            return database.is_conflict();
        }
        if let Some(driver) = this.downcast_ref::<sqlx::Error>() {
            return conn::is_conflict(driver);
        }
        error = this.source();
    }
    false
}

/// Counts a failed attempt, outside the transaction that failed. That this
/// fails too does not change the answer.
async fn note_failure(database: &Database, call: &Call, done: &StepResult<Bytes>) {
    let Err(failure) = done else { return };
    let text = failure.to_string();
    tracing::warn!(
        service = call.service,
        step = call.cx.step(),
        phase = ?call.phase,
        gid = call.cx.gid(),
        branch = call.cx.branch(),
        attempt = call.cx.attempt(),
        failure = text,
        "the outcome of a step is unknown"
    );
    let Ok(key) = Key::step(call) else { return };
    count_failure(database, &key, &text).await;
}

async fn count_failure(database: &Database, key: &Key, text: &str) {
    let noted = async {
        let mut conn = database.begin().await?;
        rows::note_failure(&mut conn, key, text).await?;
        conn.commit().await
    };
    if let Err(error) = noted.await {
        tracing::warn!(%error, "a failed attempt could not be counted");
    }
}
