//! Local transactions of half messages: the row that says that one committed,
//! and the check that reads it, or makes sure that it never will be written.
//!
//! The local transaction inserts its row first of all. A check inserts the same
//! row, as a tombstone, in a transaction of its own: it waits while the local
//! transaction is open, finds its row when that has committed, and otherwise
//! leaves the tombstone, on which a late local transaction fails. So there is
//! one truth, whoever comes first. A check that waits for longer than
//! [`LOCK_WAIT`](crate::conn::LOCK_WAIT) answers nothing, and is asked again.

use super::Races;
use super::local::{self, Mine};
use super::rows::{self, Key, Status, WrittenBy};
use crate::{Conn, Database, DatabaseError, StepError, StepResult};

/// What became of a local transaction. It stays so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    /// It committed.
    Committed,
    /// It did not, and never will.
    Never,
}

/// Names a local transaction: the producer group and the half id.
#[derive(Clone, Debug)]
pub(crate) struct HalfKey {
    row: Key,
    producer: String,
    half_id: String,
}

impl HalfKey {
    pub(crate) fn new(producer: &str, half_id: &str) -> StepResult<Self> {
        Ok(Self {
            row: Key::half(producer, half_id)?,
            producer: producer.to_owned(),
            half_id: half_id.to_owned(),
        })
    }

    pub(crate) fn producer(&self) -> &str {
        &self.producer
    }

    pub(crate) fn half_id(&self) -> &str {
        &self.half_id
    }

    /// Makes this transaction the one of the half id; `Some`: it was decided
    /// before. Waits while another one of the same id is open.
    pub(crate) async fn enter(&self, conn: &mut Conn) -> StepResult<Option<Truth>> {
        if self.mine().enter(conn).await? {
            return Ok(None);
        }
        self.read(conn).await.map(Some)
    }

    /// Commits the transaction that entered, if the database has not ended it
    /// half way.
    pub(crate) async fn commit(&self, conn: Conn) -> StepResult<()> {
        local::finish(conn, &self.mine(), Status::Succeeded, &[]).await
    }

    /// Finds the truth, and fixes it. Safe to drop and to repeat.
    ///
    /// # Errors
    /// Unknown: the local transaction is open for long, or the database is away.
    pub(crate) async fn check(&self, database: &Database) -> StepResult<Truth> {
        let mut races = Races::new();
        loop {
            let done = self.check_once(database).await;
            match races.wait_after(&done) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => break done,
            }
        }
    }

    async fn check_once(&self, database: &Database) -> StepResult<Truth> {
        let mut conn = database.begin().await?;
        let (by, status) = (WrittenBy::Check, Status::Void);
        if rows::insert(&mut conn, &self.row, &self.half_id, by, status, None).await? {
            conn.commit().await?;
            return Ok(Truth::Never);
        }
        let truth = self.read(&mut conn).await;
        conn.rollback().await?;
        truth
    }

    /// Whether the log says that it committed; inserts nothing and waits for nobody.
    pub(crate) async fn has_committed(&self, database: &Database) -> StepResult<bool> {
        let mut conn = database.begin().await?;
        let row = rows::read(&mut conn, &self.row).await?;
        conn.rollback().await?;
        Ok(row.is_some_and(|row| row.status == Status::Succeeded))
    }

    fn mine(&self) -> Mine<'_> {
        Mine {
            key: &self.row,
            id: &self.half_id,
            by: WrittenBy::Half,
        }
    }

    async fn read(&self, conn: &mut Conn) -> StepResult<Truth> {
        match rows::read(conn, &self.row).await?.map(|row| row.status) {
            Some(Status::Succeeded) => Ok(Truth::Committed),
            Some(Status::Void) => Ok(Truth::Never),
            Some(Status::Running | Status::Started | Status::Refused) => Err(StepError::unknown(
                "the row of the log is no half message's",
            )),
            None => Err(DatabaseError::Broken.into()),
        }
    }
}
