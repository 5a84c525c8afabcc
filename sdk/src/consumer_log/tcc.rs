//! Branches of TCCs: try, then confirm or cancel.
//!
//! Two rows: that of the try, which is like that of a step, and that of what
//! became of the branch. Confirm and cancel meet on the second one, so that a
//! branch has one outcome, whatever is called at the same time. A cancel also
//! inserts the first one, as a tombstone, where no try did: that is the
//! empty cancel, and a late try fails on it. A cancel that finds a try open
//! waits for its end.
//!
//! A refused confirm or cancel leaves nothing, so that it can be called again
//! once somebody has mended what made the service refuse.

use bytes::Bytes;

use super::local::{self, Mine, begin, bounded, give_up};
use super::rows::{self, Key, LogRow, Status, WrittenBy};
use super::{Call, SETTLED, decode_refusal, local::log_entry_missing};
use crate::service::LocalBackward;
use crate::{Conn, Database, StepError, StepResult};

/// The code with which a try is refused that arrives after the cancel.
pub const TRY_AFTER_CANCEL: &str = "TRY_AFTER_CANCEL";

/// The code with which a confirm is refused of a branch whose try did not succeed here.
pub const CONFIRM_WITHOUT_TRY: &str = "CONFIRM_WITHOUT_TRY";

/// The code with which a confirm is refused of a branch that was cancelled.
pub const CONFIRM_AFTER_CANCEL: &str = "CONFIRM_AFTER_CANCEL";

/// The code with which a cancel is refused of a branch that was confirmed.
pub const CANCEL_AFTER_CONFIRM: &str = "CANCEL_AFTER_CONFIRM";

/// One attempt to confirm.
pub(super) async fn confirm(
    database: &Database,
    method: &LocalBackward,
    call: &Call,
) -> StepResult<Bytes> {
    let (key, id) = (Key::tcc_settle(call)?, super::delivery_id());
    let mine = Mine {
        key: &key,
        id: &id,
        by: WrittenBy::Do,
    };
    let mut conn = begin(database, call).await?;
    if !mine.enter(&mut conn).await? {
        return settled(conn, &mine).await;
    }
    let held = match rows::read(&mut conn, &Key::tcc_try(call)?).await? {
        Some(row) if row.status == Status::Succeeded => row.result,
        other => return give_up(conn, Err(not_tried(call, other))).await,
    };
    let work = method(&mut conn, call.input.clone(), held);
    if let Err(error) = bounded(call, work).await {
        return give_up(conn, Err(error)).await;
    }
    local::finish(conn, &mine, Status::Succeeded, &SETTLED).await?;
    Ok(SETTLED.clone())
}

/// One attempt to cancel.
pub(super) async fn cancel(
    database: &Database,
    method: &LocalBackward,
    call: &Call,
) -> StepResult<Bytes> {
    let (try_key, key) = (Key::tcc_try(call)?, Key::tcc_settle(call)?);
    let id = super::delivery_id();
    let (by, void) = (WrittenBy::Undo, Status::Void);
    let mine = Mine {
        key: &key,
        id: &id,
        by,
    };
    let mut conn = begin(database, call).await?;
    let untried = rows::insert(&mut conn, &try_key, &id, by, void, None).await?;
    if untried && call.output.is_some() {
        return give_up(conn, Err(log_entry_missing())).await;
    }
    if !mine.enter(&mut conn).await? {
        return settled(conn, &mine).await;
    }
    let tried = match untried {
        true => None,
        false => rows::read(&mut conn, &try_key).await?,
    };
    if let Some(row) = tried.filter(|row| row.status == Status::Succeeded) {
        let work = method(&mut conn, call.input.clone(), row.result);
        if let Err(error) = bounded(call, work).await {
            return give_up(conn, Err(error)).await;
        }
    }
    local::finish(conn, &mine, Status::Succeeded, &SETTLED).await?;
    Ok(SETTLED.clone())
}

/// The answer where the branch has been settled before.
async fn settled(mut conn: Conn, mine: &Mine<'_>) -> StepResult<Bytes> {
    let first = rows::read(&mut conn, mine.key).await?;
    conn.rollback().await?;
    match first {
        Some(row) if row.by == mine.by => Ok(row.result),
        Some(row) if row.by == WrittenBy::Undo => Err(StepError::refused(
            CONFIRM_AFTER_CANCEL,
            "this branch was cancelled before",
        )),
        Some(_) => Err(StepError::refused(
            CANCEL_AFTER_CONFIRM,
            "this branch was confirmed before",
        )),
        None => Err(StepError::unknown(
            "the log row was removed while it was read",
        )),
    }
}

fn not_tried(call: &Call, row: Option<LogRow>) -> StepError {
    let why = match row {
        None if call.output.is_some() => return log_entry_missing(),
        None => "no try of this branch has committed here".to_owned(),
        Some(row) if row.status == Status::Refused => {
            format!("the try of this branch was {}", decode_refusal(&row.result))
        }
        Some(row) => format!("the row of this branch's try says {:?}", row.status),
    };
    StepError::refused(CONFIRM_WITHOUT_TRY, why)
}
