//! Steps whose effects are in the service's own database: one transaction
//! holds the log rows and the effects.

use bytes::Bytes;

use super::rows::{self, Change, Key, Status, WrittenBy};
use super::{
    Call, Fault, LOG_ENTRY_MISSING, NOT_COMPENSABLE, UNDONE, barrier, decode_refusal,
    encode_refusal, time_left, undone_before,
};
use crate::service::{LocalBackward, LocalForward};
use crate::{Conn, Database, DatabaseError, StepError, StepResult};

/// Behind the log row: what a refusal rolls back to.
const SAVEPOINT: &str = "amends_step";

/// One attempt at the step itself.
pub(super) async fn run(
    database: &Database,
    forward: &LocalForward,
    call: &Call,
    fault: Fault,
) -> StepResult<Bytes> {
    let key = Key::step_do(call)?;
    let id = super::delivery_id();
    let mut conn = begin(database, call).await?;
    if !rows::insert(&mut conn, &key, &id, WrittenBy::Do, Status::Running, None).await? {
        let first = rows::read(&mut conn, &key).await?;
        conn.rollback().await?;
        return stored_answer(first.map(|row| (row.status, row.result)));
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
    finish(conn, &key, &id, status, &result).await?;
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
    let new = rows::insert(
        &mut conn,
        &undo_key,
        &id,
        WrittenBy::Undo,
        Status::Running,
        None,
    );
    if !new.await? {
        let first = rows::read(&mut conn, &undo_key).await?;
        conn.rollback().await?;
        return stored_answer(first.map(|row| (row.status, row.result)));
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
    finish(conn, &undo_key, &id, Status::Succeeded, &UNDONE).await?;
    Ok(UNDONE.clone())
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

async fn begin(database: &Database, call: &Call) -> StepResult<Conn> {
    let mut conn = database.begin().await?;
    conn.set_cx(call.cx.clone());
    Ok(conn)
}

/// The service's code, behind the barrier and within the caller's time.
async fn bounded<T>(call: &Call, work: impl Future<Output = StepResult<T>>) -> StepResult<T> {
    let bounded = tokio::time::timeout(time_left(&call.cx), barrier(work)).await;
    bounded.unwrap_or_else(|_| {
        Err(StepError::unknown(
            "the step took longer than its caller waits",
        ))
    })
}

/// Leaves nothing behind and passes the answer on.
async fn give_up(conn: Conn, done: StepResult<Bytes>) -> StepResult<Bytes> {
    // A rollback that fails ends with the connection; the answer says more.
    conn.rollback().await.ok();
    done
}

/// Writes the answer into the row that this transaction inserted, and
/// commits. A row that is gone shows that the database ended the transaction
/// half way (MySQL does so on a deadlock) and the service's code went on.
pub(super) async fn finish(
    mut conn: Conn,
    key: &Key,
    id: &str,
    status: Status,
    result: &[u8],
) -> StepResult<()> {
    let by = key.writer();
    let change = Change {
        from: (id, Status::Running),
        to: (id, status),
        by,
        result: Some(result),
    };
    if !rows::change(&mut conn, key, change).await? {
        conn.rollback().await.ok();
        return Err(DatabaseError::Broken.into());
    }
    Ok(conn.commit().await?)
}

fn stored_answer(row: Option<(Status, Bytes)>) -> StepResult<Bytes> {
    match row {
        Some((Status::Succeeded, result)) => Ok(result),
        Some((Status::Refused, result)) => Err(decode_refusal(&result)),
        Some((Status::Void, _)) => Err(undone_before()),
        Some((Status::Running | Status::Started, _)) => Err(not_local()),
        None => Err(StepError::unknown(
            "the log row was removed while it was read",
        )),
    }
}
