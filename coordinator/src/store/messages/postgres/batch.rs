//! Writing a batch, in the common case that everything is as its writer
//! believes: each kind of change is one statement over arrays. Where one makes
//! fewer changes than it has rows, nothing is kept and the batch is written one
//! by one.

use sqlx::PgConnection;

use super::{begin_batch, each};
use crate::store::messages::half::Decided;
use crate::store::messages::plan::{Done, FanOut, Fenced, Plan};
use crate::store::messages::rows::NewMessage;
use crate::store::messages::{MessageWrite, Written};
use crate::store::{Incarnation, StoreError};

const ACCEPT: &str = "INSERT INTO messages (generation, owner, id, topic, tag, key, order_key, \
        headers, content_type, payload, deliver_at, created_at, state, due_at, published_at, \
        updated_at, half_id, half_no, producer, delay, check_at) \
    SELECT 1, $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], \
        $7::text[], $8::text[], $9::bytea[], $10::bigint[], $11::bigint[], $12::text[], \
        $13::bigint[], $14::bigint[], $15::bigint[], $16::text[], $17::bigint[], \
        $18::text[], $19::bigint[], $20::bigint[]) \
    ON CONFLICT DO NOTHING";

const CLAIM: &str = "UPDATE messages m SET try_count = try_count + 1, updated_at = b.now \
    FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS b (id, generation, now) \
    WHERE m.id = b.id AND m.owner = $1 AND m.generation = b.generation \
        AND m.state = 'COMMITTED'";

const PUBLISH: &str = "UPDATE messages m SET state = 'PUBLISHED', published_at = b.now, \
        updated_at = b.now, due_at = NULL, next_try_at = NULL, last_error = NULL \
    FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS b (id, generation, now) \
    WHERE m.id = b.id AND m.owner = $1 AND m.generation = b.generation \
        AND m.state = 'COMMITTED'";

const DECIDE: &str = "UPDATE messages m SET state = b.state, due_at = b.due_at, \
        deliver_at = coalesce(b.due_at, m.deliver_at), published_at = b.published_at, \
        verdict = b.verdict, decided_at = b.now, updated_at = b.now, decided_by = b.decided_by, \
        reason = b.reason, checks = coalesce(b.checks, m.checks), \
        check_log = coalesce(b.check_log, m.check_log), check_at = NULL, last_error = NULL, \
        owner = $1, generation = b.generation \
    FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], \
        $8::bigint[], $9::text[], $10::text[], $11::bigint[], $12::text[], $13::bigint[]) \
        AS b (id, half_id, state, due_at, published_at, verdict, now, decided_by, reason, \
            checks, check_log, generation) \
    WHERE m.id = b.id AND m.half_id = b.half_id AND m.verdict IS NULL";

/// In the order of the rows.
const FAN_OUT: &str = "INSERT INTO deliveries \
        (group_name, topic, message_id, order_key, state, attempts, updated_at) \
    SELECT b.group_name, m.topic, m.id, m.order_key, 'READY', 0, b.now \
    FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY \
        AS b (group_name, id, now, place) \
    JOIN messages m ON m.id = b.id ORDER BY b.place ON CONFLICT DO NOTHING";

const DONE: &str = "UPDATE deliveries d SET state = 'DONE', next_at = NULL, \
        updated_at = b.now, attempts = greatest(d.attempts, b.attempts) \
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) \
        AS b (group_name, id, attempts, now) \
    WHERE d.message_id = b.id AND d.group_name = b.group_name \
        AND d.state IN ('READY', 'RETRYING')";

/// The same where the group has no row yet, because an outside broker carried the message.
const DONE_ELSEWHERE: &str = "INSERT INTO deliveries AS d \
        (group_name, topic, message_id, order_key, state, attempts, updated_at) \
    SELECT b.group_name, m.topic, m.id, m.order_key, 'DONE', b.attempts, b.now \
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) \
        AS b (group_name, id, attempts, now) \
    JOIN messages m ON m.id = b.id \
    ON CONFLICT (message_id, group_name) DO UPDATE SET state = 'DONE', next_at = NULL, \
        updated_at = excluded.updated_at, attempts = greatest(d.attempts, excluded.attempts) \
    WHERE d.state <> 'DEAD'";

/// Writes the batch; none: not everything is as it has to be, nothing was written.
pub(super) async fn write(
    connection: &mut PgConnection,
    owner: &Incarnation,
    batch: &[MessageWrite],
    plan: &Plan<'_>,
) -> Result<Option<Vec<Written>>, StoreError> {
    let mut transaction = begin_batch(connection, batch).await?;
    if !write_many(&mut transaction, owner, plan).await? {
        transaction.rollback().await?;
        return Ok(None);
    }
    let mut written = vec![Written::Done; batch.len()];
    for &at in &plan.rest {
        if let (Some(write), Some(answer)) = (batch.get(at), written.get_mut(at)) {
            *answer = each::write(&mut transaction, owner, write).await?;
        }
    }
    transaction.commit().await?;
    Ok(Some(written))
}

/// True when every row was written.
async fn write_many(
    connection: &mut PgConnection,
    owner: &Incarnation,
    plan: &Plan<'_>,
) -> Result<bool, StoreError> {
    Ok(accept(connection, owner, &plan.accepted).await?
        && change(connection, CLAIM, owner, &plan.claimed).await?
        && change(connection, PUBLISH, owner, &plan.published).await?
        && decide_all(connection, owner, &plan.decided).await?
        && fan_out(connection, &plan.fanned_out).await?
        && (settle(connection, DONE, &plan.done).await?
            || settle(connection, DONE_ELSEWHERE, &plan.done).await?))
}

/// One column of the rows, as an array.
fn column<'a, R, T>(rows: &'a [R], of: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

async fn accept(
    connection: &mut PgConnection,
    owner: &Incarnation,
    rows: &[NewMessage<'_>],
) -> Result<bool, StoreError> {
    if rows.is_empty() {
        return Ok(true);
    }
    let done = sqlx::query(ACCEPT)
        .bind(&owner.0)
        .bind(column(rows, |row| row.id))
        .bind(column(rows, |row| row.topic))
        .bind(column(rows, |row| row.tag))
        .bind(column(rows, |row| row.key))
        .bind(column(rows, |row| row.order_key))
        .bind(column(rows, |row| row.headers.as_ref()))
        .bind(column(rows, |row| row.content_type.as_ref()))
        .bind(column(rows, |row| row.payload))
        .bind(column(rows, |row| row.deliver_at))
        .bind(column(rows, |row| row.created_at))
        .bind(column(rows, |row| row.state))
        .bind(column(rows, |row| row.due_at))
        .bind(column(rows, |row| row.published_at))
        .bind(column(rows, |row| row.updated_at))
        .bind(column(rows, |row| row.half_id))
        .bind(column(rows, |row| row.half_no))
        .bind(column(rows, |row| row.producer))
        .bind(column(rows, |row| row.delay))
        .bind(column(rows, |row| row.check_at))
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == rows.len() as u64)
}

async fn change(
    connection: &mut PgConnection,
    statement: &'static str,
    owner: &Incarnation,
    rows: &[Fenced<'_>],
) -> Result<bool, StoreError> {
    if rows.is_empty() {
        return Ok(true);
    }
    let done = sqlx::query(statement)
        .bind(&owner.0)
        .bind(column(rows, |row| row.id))
        .bind(column(rows, |row| row.generation))
        .bind(column(rows, |row| row.now))
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == rows.len() as u64)
}

async fn decide_all(
    connection: &mut PgConnection,
    owner: &Incarnation,
    rows: &[Decided<'_>],
) -> Result<bool, StoreError> {
    if rows.is_empty() {
        return Ok(true);
    }
    let done = sqlx::query(DECIDE)
        .bind(&owner.0)
        .bind(column(rows, |row| row.id))
        .bind(column(rows, |row| row.half))
        .bind(column(rows, |row| row.state))
        .bind(column(rows, |row| row.due_at))
        .bind(column(rows, |row| row.published_at))
        .bind(column(rows, |row| row.verdict))
        .bind(column(rows, |row| row.now))
        .bind(column(rows, |row| row.by))
        .bind(column(rows, |row| row.reason.as_ref()))
        .bind(column(rows, |row| row.checks))
        .bind(column(rows, |row| row.log.as_deref()))
        .bind(column(rows, |row| row.generation))
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == rows.len() as u64)
}

async fn fan_out(connection: &mut PgConnection, rows: &[FanOut<'_>]) -> Result<bool, StoreError> {
    if rows.is_empty() {
        return Ok(true);
    }
    let done = sqlx::query(FAN_OUT)
        .bind(column(rows, |row| row.group))
        .bind(column(rows, |row| row.id))
        .bind(column(rows, |row| row.now))
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == rows.len() as u64)
}

async fn settle(
    connection: &mut PgConnection,
    statement: &'static str,
    rows: &[Done<'_>],
) -> Result<bool, StoreError> {
    if rows.is_empty() {
        return Ok(true);
    }
    let done = sqlx::query(statement)
        .bind(column(rows, |row| row.group))
        .bind(column(rows, |row| row.id))
        .bind(column(rows, |row| row.attempts))
        .bind(column(rows, |row| row.now))
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == rows.len() as u64)
}
