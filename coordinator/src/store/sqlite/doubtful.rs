//! Writing a batch in which not everything is as its writer believes: a
//! conflict, or a repetition of what is already there.
//!
//! Rare, so it is written to be plain, not fast: the batch travels as one JSON
//! value, and each statement tells which items it has written.

use std::collections::HashSet;

use sqlx::{Connection, SqliteConnection};

use crate::store::rows::NewRow;
use crate::store::{Incarnation, StoreError};

/// New transactions: those whose id is free.
const CREATE: &str = "INSERT INTO transactions (gid, kind, state, definition_hash, \
        definition_name, definition_version, cause_step, cause_code, cause_message, owner, \
        generation, last_record, created_at, updated_at, finished_at, wake_at) \
    SELECT value ->> 'gid', value ->> 'kind', value ->> 'state', value ->> 'definition_hash', \
        value ->> 'definition_name', value ->> 'definition_version', value ->> 'cause_step', \
        value ->> 'cause_code', value ->> 'cause_message', $2, value ->> 'generation', \
        value ->> 'last', value ->> 'created_at', value ->> 'updated_at', \
        value ->> 'finished_at', value ->> 'wake_at' \
    FROM json_each($1) WHERE value ->> 'previous' = 0 \
    ON CONFLICT DO NOTHING RETURNING gid";

/// Known transactions: those that are still as the writer believes.
const ADVANCE: &str = "UPDATE transactions SET state = value ->> 'state', \
        cause_step = value ->> 'cause_step', cause_code = value ->> 'cause_code', \
        cause_message = value ->> 'cause_message', last_record = value ->> 'last', \
        updated_at = value ->> 'updated_at', finished_at = value ->> 'finished_at', \
        wake_at = value ->> 'wake_at', parked = NULL \
    FROM json_each($1) \
    WHERE value ->> 'previous' > 0 AND gid = value ->> 'gid' AND owner = $2 \
        AND generation = value ->> 'generation' AND last_record = value ->> 'previous' \
    RETURNING gid";

/// The log rows of those that were written and have new records.
const LOG: &str = "INSERT INTO transaction_log (gid, seq, records) \
    SELECT value ->> 'gid', value ->> 'first', value ->> 'records' FROM json_each($1) \
    WHERE value ->> 'records' <> ''";

/// Those that an earlier try of the same write has written, and nothing since.
/// One without records needs no place here: it advances as often as it comes.
const WRITTEN_BEFORE: &str = "SELECT t.gid FROM json_each($1) \
    JOIN transactions t ON t.gid = value ->> 'gid' AND t.owner = $2 \
        AND t.generation = value ->> 'generation' AND t.last_record = value ->> 'last' \
    JOIN transaction_log l ON l.gid = t.gid AND l.seq = value ->> 'first' \
        AND l.records = value ->> 'records'";

/// Writes what can be written; the ids of all that are durable from here on.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    owner: &Incarnation,
    rows: &[NewRow<'_>],
) -> Result<HashSet<String>, StoreError> {
    let all = json(rows)?;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut written = HashSet::with_capacity(rows.len());
    written.extend(gids(&mut transaction, CREATE, &all, owner).await?);
    written.extend(gids(&mut transaction, ADVANCE, &all, owner).await?);
    let (new, rest): (Vec<_>, Vec<_>) = rows.iter().partition(|row| written.contains(row.gid));
    let log = sqlx::query(LOG).bind(json(&new)?);
    log.execute(&mut *transaction).await?;
    let rest = json(&rest)?;
    written.extend(gids(&mut transaction, WRITTEN_BEFORE, &rest, owner).await?);
    transaction.commit().await?;
    Ok(written)
}

async fn gids(
    connection: &mut SqliteConnection,
    statement: &'static str,
    rows: &str,
    owner: &Incarnation,
) -> Result<Vec<String>, StoreError> {
    let statement = sqlx::query_scalar(statement).bind(rows).bind(&owner.0);
    Ok(statement.fetch_all(connection).await?)
}

fn json<T: serde::Serialize>(rows: &[T]) -> Result<String, StoreError> {
    let unlikely = |error: serde_json::Error| StoreError::Corrupt(error.to_string());
    serde_json::to_string(rows).map_err(unlikely)
}
