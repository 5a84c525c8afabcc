//! Messages in SQLite: the file's, and those of the store in memory.

mod batch;
#[path = "../each/mod.rs"]
#[expect(
    clippy::duplicate_mod,
    reason = "the same statements, for another type of database"
)]
mod each;
mod values;

use sqlx::{Connection as _, Sqlite, SqliteConnection, Transaction};

use super::{GroupOwnership, MessageWrite, Written, plan};
use crate::store::{Incarnation, StoreError};

type Connection = SqliteConnection;
/// What the shared statements speak to.
pub(super) type Db = Sqlite;

/// Any other owner is gone. Two ranges, because "differs" uses no index.
const ADOPT: &str = "UPDATE messages SET owner = $1, generation = generation + 1 \
    WHERE id IN ( \
        SELECT id FROM messages WHERE due_at IS NOT NULL AND owner < $1 \
        UNION ALL \
        SELECT id FROM messages WHERE due_at IS NOT NULL AND owner > $1 \
        UNION ALL \
        SELECT id FROM messages WHERE check_at IS NOT NULL AND owner < $1 \
        UNION ALL \
        SELECT id FROM messages WHERE check_at IS NOT NULL AND owner > $1 LIMIT $2)";

const OWN: &str = "UPDATE subscriptions SET owner = $1, generation = generation + 1 \
    WHERE group_name = $2 AND topic = $3 AND (owner IS NULL OR owner <> $1)";

/// Begins to make rows wait, or to remove some that do not. There is one
/// writer, so places come in the order of the commits.
pub(super) async fn begin(
    connection: &mut Connection,
) -> Result<Transaction<'_, Sqlite>, StoreError> {
    Ok(connection.begin_with("BEGIN IMMEDIATE").await?)
}

pub(super) async fn write(
    connection: &mut Connection,
    owner: &Incarnation,
    batch: &[MessageWrite],
) -> Result<Vec<Written>, StoreError> {
    if let Some(plan) = plan::plan(batch)?
        && let Some(written) = batch::write(connection, owner, batch, &plan).await?
    {
        return Ok(written);
    }
    let mut transaction = begin(connection).await?;
    let mut written = Vec::with_capacity(batch.len());
    for write in batch {
        written.push(each::write(&mut transaction, owner, write).await?);
    }
    transaction.commit().await?;
    Ok(written)
}

pub(super) async fn adopt(
    connection: &mut Connection,
    owner: &Incarnation,
    limit: u32,
) -> Result<u64, StoreError> {
    let adopt = sqlx::query(ADOPT).bind(&owner.0).bind(i64::from(limit));
    Ok(adopt.execute(connection).await?.rows_affected())
}

/// Nobody else lives.
pub(super) async fn own(
    connection: &mut Connection,
    owner: &Incarnation,
    group: &str,
    topic: &str,
) -> Result<GroupOwnership, StoreError> {
    let own = sqlx::query(OWN).bind(&owner.0).bind(group).bind(topic);
    own.execute(connection).await?;
    Ok(GroupOwnership::Own)
}

/// A list of ids, as the shared statements take it.
pub(super) fn list(ids: Vec<&str>) -> sqlx::types::Json<Vec<&str>> {
    sqlx::types::Json(ids)
}
