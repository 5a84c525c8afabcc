//! Writing one change after the other, as each finds the rows when its turn comes.
//!
//! Compiled once for each database (`Db` and `Connection` of the module above):
//! the statements read the same in both. Batches go through here where they are
//! mixed, rare, or not as their writers believe; the caller has begun a
//! database transaction.

mod half;
mod resolve;
mod settle;

use amends_core::id::Generation;
use amends_core::message::{GroupName, Message, MessageId, MessageState};
use amends_core::time::Timestamp;
use sqlx::Database;
use sqlx::query::Query;

use super::{Connection, Db};
use crate::store::messages::rows::{self, NewMessage, new_message};
use crate::store::messages::{Birth, MessageWrite, StoredMessage, Written};
use crate::store::rows::signed;
use crate::store::text::without_nul;
use crate::store::{Incarnation, StoreError};

type Bound<'q> = Query<'q, Db, <Db as Database>::Arguments>;

const INSERT: &str = "INSERT INTO messages (id, topic, tag, key, order_key, headers, \
        content_type, payload, deliver_at, created_at, state, due_at, published_at, \
        updated_at, half_id, half_no, producer, delay, check_at, owner, generation) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, \
        $18, $19, $20, 1) \
    ON CONFLICT DO NOTHING";

const FAN_OUT: &str = "INSERT INTO deliveries \
        (group_name, topic, message_id, order_key, state, attempts, updated_at) \
    SELECT $2, topic, id, order_key, 'READY', 0, $3 FROM messages WHERE id = $1 \
    ON CONFLICT DO NOTHING";

const CLAIM: &str = "UPDATE messages SET try_count = try_count + 1, updated_at = $4 \
    WHERE id = $1 AND owner = $2 AND generation = $3 AND state = 'COMMITTED'";

const PUBLISH: &str = "UPDATE messages SET state = 'PUBLISHED', published_at = $4, \
        updated_at = $4, due_at = NULL, next_try_at = NULL, last_error = NULL \
    WHERE id = $1 AND owner = $2 AND generation = $3 AND state = 'COMMITTED'";

const FAIL: &str = "UPDATE messages SET try_count = try_count + 1, updated_at = $4, \
        last_error = $5, next_try_at = $6, due_at = $6 \
    WHERE id = $1 AND owner = $2 AND generation = $3 AND state = 'COMMITTED'";

const CANCEL: &str = "UPDATE messages SET state = 'ROLLED_BACK', updated_at = $2, \
        last_error = $3, due_at = NULL, next_try_at = NULL \
    WHERE id = $1 AND state = 'COMMITTED' AND try_count = 0";

const RETRY_NOW: &str = "UPDATE messages SET next_try_at = $2, due_at = $2, updated_at = $2 \
    WHERE id = $1 AND state = 'COMMITTED' AND next_try_at IS NOT NULL";

const STATE: &str = "SELECT state, updated_at FROM messages WHERE id = $1";

const STORED: &str = concat!(
    "SELECT ",
    rows::message_columns!(),
    ", ",
    rows::stored_columns!(),
    " FROM messages m WHERE m.id = $1"
);

/// Makes one change.
pub(super) async fn write(
    connection: &mut Connection,
    owner: &Incarnation,
    write: &MessageWrite,
) -> Result<Written, StoreError> {
    match write {
        MessageWrite::Accept { message, birth } => accept(connection, owner, message, birth).await,
        MessageWrite::Settle { .. } => settle::settle(connection, owner, write).await,
        MessageWrite::Resolve { .. } => resolve::resolve(connection, owner, write).await,
        MessageWrite::Prepare { .. } => half::prepare(connection, owner, write).await,
        MessageWrite::Decide { .. } => half::decide_all(connection, owner, write).await,
        MessageWrite::Checked { .. } => half::checked(connection, owner, write).await,
        MessageWrite::AskNow { half, now } => half::ask_now(connection, owner, half, *now).await,
        MessageWrite::Claim { .. } | MessageWrite::Publish { .. } | MessageWrite::Fail { .. } => {
            match by_owner(owner, write)? {
                Some(change) => change.make(connection).await,
                None => Ok(NOTHING),
            }
        }
        MessageWrite::Cancel { .. } | MessageWrite::RetryNow { .. } => match by_anybody(write) {
            Some(change) => change.make(connection).await,
            None => Ok(NOTHING),
        },
    }
}

/// There is no such thing.
const NOTHING: Written = Written::Conflict { state: None };

async fn accept(
    connection: &mut Connection,
    owner: &Incarnation,
    message: &Message,
    birth: &Birth,
) -> Result<Written, StoreError> {
    let new = NewMessage::born(message, birth)?;
    if !insert(connection, owner, &new).await? {
        let found = found(connection, new.id).await?;
        let found = found.ok_or_else(|| lost_race("accept a message"))?;
        return Ok(Written::Exists(Box::new(found)));
    }
    if let Birth::Published { fanout } = birth {
        fan_out(connection, &message.id, fanout, new.updated_at).await?;
    }
    Ok(Written::Done)
}

async fn found(connection: &mut Connection, id: &str) -> Result<Option<StoredMessage>, StoreError> {
    let found: Option<rows::StoredRow> = sqlx::query_as(STORED)
        .bind(id)
        .fetch_optional(connection)
        .await?;
    found.map(StoredMessage::try_from).transpose()
}

/// Inserts a message; false when its id is taken.
async fn insert(
    connection: &mut Connection,
    owner: &Incarnation,
    new: &NewMessage<'_>,
) -> Result<bool, StoreError> {
    let insert = new_message!(sqlx::query(INSERT), new).bind(&owner.0);
    let done = insert.execute(connection).await?;
    Ok(done.rows_affected() == 1)
}

async fn fan_out(
    connection: &mut Connection,
    id: &MessageId,
    groups: &[GroupName],
    now: i64,
) -> Result<(), StoreError> {
    for group in groups {
        sqlx::query(FAN_OUT)
            .bind(id.as_str())
            .bind(group.as_str())
            .bind(now)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// A change of one message that compares the state it is in.
struct Change<'a> {
    id: &'a MessageId,
    statement: Bound<'a>,
    /// States that it may end in: found there with the same time, it was made before.
    ends_in: &'a [MessageState],
    fanout: &'a [GroupName],
    now: Timestamp,
}

impl Change<'_> {
    async fn make(self, connection: &mut Connection) -> Result<Written, StoreError> {
        let done = self.statement.execute(&mut *connection).await?;
        if done.rows_affected() == 1 {
            fan_out(connection, self.id, self.fanout, self.now.0).await?;
            return Ok(Written::Done);
        }
        let found: Option<(String, i64)> = sqlx::query_as(STATE)
            .bind(self.id.as_str())
            .fetch_optional(connection)
            .await?;
        let Some((state, updated_at)) = found else {
            return Ok(NOTHING);
        };
        let ended = self.ends_in.iter().any(|end| end.as_str() == state);
        if ended && updated_at == self.now.0 {
            return Ok(Written::Done);
        }
        Ok(Written::Conflict { state: Some(state) })
    }
}

/// Changes that only the owner makes, in the generation it believes in.
fn by_owner<'a>(
    owner: &Incarnation,
    write: &'a MessageWrite,
) -> Result<Option<Change<'a>>, StoreError> {
    use MessageWrite as W;
    let fenced = |statement, id: &MessageId, generation: Generation, now: Timestamp| {
        let statement: Bound<'a> = sqlx::query(statement).bind(id.as_str()).bind(&owner.0);
        Ok::<_, StoreError>(statement.bind(signed(generation.0)?).bind(now.0))
    };
    let mut groups: &[GroupName] = &[];
    let mut ends_in: &[MessageState] = &[];
    let (id, now, statement) = match write {
        W::Claim {
            id,
            generation,
            now,
        } => (id, now, fenced(CLAIM, id, *generation, *now)?),
        W::Publish {
            id,
            generation,
            fanout,
            now,
        } => {
            groups = fanout;
            ends_in = &[MessageState::Published];
            (id, now, fenced(PUBLISH, id, *generation, *now)?)
        }
        W::Fail {
            id,
            generation,
            error,
            next_try_at,
            now,
        } => {
            let fail = fenced(FAIL, id, *generation, *now)?;
            let fail = fail.bind(without_nul(error)).bind(next_try_at.0);
            (id, now, fail)
        }
        _ => return Ok(None),
    };
    Ok(Some(Change {
        id,
        statement,
        ends_in,
        fanout: groups,
        now: *now,
    }))
}

/// Changes that need nothing but the right state.
fn by_anybody(write: &MessageWrite) -> Option<Change<'_>> {
    use MessageWrite as W;
    Some(match write {
        W::Cancel { id, reason, now } => Change {
            id,
            statement: sqlx::query(CANCEL)
                .bind(id.as_str())
                .bind(now.0)
                .bind(without_nul(reason)),
            ends_in: &[MessageState::RolledBack],
            fanout: &[],
            now: *now,
        },
        W::RetryNow { id, now } => Change {
            id,
            statement: sqlx::query(RETRY_NOW).bind(id.as_str()).bind(now.0),
            ends_in: &[],
            fanout: &[],
            now: *now,
        },
        _ => return None,
    })
}

fn lost_race(to: &str) -> StoreError {
    StoreError::Unavailable(format!("lost a race to {to}, won by nobody").into())
}
