//! Ending a dead letter: delivered again, as it was or edited, or given up.

use amends_core::message::Message;
use amends_core::time::Timestamp;

use super::{Connection, NOTHING, insert, lost_race};
use crate::store::messages::rows::NewMessage;
use crate::store::messages::{DeadLetterId, DeadLetterState, MessageWrite, Resolution, Written};
use crate::store::text::without_nul;
use crate::store::{Incarnation, StoreError};

const FIND: &str = "SELECT state, group_name, message_id, resolved_at, actor, resent_as \
    FROM dead_letters WHERE id = $1";

const RESOLVE: &str = "UPDATE dead_letters \
    SET state = $2, resolved_at = $3, actor = $4, reason = $5, resent_as = $6 \
    WHERE id = $1 AND resolved_at IS NULL";

const MESSAGE_STATE: &str = "SELECT state FROM messages WHERE id = $1";

/// The message of a dead letter, where it is not there any more.
const RESTORE: &str = "INSERT INTO messages (id, topic, tag, key, order_key, headers, \
        content_type, payload, deliver_at, created_at, state, published_at, updated_at, \
        owner, generation) \
    SELECT message_id, topic, tag, key, order_key, headers, content_type, payload, deliver_at, \
        message_created_at, 'PUBLISHED', $2, $2, $3, 1 \
    FROM dead_letters WHERE id = $1 ON CONFLICT DO NOTHING";

/// A row that is delivered again takes a new place: readers are beyond the old one.
const REMOVE_DEAD: &str =
    "DELETE FROM deliveries WHERE message_id = $1 AND group_name = $2 AND state = 'DEAD'";

const DELIVER: &str = "INSERT INTO deliveries \
        (group_name, topic, message_id, order_key, state, attempts, next_at, updated_at) \
    SELECT $2, topic, id, order_key, \
        CASE WHEN $3 IS NULL THEN 'READY' ELSE 'RETRYING' END, 0, $3, $4 \
    FROM messages WHERE id = $1 ON CONFLICT DO NOTHING";

/// State, group, message, and how it was resolved: when, by whom, resent as what.
type Found = (
    String,
    String,
    String,
    Option<i64>,
    Option<String>,
    Option<String>,
);

pub(super) async fn resolve(
    connection: &mut Connection,
    owner: &Incarnation,
    write: &MessageWrite,
) -> Result<Written, StoreError> {
    let MessageWrite::Resolve {
        id,
        resolution,
        actor,
        reason,
        now,
    } = write
    else {
        return Ok(NOTHING);
    };
    let Some(found) = find(connection, id).await? else {
        return Ok(NOTHING);
    };
    let (_, group, message, ..) = &found;
    let (end, resent_as, at, edited) = match resolution {
        Resolution::Discard => (DeadLetterState::Discarded, None, None, None),
        Resolution::Resend { edited, at } => {
            let id = edited.as_ref().map(|edited| edited.id.as_str());
            let resent_as = Some(id.unwrap_or(message));
            (DeadLetterState::Resent, resent_as, *at, edited.as_deref())
        }
    };
    let actor = without_nul(actor);
    let resolved = sqlx::query(RESOLVE)
        .bind(&id.0)
        .bind(end.as_str())
        .bind(now.0)
        .bind(&actor)
        .bind(without_nul(reason))
        .bind(resent_as);
    if let (true, Some(taken)) = (is_open(&found), state_of(connection, edited).await?) {
        return Ok(Written::Conflict { state: Some(taken) });
    }
    if resolved.execute(&mut *connection).await?.rows_affected() == 0 {
        let found = find(connection, id).await?;
        let found = found.ok_or_else(|| lost_race("resolve a dead letter"))?;
        let (state, _, _, resolved_at, resolved_by, was_resent_as) = found;
        let before = state == end.as_str()
            && resolved_at == Some(now.0)
            && resolved_by == Some(actor)
            && was_resent_as.as_deref() == resent_as;
        return Ok(match before {
            true => Written::Done,
            false => Written::Conflict { state: Some(state) },
        });
    }
    if end == DeadLetterState::Resent {
        let again = Again {
            letter: id,
            group,
            message,
            edited,
            at,
            now: *now,
        };
        again.deliver(connection, owner).await?;
    }
    Ok(Written::Done)
}

async fn find(connection: &mut Connection, id: &DeadLetterId) -> Result<Option<Found>, StoreError> {
    let found = sqlx::query_as(FIND).bind(&id.0);
    Ok(found.fetch_optional(connection).await?)
}

fn is_open(found: &Found) -> bool {
    found.0 == DeadLetterState::Open.as_str()
}

/// A message that goes to its group once more.
struct Again<'a> {
    letter: &'a DeadLetterId,
    group: &'a str,
    message: &'a str,
    edited: Option<&'a Message>,
    at: Option<Timestamp>,
    now: Timestamp,
}

impl Again<'_> {
    async fn deliver(
        &self,
        connection: &mut Connection,
        owner: &Incarnation,
    ) -> Result<(), StoreError> {
        let id = match self.edited {
            Some(edited) => {
                let new = NewMessage::published(edited, self.now)?;
                if !insert(connection, owner, &new).await? {
                    return Err(lost_race("name a message that is resent"));
                }
                new.id
            }
            None => {
                self.restore(connection, owner).await?;
                self.message
            }
        };
        sqlx::query(DELIVER)
            .bind(id)
            .bind(self.group)
            .bind(self.at.map(|at| at.0))
            .bind(self.now.0)
            .execute(connection)
            .await?;
        Ok(())
    }

    async fn restore(
        &self,
        connection: &mut Connection,
        owner: &Incarnation,
    ) -> Result<(), StoreError> {
        sqlx::query(RESTORE)
            .bind(&self.letter.0)
            .bind(self.now.0)
            .bind(&owner.0)
            .execute(&mut *connection)
            .await?;
        sqlx::query(REMOVE_DEAD)
            .bind(self.message)
            .bind(self.group)
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// The state of the message whose id an edited one wants, if it is taken.
async fn state_of(
    connection: &mut Connection,
    edited: Option<&Message>,
) -> Result<Option<String>, StoreError> {
    let Some(edited) = edited else {
        return Ok(None);
    };
    let found = sqlx::query_scalar(MESSAGE_STATE).bind(edited.id.as_str());
    Ok(found.fetch_optional(connection).await?)
}
