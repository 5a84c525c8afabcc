//! Half messages: prepared together, asked about, decided together.
//!
//! Whoever changes a half changes its first message first, and so has all of them.

use amends_core::message::half::HalfId;
use amends_core::time::Timestamp;

use super::{Connection, NOTHING, fan_out, found, insert, lost_race};
use crate::store::messages::half::{decided, decided_message, groups, prepared, read_verdict};
use crate::store::messages::rows;
use crate::store::messages::{MessageWrite, StoredMessage, Written};
use crate::store::rows::signed;
use crate::store::{Incarnation, StoreError};

const OF_HALF: &str = concat!(
    "SELECT ",
    rows::message_columns!(),
    ", ",
    rows::stored_columns!(),
    " FROM messages m WHERE m.half_id = $1 ORDER BY m.half_no"
);

const REMOVE: &str = "DELETE FROM messages WHERE half_id = $1";

const DECIDE: &str = "UPDATE messages SET state = $3, due_at = $4, \
        deliver_at = coalesce($4, deliver_at), published_at = $5, verdict = $6, decided_at = $7, \
        updated_at = $7, decided_by = $8, reason = $9, checks = coalesce($10, checks), \
        check_log = coalesce($11, check_log), check_at = NULL, last_error = NULL, \
        generation = $12, owner = $13 \
    WHERE id = $1 AND half_id = $2 AND verdict IS NULL";

const CHECKED: &str = "UPDATE messages SET checks = $5, check_log = $6, check_at = $7, \
        updated_at = $4, state = CASE WHEN $7 IS NULL THEN 'STUCK' ELSE 'PREPARED' END \
    WHERE half_id = $1 AND half_no = 0 AND owner = $2 AND generation = $3 \
        AND state = 'PREPARED'";

const STUCK: &str = "UPDATE messages SET state = 'STUCK', updated_at = $2 \
    WHERE half_id = $1 AND half_no > 0";

const ASK_NOW: &str = "UPDATE messages SET state = 'PREPARED', updated_at = $2, \
        check_at = CASE WHEN half_no = 0 THEN $2 END, \
        generation = CASE WHEN half_no = 0 THEN generation + 1 ELSE generation END, owner = $3 \
    WHERE half_id = $1 AND verdict IS NULL";

/// What the first message says.
const FIRST: &str = "SELECT verdict, owner, generation, state, updated_at FROM messages \
    WHERE half_id = $1 ORDER BY half_no LIMIT 1";

#[derive(sqlx::FromRow)]
struct First {
    verdict: Option<String>,
    owner: String,
    generation: i64,
    state: String,
    updated_at: i64,
}

pub(super) async fn prepare(
    connection: &mut Connection,
    owner: &Incarnation,
    write: &MessageWrite,
) -> Result<Written, StoreError> {
    for (no, new) in prepared(write)?.iter().enumerate() {
        if insert(connection, owner, new).await? {
            continue;
        }
        if no > 0 {
            // Those before it are of this write, because the first one was free.
            let half = new.half_id;
            sqlx::query(REMOVE)
                .bind(half)
                .execute(&mut *connection)
                .await?;
        }
        let rows: Vec<rows::StoredRow> = sqlx::query_as(OF_HALF)
            .bind(new.half_id)
            .fetch_all(&mut *connection)
            .await?;
        if !rows.is_empty() {
            let rows: Result<_, _> = rows.into_iter().map(StoredMessage::try_from).collect();
            return Ok(Written::HalfExists(rows?));
        }
        let found = found(connection, new.id).await?;
        let found = found.ok_or_else(|| lost_race("prepare a message"))?;
        return Ok(Written::Exists(Box::new(found)));
    }
    Ok(Written::Done)
}

pub(super) async fn decide_all(
    connection: &mut Connection,
    owner: &Incarnation,
    write: &MessageWrite,
) -> Result<Written, StoreError> {
    let MessageWrite::Decide {
        half,
        verdict,
        messages,
        generation,
        now,
        ..
    } = write
    else {
        return Ok(NOTHING);
    };
    for (no, row) in decided(write)?.iter().enumerate() {
        let decide = decided_message!(sqlx::query(DECIDE), row).bind(&owner.0);
        if decide.execute(&mut *connection).await?.rows_affected() == 1 {
            continue;
        }
        if no > 0 {
            return Err(StoreError::Corrupt(format!(
                "message {} does not follow its half {half}",
                row.id
            )));
        }
        let Some(first) = first(connection, half).await? else {
            return Ok(NOTHING);
        };
        let Some(stored) = first.verdict else {
            return Ok(Written::Conflict {
                state: Some(first.state),
            });
        };
        let stored = read_verdict(&stored)?;
        let own = first.owner == owner.0 && first.generation == signed(generation.0)?;
        return Ok(match own && stored == *verdict {
            true => Written::Done,
            false => Written::Decided(stored),
        });
    }
    for (id, end) in messages {
        fan_out(connection, id, groups(end), now.0).await?;
    }
    Ok(Written::Done)
}

pub(super) async fn checked(
    connection: &mut Connection,
    owner: &Incarnation,
    write: &MessageWrite,
) -> Result<Written, StoreError> {
    let MessageWrite::Checked {
        half,
        generation,
        checks,
        log,
        next_check_at,
        now,
    } = write
    else {
        return Ok(NOTHING);
    };
    let done = sqlx::query(CHECKED)
        .bind(half.as_str())
        .bind(&owner.0)
        .bind(signed(generation.0)?)
        .bind(now.0)
        .bind(i64::from(*checks))
        .bind(rows::json(log)?)
        .bind(next_check_at.map(|at| at.0))
        .execute(&mut *connection)
        .await?;
    if done.rows_affected() == 0 {
        let stuck = next_check_at.is_none();
        return match first(connection, half).await? {
            // As an earlier try of this write left it.
            Some(First {
                verdict: None,
                state,
                updated_at,
                ..
            }) if stuck && state == "STUCK" && updated_at == now.0 => Ok(Written::Done),
            first => unchanged(first),
        };
    }
    if next_check_at.is_none() {
        let stuck = sqlx::query(STUCK).bind(half.as_str()).bind(now.0);
        stuck.execute(connection).await?;
    }
    Ok(Written::Done)
}

pub(super) async fn ask_now(
    connection: &mut Connection,
    owner: &Incarnation,
    half: &HalfId,
    now: Timestamp,
) -> Result<Written, StoreError> {
    let done = sqlx::query(ASK_NOW)
        .bind(half.as_str())
        .bind(now.0)
        .bind(&owner.0)
        .execute(&mut *connection)
        .await?;
    match done.rows_affected() {
        0 => unchanged(first(connection, half).await?),
        _ => Ok(Written::Done),
    }
}

async fn first(connection: &mut Connection, half: &HalfId) -> Result<Option<First>, StoreError> {
    let first = sqlx::query_as(FIRST).bind(half.as_str());
    Ok(first.fetch_optional(connection).await?)
}

fn unchanged(first: Option<First>) -> Result<Written, StoreError> {
    Ok(match first {
        Some(First {
            verdict: Some(verdict),
            ..
        }) => Written::Decided(read_verdict(&verdict)?),
        Some(first) => Written::Conflict {
            state: Some(first.state),
        },
        None => NOTHING,
    })
}
