//! Writing a batch: one statement, which is its own database transaction.

use std::collections::HashSet;

use sqlx::PgConnection;

use crate::store::rows::NewRow;
use crate::store::{Append, Appended, Incarnation, StoreError};

/// New transactions whose id is free, known ones that are still as the writer
/// believes, and the log rows of those that have new records. `IS TRUE` keeps
/// the planner from making a join of that: without hash joins, one that looks
/// at each pair.
const APPEND: &str = "WITH batch AS ( \
        SELECT * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], \
            $7::bigint[], $8::text[], $9::text[], $10::text[], $11::bigint[], $12::bigint[], \
            $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], \
            $18::bigint[], $19::text[]) \
        AS b (gid, kind, state, definition_hash, definition_name, definition_version, \
            cause_step, cause_code, cause_message, generation, previous, first, last, \
            created_at, updated_at, finished_at, wake_at, records) \
    ), created AS ( \
        INSERT INTO transactions (gid, kind, state, definition_hash, definition_name, \
            definition_version, cause_step, cause_code, cause_message, owner, generation, \
            last_record, created_at, updated_at, finished_at, wake_at) \
        SELECT gid, kind, state, definition_hash, definition_name, definition_version, \
            cause_step, cause_code, cause_message, $1, generation, last, created_at, \
            updated_at, finished_at, wake_at \
        FROM batch WHERE previous = 0 ON CONFLICT DO NOTHING RETURNING gid \
    ), advanced AS ( \
        UPDATE transactions t SET state = b.state, cause_step = b.cause_step, \
            cause_code = b.cause_code, cause_message = b.cause_message, \
            last_record = b.last, updated_at = b.updated_at, finished_at = b.finished_at, \
            wake_at = b.wake_at, parked = NULL \
        FROM batch b WHERE b.previous > 0 AND t.gid = b.gid AND t.owner = $1 \
            AND t.generation = b.generation AND t.last_record = b.previous \
        RETURNING t.gid \
    ), written AS (SELECT gid FROM created UNION ALL SELECT gid FROM advanced), logged AS ( \
        INSERT INTO transaction_log (gid, seq, records) \
        SELECT gid, first, records FROM batch \
        WHERE records <> '' AND (gid IN (SELECT gid FROM written)) IS TRUE \
    ) SELECT gid FROM written";

/// Those that an earlier try of the same write has written, and nothing since.
/// One without records needs no place here: it advances as often as it comes.
const WRITTEN_BEFORE: &str = "SELECT t.gid \
    FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[]) \
        AS b (gid, generation, first, last, records) \
    JOIN transactions t ON t.gid = b.gid AND t.owner = $1 \
        AND t.generation = b.generation AND t.last_record = b.last \
    JOIN transaction_log l ON l.gid = t.gid AND l.seq = b.first AND l.records = b.records";

pub(super) async fn append(
    connection: &mut PgConnection,
    owner: &Incarnation,
    batch: &[Append],
) -> Result<Vec<Appended>, StoreError> {
    let rows = batch.iter().map(NewRow::try_from);
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    let written = write(connection, owner, &rows).await?;
    let mut written: HashSet<String> = written.into_iter().collect();
    if written.len() < rows.len() {
        let rest = rows.iter().filter(|row| !written.contains(row.gid));
        let rest: Vec<&NewRow<'_>> = rest.collect();
        let before = written_before(connection, owner, &rest).await?;
        written.extend(before);
    }
    let answers = rows.iter().map(|row| match written.contains(row.gid) {
        true => Appended::Written,
        false => Appended::Conflict,
    });
    Ok(answers.collect())
}

/// One column of the rows, as an array.
fn column<'a, T>(rows: &'a [NewRow<'_>], of: impl Fn(&'a NewRow<'_>) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

async fn write(
    connection: &mut PgConnection,
    owner: &Incarnation,
    rows: &[NewRow<'_>],
) -> Result<Vec<String>, StoreError> {
    let statement = sqlx::query_scalar(APPEND)
        .bind(&owner.0)
        .bind(column(rows, |row| row.gid))
        .bind(column(rows, |row| row.kind))
        .bind(column(rows, |row| row.state))
        .bind(column(rows, |row| row.definition_hash))
        .bind(column(rows, |row| row.definition_name))
        .bind(column(rows, |row| row.definition_version))
        .bind(column(rows, |row| row.cause_step.as_deref()))
        .bind(column(rows, |row| row.cause_code.as_deref()))
        .bind(column(rows, |row| row.cause_message.as_deref()))
        .bind(column(rows, |row| row.generation))
        .bind(column(rows, |row| row.previous))
        .bind(column(rows, |row| row.first))
        .bind(column(rows, |row| row.last))
        .bind(column(rows, |row| row.created_at))
        .bind(column(rows, |row| row.updated_at))
        .bind(column(rows, |row| row.finished_at))
        .bind(column(rows, |row| row.wake_at))
        .bind(column(rows, |row| row.records));
    Ok(statement.fetch_all(connection).await?)
}

async fn written_before(
    connection: &mut PgConnection,
    owner: &Incarnation,
    rows: &[&NewRow<'_>],
) -> Result<Vec<String>, StoreError> {
    let statement = sqlx::query_scalar(WRITTEN_BEFORE)
        .bind(&owner.0)
        .bind(rows.iter().map(|row| row.gid).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.generation).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.first).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.last).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.records).collect::<Vec<_>>());
    Ok(statement.fetch_all(connection).await?)
}
