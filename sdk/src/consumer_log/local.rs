//! Steps whose effects are in the service's own database, and tries, which
//! are like them: one transaction holds the log rows and the effects.

use bytes::Bytes;

use super::rows::{self, Change, Key, Status, WrittenBy};
use super::{
    Call, Fault, LOG_ENTRY_MISSING, NOT_COMPENSABLE, SETTLED, barred, barrier, decode_refusal,
    encode_refusal, time_left,
};
use crate::service::{LocalBackward, LocalForward};
use crate::{Conn, Database, DatabaseError, StepError, StepResult};

/// Behind the log row: what a refusal rolls back to.
const SAVEPOINT: &str = "amends_step";

/// A row that this transaction inserted, and will finish.
pub(super) struct Mine<'a> {
    pub(super) key: &'a Key,
    pub(super) id: &'a str,
    pub(super) by: WrittenBy,
}

impl Mine<'_> {
    /// Inserts the row; `false` when there is one.
    pub(super) async fn enter(&self, conn: &mut Conn) -> Result<bool, DatabaseError> {
        rows::insert(conn, self.key, self.id, self.by, Status::Running, None).await
    }
}

/// One attempt at the step itself, or at a try.
pub(super) async fn run(
    database: &Database,
    forward: &LocalForward,
    call: &Call,
    fault: Fault,
) -> StepResult<Bytes> {
    let (key, id) = (Key::step(call)?, super::delivery_id());
    let mine = Mine {
        key: &key,
        id: &id,
        by: WrittenBy::Do,
    };
    let mut conn = begin(database, call).await?;
    if !mine.enter(&mut conn).await? {
        return stored_answer(conn, &mine, call).await;
    }
    conn.execute_text(&format!("savepoint {SAVEPOINT}")).await?;
    let mut done = bounded(call, forward(&mut conn, call.input.clone())).await;
    if fault == Fault::AfterTheWork && done.is_ok() {
        done = Err(StepError::unknown("this attempt was made to fail"));
    }
    let (status, result) = match &done {
        Ok(output) => (Status::Succeeded, output.clone()),
        Err(StepError::Refused { code, message }) => {
            conn.execute_text(&format!("rollback to savepoint {SAVEPOINT}"))
                .await?;
            (Status::Refused, encode_refusal(code, message)?)
        }
        Err(_) => return give_up(conn, done).await,
    };
    finish(conn, &mine, status, &result).await?;
    done
}

/// One attempt at the undo.
pub(super) async fn undo(
    database: &Database,
    backward: Option<&LocalBackward>,
    call: &Call,
) -> StepResult<Bytes> {
    let (do_key, undo_key) = (Key::step_do(call)?, Key::step_undo(call)?);
    let id = super::delivery_id();
    let mut conn = begin(database, call).await?;
    let fenced = rows::insert(&mut conn, &do_key, &id, WrittenBy::Undo, Status::Void, None).await?;
    if fenced && call.output.is_some() {
        return give_up(conn, Err(log_entry_missing())).await;
    }
    let mine = Mine {
        key: &undo_key,
        id: &id,
        by: WrittenBy::Undo,
    };
    if !mine.enter(&mut conn).await? {
        return stored_answer(conn, &mine, call).await;
    }
    let first = if fenced {
        None
    } else {
        rows::read(&mut conn, &do_key).await?
    };
    match first.map(|row| (row.status, row.result)) {
        // The step never committed, or left nothing behind.
        None | Some((Status::Void | Status::Refused, _)) => {}
        Some((Status::Succeeded, output)) => {
            let Some(backward) = backward else {
                return give_up(conn, Err(not_compensable())).await;
            };
            let work = backward(&mut conn, call.input.clone(), output);
            if let Err(error) = bounded(call, work).await {
                return give_up(conn, Err(error)).await;
            }
        }
        Some((Status::Running | Status::Started, _)) => {
            return give_up(conn, Err(not_local())).await;
        }
    }
    finish(conn, &mine, Status::Succeeded, &SETTLED).await?;
    Ok(SETTLED.clone())
}

pub(super) fn not_compensable() -> StepError {
    StepError::refused(NOT_COMPENSABLE, "the step took effect and has no undo")
}

pub(super) fn log_entry_missing() -> StepError {
    StepError::refused(
        LOG_ENTRY_MISSING,
        "the coordinator has this step's answer, the consumer log has no trace of it",
    )
}

fn not_local() -> StepError {
    StepError::unknown("the log says that this step's effects were external once")
}

pub(super) async fn begin(database: &Database, call: &Call) -> StepResult<Conn> {
    let mut conn = database.begin().await?;
    conn.set_cx(call.cx.clone());
    Ok(conn)
}

/// The service's code, behind the barrier and within the caller's time.
pub(super) async fn bounded<T>(
    call: &Call,
    work: impl Future<Output = StepResult<T>>,
) -> StepResult<T> {
    let bounded = tokio::time::timeout(time_left(&call.cx), barrier(work)).await;
    bounded.unwrap_or_else(|_| {
        Err(StepError::unknown(
            "the step took longer than its caller waits",
        ))
    })
}

/// Leaves nothing behind and passes the answer on.
pub(super) async fn give_up(conn: Conn, done: StepResult<Bytes>) -> StepResult<Bytes> {
    // A rollback that fails ends with the connection; the answer says more.
    conn.rollback().await.ok();
    done
}

/// Writes the answer into the row that this transaction inserted, and
/// commits. A row that is gone shows that the database ended the transaction
/// half way (MySQL does so on a deadlock) and the service's code went on.
pub(super) async fn finish(
    mut conn: Conn,
    mine: &Mine<'_>,
    status: Status,
    result: &[u8],
) -> StepResult<()> {
    let change = Change {
        from: (mine.id, Status::Running),
        to: (mine.id, status),
        by: mine.by,
        result: Some(result),
    };
    if !rows::change(&mut conn, mine.key, change).await? {
        conn.rollback().await.ok();
        return Err(DatabaseError::Broken.into());
    }
    Ok(conn.commit().await?)
}

/// The answer where somebody else's row is there.
async fn stored_answer(mut conn: Conn, theirs: &Mine<'_>, call: &Call) -> StepResult<Bytes> {
    let first = rows::read(&mut conn, theirs.key).await?;
    conn.rollback().await?;
    match first.map(|row| (row.status, row.result)) {
        Some((Status::Succeeded, result)) => Ok(result),
        Some((Status::Refused, result)) => Err(decode_refusal(&result)),
        Some((Status::Void, _)) => Err(barred(call.phase)),
        Some((Status::Running | Status::Started, _)) => Err(not_local()),
        None => Err(StepError::unknown(
            "the log row was removed while it was read",
        )),
    }
}
