//! Writing a batch, in the common case that everything is as its writer
//! believes: each kind of change is a few statements of many rows. Where one
//! makes fewer changes than it has rows, nothing is kept and the batch is
//! written one by one. Rows that may not be written are ignored for that, as in
//! the store's `append`: a statement that could fail halfway costs more.

use sqlx::SqliteConnection;

use super::values::{Bound, Values};
use super::{begin, each};
use crate::store::messages::half::{Decided, decided_message};
use crate::store::messages::plan::{Done, FanOut, Fenced, Plan};
use crate::store::messages::rows::{NewMessage, new_message};
use crate::store::messages::{MessageWrite, Written};
use crate::store::{Incarnation, StoreError};

/// First parameter: the owner.
const ACCEPT: Values = Values {
    before: "INSERT OR IGNORE INTO messages (generation, owner, id, topic, tag, key, order_key, headers, \
            content_type, payload, deliver_at, created_at, state, due_at, published_at, \
            updated_at, half_id, half_no, producer, delay, check_at) \
        SELECT 1, ?, * FROM (VALUES ",
    columns: 19,
    after: ") WHERE column1 IS NOT NULL",
};

/// First parameter: the owner.
const CLAIM: Values = Values {
    before: "UPDATE OR IGNORE messages SET try_count = try_count + 1, updated_at = column3 \
        FROM (SELECT ? AS me, * FROM (VALUES ",
    columns: 3,
    after: ")) WHERE id = column1 AND generation = column2 AND owner = me \
        AND state = 'COMMITTED'",
};

/// First parameter: the owner.
const PUBLISH: Values = Values {
    before: "UPDATE OR IGNORE messages SET state = 'PUBLISHED', published_at = column3, \
            updated_at = column3, due_at = NULL, next_try_at = NULL, last_error = NULL \
        FROM (SELECT ? AS me, * FROM (VALUES ",
    columns: 3,
    after: ")) WHERE id = column1 AND generation = column2 AND owner = me \
        AND state = 'COMMITTED'",
};

/// First parameter: the owner.
const DECIDE: Values = Values {
    before: "UPDATE OR IGNORE messages SET state = column3, due_at = column4, \
            deliver_at = coalesce(column4, deliver_at), published_at = column5, \
            verdict = column6, decided_at = column7, updated_at = column7, \
            decided_by = column8, reason = column9, checks = coalesce(column10, checks), \
            check_log = coalesce(column11, check_log), check_at = NULL, last_error = NULL, \
            owner = me, generation = column12 \
        FROM (SELECT ? AS me, * FROM (VALUES ",
    columns: 12,
    after: ")) WHERE id = column1 AND half_id = column2 AND verdict IS NULL",
};

/// In the order of the rows.
const FAN_OUT: Values = Values {
    before: "INSERT OR IGNORE INTO deliveries \
            (group_name, topic, message_id, order_key, state, attempts, updated_at) \
        SELECT column1, m.topic, m.id, m.order_key, 'READY', 0, column3 FROM (VALUES ",
    columns: 3,
    after: ") CROSS JOIN messages m WHERE m.id = column2",
};

const DONE: Values = Values {
    before: "UPDATE OR IGNORE deliveries SET state = 'DONE', next_at = NULL, updated_at = column4, \
            attempts = max(attempts, column3) \
        FROM (VALUES ",
    columns: 4,
    after: ") WHERE message_id = column2 AND group_name = column1 \
        AND state IN ('READY', 'RETRYING')",
};

/// The same where the group has no row yet, because an outside broker carried the message.
const DONE_ELSEWHERE: Values = Values {
    before: "INSERT INTO deliveries \
            (group_name, topic, message_id, order_key, state, attempts, updated_at) \
        SELECT column1, m.topic, m.id, m.order_key, 'DONE', column3, column4 FROM (VALUES ",
    columns: 4,
    after: ") CROSS JOIN messages m WHERE m.id = column2 \
        ON CONFLICT (message_id, group_name) DO UPDATE SET state = 'DONE', next_at = NULL, \
            updated_at = excluded.updated_at, attempts = max(attempts, excluded.attempts) \
        WHERE state <> 'DEAD'",
};

/// Writes the batch; none: not everything is as it has to be, nothing was written.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    owner: &Incarnation,
    batch: &[MessageWrite],
    plan: &Plan<'_>,
) -> Result<Option<Vec<Written>>, StoreError> {
    let mut transaction = begin(connection).await?;
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
    connection: &mut SqliteConnection,
    owner: &Incarnation,
    plan: &Plan<'_>,
) -> Result<bool, StoreError> {
    let me = Some(owner.0.as_str());
    let (accepted, claimed, published) = (&plan.accepted, &plan.claimed, &plan.published);
    let (fanned_out, done) = (&plan.fanned_out, &plan.done);
    Ok(ACCEPT.write(connection, me, accepted, accept).await?
        && CLAIM.write(connection, me, claimed, fence).await?
        && PUBLISH.write(connection, me, published, fence).await?
        && DECIDE
            .write(connection, me, &plan.decided, decide_one)
            .await?
        && FAN_OUT.write(connection, None, fanned_out, fan_out).await?
        && (DONE.write(connection, None, done, settle).await?
            || DONE_ELSEWHERE.write(connection, None, done, settle).await?))
}

fn accept<'q>(query: Bound<'q>, row: &NewMessage<'_>) -> Bound<'q> {
    new_message!(query, row)
}

fn fence<'q>(query: Bound<'q>, row: &Fenced<'_>) -> Bound<'q> {
    query.bind(row.id).bind(row.generation).bind(row.now)
}

fn decide_one<'q>(query: Bound<'q>, row: &Decided<'_>) -> Bound<'q> {
    decided_message!(query, row)
}

fn fan_out<'q>(query: Bound<'q>, row: &FanOut<'_>) -> Bound<'q> {
    query.bind(row.group).bind(row.id).bind(row.now)
}

fn settle<'q>(query: Bound<'q>, row: &Done<'_>) -> Bound<'q> {
    let query = query.bind(row.group).bind(row.id);
    query.bind(row.attempts).bind(row.now)
}
