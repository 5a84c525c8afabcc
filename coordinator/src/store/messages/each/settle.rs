//! What became of a message in a group.

use amends_core::message::{GroupName, Message};
use amends_core::time::Timestamp;

use super::{Connection, insert, lost_race};
use crate::store::messages::rows::NewMessage;
use crate::store::messages::{DeadLetterId, MessageWrite, Outcome, Written};
use crate::store::text::without_nul;
use crate::store::{Incarnation, StoreError};

/// A late report of fewer attempts than are known changes nothing; that it was
/// handled counts always.
const SETTLE: &str = "UPDATE deliveries SET state = $3, next_at = $5, updated_at = $7, \
        attempts = CASE WHEN attempts > $4 THEN attempts ELSE $4 END, \
        first_error = coalesce(first_error, $6), last_error = coalesce($6, last_error) \
    WHERE message_id = $1 AND group_name = $2 AND state IN ('READY', 'RETRYING') \
        AND (attempts <= $4 OR $3 = 'DONE') \
    RETURNING first_error";

const STATE: &str = "SELECT state FROM deliveries WHERE message_id = $1 AND group_name = $2";

const INSERT: &str = "INSERT INTO deliveries (message_id, group_name, state, attempts, next_at, \
        first_error, last_error, updated_at, topic, order_key) \
    VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $8, $9) ON CONFLICT DO NOTHING";

const INSERT_LETTER: &str = "INSERT INTO dead_letters (message_id, topic, tag, key, order_key, \
        headers, content_type, payload, deliver_at, message_created_at, id, group_name, \
        attempts, first_error, last_error, created_at, state) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 'OPEN')";

const LETTER_OF: &str = "SELECT count(*) FROM dead_letters \
    WHERE id = $1 AND message_id = $2 AND group_name = $3";

/// A row as it is to become.
struct Row<'a> {
    group: &'a GroupName,
    message: &'a Message,
    attempts: i64,
    state: &'static str,
    next_at: Option<i64>,
    error: Option<String>,
    letter: Option<&'a DeadLetterId>,
    now: Timestamp,
}

pub(super) async fn settle(
    connection: &mut Connection,
    owner: &Incarnation,
    write: &MessageWrite,
) -> Result<Written, StoreError> {
    let MessageWrite::Settle {
        group,
        message,
        attempts,
        outcome,
        now,
    } = write
    else {
        return Ok(super::NOTHING);
    };
    let (state, next_at, error, letter) = match outcome {
        Outcome::Done => ("DONE", None, None, None),
        Outcome::Retry { at, error } => ("RETRYING", Some(at.0), Some(error), None),
        Outcome::Dead { id, error } => ("DEAD", None, Some(error), Some(id)),
        Outcome::Keep => ("READY", None, None, None),
    };
    let row = Row {
        group,
        message,
        attempts: i64::from(*attempts),
        state,
        next_at,
        error: error.map(|error| without_nul(error)),
        letter,
        now: *now,
    };
    if let Some(written) = row.update(connection).await? {
        return Ok(written);
    }
    if row.insert(connection, owner).await? {
        return Ok(Written::Done);
    }
    // Another coordinator has just made it.
    let written = row.update(connection).await?;
    written.ok_or_else(|| lost_race("settle a message"))
}

impl Row<'_> {
    /// Changes the row that is there; none: there is none.
    async fn update(&self, connection: &mut Connection) -> Result<Option<Written>, StoreError> {
        if self.state != "READY" {
            let changed: Option<Option<String>> = sqlx::query_scalar(SETTLE)
                .bind(self.message.id.as_str())
                .bind(self.group.as_str())
                .bind(self.state)
                .bind(self.attempts)
                .bind(self.next_at)
                .bind(self.error.as_deref())
                .bind(self.now.0)
                .fetch_optional(&mut *connection)
                .await?;
            if let Some(first_error) = changed {
                self.insert_letter(connection, first_error).await?;
                return Ok(Some(Written::Done));
            }
        }
        let found: Option<String> = sqlx::query_scalar(STATE)
            .bind(self.message.id.as_str())
            .bind(self.group.as_str())
            .fetch_optional(&mut *connection)
            .await?;
        let Some(found) = found else {
            return Ok(None);
        };
        let there = match (self.state, found.as_str()) {
            ("DONE", "DONE") | ("READY", "READY" | "RETRYING") => true,
            ("DEAD", "DEAD") => self.has_letter(connection).await?,
            _ => false,
        };
        Ok(Some(match there {
            true => Written::Done,
            false => Written::Conflict { state: Some(found) },
        }))
    }

    /// Makes the row, and its message if that is not there; false when the row is there.
    async fn insert(
        &self,
        connection: &mut Connection,
        owner: &Incarnation,
    ) -> Result<bool, StoreError> {
        let new = NewMessage::published(self.message, self.now)?;
        insert(connection, owner, &new).await?;
        let done = sqlx::query(INSERT)
            .bind(new.id)
            .bind(self.group.as_str())
            .bind(self.state)
            .bind(self.attempts)
            .bind(self.next_at)
            .bind(self.error.as_deref())
            .bind(self.now.0)
            .bind(new.topic)
            .bind(new.order_key)
            .execute(&mut *connection)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        self.insert_letter(connection, None).await?;
        Ok(true)
    }

    async fn insert_letter(
        &self,
        connection: &mut Connection,
        first_error: Option<String>,
    ) -> Result<(), StoreError> {
        let (Some(letter), Some(error)) = (self.letter, &self.error) else {
            return Ok(());
        };
        let new = NewMessage::published(self.message, self.now)?;
        sqlx::query(INSERT_LETTER)
            .bind(new.id)
            .bind(new.topic)
            .bind(new.tag)
            .bind(new.key)
            .bind(new.order_key)
            .bind(new.headers.as_ref())
            .bind(new.content_type.as_ref())
            .bind(new.payload)
            .bind(new.deliver_at)
            .bind(new.created_at)
            .bind(&letter.0)
            .bind(self.group.as_str())
            .bind(self.attempts)
            .bind(first_error.as_ref().unwrap_or(error))
            .bind(error)
            .bind(self.now.0)
            .execute(connection)
            .await?;
        Ok(())
    }

    async fn has_letter(&self, connection: &mut Connection) -> Result<bool, StoreError> {
        let Some(letter) = self.letter else {
            return Ok(false);
        };
        let found: i64 = sqlx::query_scalar(LETTER_OF)
            .bind(&letter.0)
            .bind(self.message.id.as_str())
            .bind(self.group.as_str())
            .fetch_one(connection)
            .await?;
        Ok(found > 0)
    }
}
