//! The outbox: messages published together with a local transaction.
//!
//! [`Conn::publish`] writes a message into the service's own database, in the
//! transaction that is open. If that commits, the message is published; if
//! not, it never existed. Nothing is called while the transaction is open.
//!
//! ```
//! # use amends::{args, Conn, NewMessage, StepResult};
//! async fn pay(conn: &mut Conn, order: &str) -> StepResult<()> {
//!     conn.execute("UPDATE orders SET paid = 1 WHERE id = ?", args![order]).await?;
//!     conn.publish(NewMessage::new("payTopic", &order).tag("pay_success").key(order)).await?;
//!     Ok(())
//! }
//! ```
//!
//! A [`Relay`] publishes what has committed; a participant with a coordinator
//! runs one. Guarantees: what has committed is published at least once, with
//! one id, which the coordinator recognises; one relay at a time works on a
//! database, and one that was frozen beyond its lease changes nothing when it
//! wakes; messages of one topic with the same order key are published in the
//! order in which they were written, a failing one holding back those behind
//! it. What cannot be published stays as [`State::Failed`] until somebody calls
//! [`resend`].

mod lease;
mod relay;
mod rows;

use std::time::Duration;

pub use relay::{Relay, RunningRelay};
pub use rows::{Kept, State};

use crate::message::{MessageError, NewMessage};
use crate::{Conn, Database, DatabaseError};

/// Attempts after which a message counts as failed, unless the relay says otherwise.
pub const DEFAULT_MAX_ATTEMPTS: u32 = 10_000;

/// How long a message is tried before it counts as failed, unless the relay
/// says otherwise.
pub const DEFAULT_MAX_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Why a message cannot be kept in the outbox.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutboxError {
    /// It could never be published: change the code.
    #[error("the message can never be published")]
    Message(#[from] MessageError),
    /// The database refused it.
    #[error("the message cannot be kept in the outbox")]
    Database(#[from] DatabaseError),
}

impl Conn {
    /// Publishes a message if this transaction commits; see [`crate::outbox`].
    /// Returns its id. A message whose id is in the outbox already changes nothing.
    ///
    /// # Errors
    /// [`OutboxError`]; on PostgreSQL the transaction can then only be rolled back.
    pub async fn publish(&mut self, message: NewMessage) -> Result<String, OutboxError> {
        put(self, message).await
    }
}

/// The same as [`Conn::publish`].
///
/// # Errors
/// As [`Conn::publish`].
pub async fn put(conn: &mut Conn, message: NewMessage) -> Result<String, OutboxError> {
    let (message, delay) = message.checked()?;
    rows::insert(conn, &message, delay).await?;
    conn.wake_outbox_at_commit();
    Ok(message.id)
}

/// One message of the outbox; `None` when there is none, or it was sent so long
/// ago that it was removed.
///
/// # Errors
/// As the database says.
pub async fn find(database: &Database, id: &str) -> Result<Option<Kept>, DatabaseError> {
    let mut conn = database.begin().await?;
    let found = rows::find(&mut conn, id).await?;
    conn.rollback().await?;
    Ok(found)
}

/// Messages in a state, oldest first, at most `limit`.
///
/// # Errors
/// As the database says.
pub async fn list(
    database: &Database,
    state: State,
    limit: u32,
) -> Result<Vec<Kept>, DatabaseError> {
    let mut conn = database.begin().await?;
    let found = rows::list(&mut conn, state, limit).await?;
    conn.rollback().await?;
    Ok(found)
}

/// Publishes a message again that has failed, with all its attempts before it.
/// False when there is none that has failed.
///
/// # Errors
/// As the database says.
pub async fn resend(database: &Database, id: &str) -> Result<bool, DatabaseError> {
    let mut conn = database.begin().await?;
    let resent = rows::resend(&mut conn, id).await?;
    conn.wake_outbox_at_commit();
    conn.commit().await?;
    Ok(resent)
}

/// Removes messages that were sent longer ago than `age`, in small
/// transactions, and returns how many there were.
///
/// # Errors
/// As the database says.
pub async fn remove_sent_before(database: &Database, age: Duration) -> Result<u64, DatabaseError> {
    crate::consumer_log::remove_in_batches(database, "message_outbox", " and status = 1", age).await
}
