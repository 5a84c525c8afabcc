//! Steps whose effects are elsewhere.
//!
//! They cannot share a transaction with the log, so the log runs ahead: a row
//! `running` is committed first, then the service's code is called, then the
//! answer is committed. An attempt that ends without an answer leaves
//! `started`; a crash leaves `running`, which counts as ended once the time
//! that the attempt had has passed, by database time.
//!
//! At most one attempt of a step, or of its undo, is under way at a time; who
//! comes meanwhile is told to ask again. An undo waits in the same way for an
//! attempt of the step, then bars further ones and runs: with the step's
//! output if it answered, with none if it was only started. Only a refusal,
//! or never having been started, means that there is nothing to undo.
//!
//! The service's code can run more than once here. That the effect happens
//! once is up to it, with [`StepCx::idempotency_key`](crate::StepCx::idempotency_key).

use std::time::Duration;

use bytes::Bytes;

use super::local::{log_entry_missing, not_compensable};
use super::rows::{self, Change, Key, LogRow, Status, WrittenBy};
use super::{
    Call, Fault, Phase, Races, SETTLED, barred, barrier, decode_refusal, encode_refusal, time_left,
};
use crate::service::{ExternalBackward, ExternalForward};
use crate::{Conn, Database, DatabaseError, StepError, StepResult};

/// Added to the time of an attempt before others take it for ended.
const LEASE_SLACK: Duration = Duration::from_secs(2);

/// When to ask again while an attempt is under way.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// What the log says about a call that wants to begin.
enum Entry {
    /// It is ours to run; the output is the step's, for an undo.
    Run(Option<Bytes>),
    /// It has been answered, or must wait.
    Answered(StepResult<Bytes>),
}

/// The step itself.
pub(super) async fn run(
    database: &Database,
    forward: &ExternalForward,
    call: &Call,
    fault: Fault,
) -> StepResult<Bytes> {
    let attempt = Attempt::new(database, call, Key::step_do(call)?, WrittenBy::Do);
    if let Entry::Answered(answer) = attempt.enter(&attempt.key).await? {
        return answer;
    }
    let mut done = attempt.bounded(forward(&call.cx, call.input.clone())).await;
    if fault == Fault::AfterTheWork && done.is_ok() {
        done = Err(StepError::unknown("this attempt was made to fail"));
    }
    match &done {
        Ok(output) => attempt.leave(Status::Succeeded, Some(output)).await?,
        Err(StepError::Refused { code, message }) => {
            attempt
                .leave(Status::Refused, Some(&encode_refusal(code, message)?))
                .await?;
        }
        Err(_) => attempt.leave_unanswered().await,
    }
    done
}

/// The undo.
pub(super) async fn undo(
    database: &Database,
    backward: Option<&ExternalBackward>,
    call: &Call,
) -> StepResult<Bytes> {
    let attempt = Attempt::new(database, call, Key::step_undo(call)?, WrittenBy::Undo);
    let do_key = Key::step_do(call)?;
    let output = match attempt.enter(&do_key).await? {
        Entry::Run(output) => output,
        Entry::Answered(answer) => return answer,
    };
    let Some(backward) = backward else {
        attempt.leave_unanswered().await;
        return Err(not_compensable());
    };
    match attempt
        .bounded(backward(&call.cx, call.input.clone(), output))
        .await
    {
        Ok(()) => {
            attempt.leave(Status::Succeeded, Some(&SETTLED)).await?;
            Ok(SETTLED.clone())
        }
        // A refused undo is not stored: it must be possible to try it again.
        Err(error) => {
            attempt.leave_unanswered().await;
            Err(error)
        }
    }
}

/// One attempt at a step or at its undo.
struct Attempt<'a> {
    database: &'a Database,
    call: &'a Call,
    key: Key,
    by: WrittenBy,
    id: String,
    time: Duration,
    lease: String,
}

impl<'a> Attempt<'a> {
    fn new(database: &'a Database, call: &'a Call, key: Key, by: WrittenBy) -> Self {
        let time = time_left(&call.cx);
        let lease = (time + LEASE_SLACK).as_millis().to_string();
        Self {
            database,
            call,
            key,
            by,
            id: super::delivery_id(),
            time,
            lease,
        }
    }

    /// One transaction, run again while it loses races. What it wrote is
    /// committed if the attempt may run or is done; otherwise nothing remains.
    async fn enter(&self, do_key: &Key) -> StepResult<Entry> {
        let mut races = Races::new();
        loop {
            let done = self.enter_once(do_key).await;
            match races.wait_after(&done) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return done,
            }
        }
    }

    async fn enter_once(&self, do_key: &Key) -> StepResult<Entry> {
        let mut conn = self.database.begin().await?;
        let entry = match self.by {
            WrittenBy::Undo => self.enter_undo(&mut conn, do_key).await?,
            _ => self.enter_do(&mut conn).await?,
        };
        match entry {
            Entry::Run(_) | Entry::Answered(Ok(_)) => conn.commit().await?,
            Entry::Answered(Err(_)) => conn.rollback().await?,
        }
        Ok(entry)
    }

    async fn enter_do(&self, conn: &mut Conn) -> StepResult<Entry> {
        if self.insert_running(conn).await? {
            return Ok(Entry::Run(None));
        }
        let row = must_exist(rows::read(conn, &self.key).await?)?;
        Ok(match row.status {
            Status::Void => Entry::Answered(Err(barred(Phase::Do))),
            Status::Succeeded => Entry::Answered(Ok(row.result)),
            Status::Refused => Entry::Answered(Err(decode_refusal(&row.result))),
            Status::Started | Status::Running => self.take_over(conn, &row, None).await?,
        })
    }

    async fn enter_undo(&self, conn: &mut Conn, do_key: &Key) -> StepResult<Entry> {
        if rows::insert(conn, do_key, &self.id, WrittenBy::Undo, Status::Void, None).await? {
            if self.call.output.is_some() {
                return Ok(Entry::Answered(Err(log_entry_missing())));
            }
            return self.insert_nothing_to_undo(conn).await;
        }
        let step = must_exist(rows::read(conn, do_key).await?)?;
        let output = match step.status {
            Status::Refused => return self.insert_nothing_to_undo(conn).await,
            Status::Succeeded => Some(step.result),
            // Undone or being undone: the row of the undo says which.
            Status::Void => None,
            Status::Running if step.attempt_may_run() => return Ok(ask_again()),
            Status::Running | Status::Started => {
                let bar = Change {
                    from: (&step.msg_id, step.status),
                    to: (&self.id, Status::Void),
                    by: WrittenBy::Undo,
                    result: None,
                };
                if !rows::change(conn, do_key, bar).await? {
                    return Ok(ask_again());
                }
                None
            }
        };
        if self.insert_running(conn).await? {
            return Ok(Entry::Run(output));
        }
        let row = must_exist(rows::read(conn, &self.key).await?)?;
        match row.status {
            Status::Succeeded => Ok(Entry::Answered(Ok(row.result))),
            _ => self.take_over(conn, &row, output).await,
        }
    }

    async fn insert_running(&self, conn: &mut Conn) -> Result<bool, DatabaseError> {
        let lease = Some(self.lease.as_bytes());
        rows::insert(conn, &self.key, &self.id, self.by, Status::Running, lease).await
    }

    async fn insert_nothing_to_undo(&self, conn: &mut Conn) -> StepResult<Entry> {
        // There may be one from an earlier call; it says the same.
        let result = Some(SETTLED.as_ref());
        rows::insert(
            conn,
            &self.key,
            &self.id,
            self.by,
            Status::Succeeded,
            result,
        )
        .await?;
        Ok(Entry::Answered(Ok(SETTLED.clone())))
    }

    /// Makes an attempt that has ended ours.
    async fn take_over(
        &self,
        conn: &mut Conn,
        row: &LogRow,
        output: Option<Bytes>,
    ) -> StepResult<Entry> {
        let change = Change {
            from: (&row.msg_id, row.status),
            to: (&self.id, Status::Running),
            by: self.by,
            result: Some(self.lease.as_bytes()),
        };
        if row.attempt_may_run() || !rows::change(conn, &self.key, change).await? {
            return Ok(ask_again());
        }
        Ok(Entry::Run(output))
    }

    /// The service's code, behind the barrier and within its time.
    async fn bounded<T>(&self, work: impl Future<Output = StepResult<T>>) -> StepResult<T> {
        let bounded = tokio::time::timeout(self.time, barrier(work)).await;
        bounded.unwrap_or_else(|_| Err(StepError::unknown("the step took longer than its time")))
    }

    /// Stores how the attempt ended, if it is still the one that counts.
    async fn leave(&self, status: Status, result: Option<&[u8]>) -> StepResult<()> {
        let mut races = Races::new();
        loop {
            let done = self.leave_once(status, result).await;
            match races.wait_after(&done) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return done,
            }
        }
    }

    async fn leave_once(&self, status: Status, result: Option<&[u8]>) -> StepResult<()> {
        let mut conn = self.database.begin().await?;
        let (from, to) = (
            (self.id.as_str(), Status::Running),
            (self.id.as_str(), status),
        );
        let change = Change {
            from,
            to,
            by: self.by,
            result,
        };
        if !rows::change(&mut conn, &self.key, change).await? {
            conn.rollback().await?;
            return Err(StepError::unknown(
                "the attempt outlived its time and was replaced",
            ));
        }
        Ok(conn.commit().await?)
    }

    /// Lets the next attempt begin at once. Where that cannot be stored, the
    /// attempt's time runs out instead.
    async fn leave_unanswered(&self) {
        if let Err(error) = self.leave(Status::Started, None).await {
            tracing::warn!(%error, key = ?self.key, "the end of an attempt could not be stored");
        }
    }
}

fn ask_again() -> Entry {
    Entry::Answered(Err(StepError::InProgress {
        retry_after: Some(ASK_AGAIN),
    }))
}

fn must_exist(row: Option<LogRow>) -> StepResult<LogRow> {
    row.ok_or_else(|| StepError::unknown("the log row was removed while it was read"))
}
