//! Who publishes: one relay at a time, for a time by the database's clock.
//!
//! The row's token grows with every change of hands, and whoever writes in the
//! name of the lease updates the row in the same transaction: a relay that was
//! frozen finds another token and changes nothing.

use std::time::Duration;

use super::rows::now;
use crate::{Conn, DatabaseError, args};

/// How long a lease holds. Longer than one publication can take.
pub(super) const LEASE: Duration = Duration::from_secs(15);

/// A lease that was ours when we last looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token(i64);

/// Takes the lease, unless another relay holds it.
pub(super) async fn take(conn: &mut Conn, holder: &str) -> Result<Option<Token>, DatabaseError> {
    let now = now(conn.dialect());
    let take = format!(
        "update message_outbox_lease set token = token + 1, holder = ?, held_until = {now} + ? \
         where name = 'relay' and held_until <= {now}"
    );
    if conn.execute(&take, args![holder, millis(LEASE)]).await? == 0 {
        return Ok(None);
    }
    let sql = "select token from message_outbox_lease where name = 'relay'";
    let row = conn.fetch_one(sql, args![]).await?;
    Ok(Some(Token(row.at(0)?)))
}

/// Extends the lease; false when it is no longer ours.
pub(super) async fn keep(
    conn: &mut Conn,
    holder: &str,
    token: Token,
    time: Duration,
) -> Result<bool, DatabaseError> {
    let now = now(conn.dialect());
    let keep = format!(
        "update message_outbox_lease set held_until = {now} + ? \
         where name = 'relay' and token = ? and holder = ?"
    );
    let kept = conn
        .execute(&keep, args![millis(time), token.0, holder])
        .await?;
    Ok(kept == 1)
}

pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4)
}
