//! Rows of messages, deliveries, subscriptions and dead letters, to and from
//! the types of the store.
//!
//! Reading distrusts what is stored, as in [`crate::store::rows`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use amends_core::id::{BadName, Generation};
use amends_core::message::{
    DeliveryState, Filter, FilterKind, GroupName, Headers, Message, MessageState, Mode,
    RetrySchedule, SharedMessage, Subscription,
};
use amends_core::payload::Payload;
use amends_core::time::Timestamp;
use sqlx::FromRow;

use super::half::HalfRow;
use super::{
    Birth, DeadLetter, DeadLetterId, DeadLetterState, StoredDelivery, StoredMessage,
    StoredSubscription, Waiting,
};
use crate::store::rows::unsigned;
use crate::store::text::without_nul;
use crate::store::{Incarnation, StoreError};

/// A message as it begins, as a database takes it.
#[derive(Debug)]
pub(super) struct NewMessage<'a> {
    pub(super) id: &'a str,
    pub(super) topic: &'a str,
    pub(super) tag: &'a str,
    pub(super) key: &'a str,
    pub(super) order_key: Option<&'a str>,
    pub(super) headers: Cow<'static, str>,
    pub(super) content_type: Cow<'a, str>,
    pub(super) payload: &'a [u8],
    pub(super) deliver_at: Option<i64>,
    pub(super) created_at: i64,
    pub(super) state: &'static str,
    pub(super) due_at: Option<i64>,
    pub(super) published_at: Option<i64>,
    pub(super) updated_at: i64,
    pub(super) half_id: Option<&'a str>,
    pub(super) half_no: Option<i64>,
    pub(super) producer: Option<&'a str>,
    pub(super) delay: Option<i64>,
    pub(super) check_at: Option<i64>,
}

impl<'a> NewMessage<'a> {
    /// One that is accepted.
    pub(super) fn born(message: &'a Message, birth: &'a Birth) -> Result<Self, StoreError> {
        let created_at = message.created_at;
        let mut new = Self::published(message, created_at)?;
        match birth {
            Birth::Published { .. } => {}
            Birth::Committed => {
                new.state = MessageState::Committed.as_str();
                new.due_at = Some(message.deliver_at.unwrap_or(created_at).0);
                new.published_at = None;
            }
        }
        Ok(new)
    }

    /// One that was published, here or elsewhere.
    pub(super) fn published(message: &'a Message, at: Timestamp) -> Result<Self, StoreError> {
        let headers = match message.headers.is_empty() {
            true => Cow::Borrowed("{}"),
            false => Cow::Owned(json(&message.headers)?),
        };
        let content_type = message.payload.content_type();
        Ok(Self {
            id: message.id.as_str(),
            topic: message.topic.as_str(),
            tag: message.tag.as_str(),
            key: message.key.as_str(),
            order_key: message.order_key.as_ref().map(|key| key.as_str()),
            headers,
            content_type: match content_type.contains('\0') {
                true => without_nul(content_type).into(),
                false => content_type.into(),
            },
            payload: message.payload.data(),
            deliver_at: message.deliver_at.map(|at| at.0),
            created_at: message.created_at.0,
            state: MessageState::Published.as_str(),
            due_at: None,
            published_at: Some(at.0),
            updated_at: at.0,
            half_id: None,
            half_no: None,
            producer: None,
            delay: None,
            check_at: None,
        })
    }
}

/// Binds a [`NewMessage`] in the order in which the statements list its columns.
macro_rules! new_message {
    ($query:expr, $new:expr) => {
        $query
            .bind($new.id)
            .bind($new.topic)
            .bind($new.tag)
            .bind($new.key)
            .bind($new.order_key)
            .bind($new.headers.as_ref())
            .bind($new.content_type.as_ref())
            .bind($new.payload)
            .bind($new.deliver_at)
            .bind($new.created_at)
            .bind($new.state)
            .bind($new.due_at)
            .bind($new.published_at)
            .bind($new.updated_at)
            .bind($new.half_id)
            .bind($new.half_no)
            .bind($new.producer)
            .bind($new.delay)
            .bind($new.check_at)
    };
}
pub(super) use new_message;

/// The columns of [`MessageRow`], of a table that a statement calls `m`.
macro_rules! message_columns {
    () => {
        $crate::store::messages::rows::message_columns!("m.payload")
    };
    ($payload:literal) => {
        concat!(
            "m.id, m.topic, m.tag, m.key, m.order_key, m.headers, m.content_type, ",
            $payload,
            " AS payload, m.deliver_at, m.created_at"
        )
    };
}
pub(super) use message_columns;

/// A message.
#[derive(Debug, FromRow)]
pub(super) struct MessageRow {
    id: String,
    topic: String,
    tag: String,
    key: String,
    order_key: Option<String>,
    headers: String,
    content_type: String,
    payload: Vec<u8>,
    deliver_at: Option<i64>,
    created_at: i64,
}

impl TryFrom<MessageRow> for SharedMessage {
    type Error = StoreError;

    fn try_from(row: MessageRow) -> Result<Self, StoreError> {
        let headers: BTreeMap<String, String> = from_json("headers", &row.headers)?;
        Ok(Arc::new(Message {
            id: name("a message id", row.id)?,
            topic: name("a topic", row.topic)?,
            tag: name("a tag", row.tag)?,
            key: name("a key", row.key)?,
            order_key: row
                .order_key
                .map(|key| name("an order key", key))
                .transpose()?,
            headers: Headers::trusted(headers),
            payload: Payload::new(&row.content_type, row.payload.into()),
            deliver_at: row.deliver_at.map(Timestamp),
            created_at: Timestamp(row.created_at),
        }))
    }
}

/// The columns of [`StoredRow`] beside those of its message.
macro_rules! stored_columns {
    () => {
        concat!(
            "m.state, m.owner, m.generation, m.try_count, m.next_try_at, m.last_error, \
             m.published_at, m.updated_at, ",
            $crate::store::messages::half::half_columns!()
        )
    };
}
pub(super) use stored_columns;

/// A message with its state.
#[derive(Debug, FromRow)]
pub(super) struct StoredRow {
    #[sqlx(flatten)]
    message: MessageRow,
    state: String,
    owner: String,
    generation: i64,
    try_count: i64,
    next_try_at: Option<i64>,
    last_error: Option<String>,
    published_at: Option<i64>,
    updated_at: i64,
    #[sqlx(flatten)]
    half: HalfRow,
}

impl TryFrom<StoredRow> for StoredMessage {
    type Error = StoreError;

    fn try_from(row: StoredRow) -> Result<Self, StoreError> {
        Ok(Self {
            message: row.message.try_into()?,
            state: message_state(&row.state)?,
            owner: Incarnation(row.owner),
            generation: Generation(unsigned(row.generation)?),
            try_count: count(row.try_count)?,
            next_try_at: row.next_try_at.map(Timestamp),
            last_error: row.last_error,
            published_at: row.published_at.map(Timestamp),
            updated_at: Timestamp(row.updated_at),
            half: row.half.read()?,
        })
    }
}

/// A message in a group.
#[derive(Debug, FromRow)]
pub(super) struct DeliveryRow {
    group_name: String,
    position: i64,
    message_id: String,
    topic: String,
    state: String,
    attempts: i64,
    next_at: Option<i64>,
    first_error: Option<String>,
    last_error: Option<String>,
    updated_at: i64,
}

impl TryFrom<DeliveryRow> for StoredDelivery {
    type Error = StoreError;

    fn try_from(row: DeliveryRow) -> Result<Self, StoreError> {
        Ok(Self {
            group: name("a group", row.group_name)?,
            position: row.position,
            id: name("a message id", row.message_id)?,
            topic: name("a topic", row.topic)?,
            state: delivery_state(&row.state)?,
            attempts: count(row.attempts)?,
            next_at: row.next_at.map(Timestamp),
            first_error: row.first_error,
            last_error: row.last_error,
            updated_at: Timestamp(row.updated_at),
        })
    }
}

/// A waiting delivery with its message.
#[derive(Debug, FromRow)]
pub(super) struct WaitingRow {
    position: i64,
    attempts: i64,
    next_at: Option<i64>,
    #[sqlx(flatten)]
    message: MessageRow,
}

impl TryFrom<WaitingRow> for Waiting {
    type Error = StoreError;

    fn try_from(row: WaitingRow) -> Result<Self, StoreError> {
        Ok(Self {
            position: row.position,
            attempts: count(row.attempts)?,
            next_at: row.next_at.map(Timestamp),
            message: row.message.try_into()?,
        })
    }
}

/// The columns of [`DeadLetterRow`], with this for its payload, of a table that
/// a statement calls `d`.
macro_rules! dead_letter_columns {
    ($payload:literal) => {
        concat!(
            "d.id AS letter, d.group_name, d.attempts, d.first_error, d.last_error, \
             d.created_at AS died_at, d.state, d.resolved_at, d.actor, d.reason, d.resent_as, \
             d.message_id AS id, d.topic, d.tag, d.key, d.order_key, d.headers, d.content_type, ",
            $payload,
            " AS payload, d.deliver_at, d.message_created_at AS created_at"
        )
    };
}
pub(super) use dead_letter_columns;

/// A dead letter.
#[derive(Debug, FromRow)]
pub(super) struct DeadLetterRow {
    letter: String,
    group_name: String,
    #[sqlx(flatten)]
    message: MessageRow,
    attempts: i64,
    first_error: String,
    last_error: String,
    died_at: i64,
    state: String,
    resolved_at: Option<i64>,
    actor: Option<String>,
    reason: Option<String>,
    resent_as: Option<String>,
}

impl TryFrom<DeadLetterRow> for DeadLetter {
    type Error = StoreError;

    fn try_from(row: DeadLetterRow) -> Result<Self, StoreError> {
        let state = DeadLetterState::parse(&row.state);
        let resent_as = row.resent_as.map(|id| name("a message id", id));
        Ok(Self {
            id: DeadLetterId(row.letter),
            group: name("a group", row.group_name)?,
            message: row.message.try_into()?,
            attempts: count(row.attempts)?,
            first_error: row.first_error,
            last_error: row.last_error,
            created_at: Timestamp(row.died_at),
            state: state.ok_or_else(|| no_state(&row.state))?,
            resolved_at: row.resolved_at.map(Timestamp),
            actor: row.actor,
            reason: row.reason,
            resent_as: resent_as.transpose()?,
        })
    }
}

/// A subscription.
#[derive(Debug, FromRow)]
pub(super) struct SubscriptionRow {
    group_name: String,
    topic: String,
    filter_kind: String,
    filter: String,
    mode: String,
    retry: String,
    created_at: i64,
}

const CLUSTERING: &str = "CLUSTERING";
const BROADCASTING: &str = "BROADCASTING";

pub(super) fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Clustering => CLUSTERING,
        Mode::Broadcasting => BROADCASTING,
    }
}

impl TryFrom<SubscriptionRow> for StoredSubscription {
    type Error = StoreError;

    fn try_from(row: SubscriptionRow) -> Result<Self, StoreError> {
        let (kind, text) = (&row.filter_kind, &row.filter);
        let filter = match FilterKind::parse(kind) {
            Some(kind) => Filter::parse(kind, text).map_err(|error| error.to_string()),
            None => Err("this program does not know its kind".to_owned()),
        };
        let filter = filter
            .map_err(|why| StoreError::Corrupt(format!("a filter, {kind} {text:?}: {why}")))?;
        let mode = match row.mode.as_str() {
            CLUSTERING => Mode::Clustering,
            BROADCASTING => Mode::Broadcasting,
            other => return Err(StoreError::Corrupt(format!("{other:?} is no mode"))),
        };
        let retry: RetrySchedule = from_json("a retry schedule", &row.retry)?;
        Ok(Self {
            subscription: Subscription {
                group: name("a group", row.group_name)?,
                topic: name("a topic", row.topic)?,
                filter,
                mode,
                retry,
            },
            created_at: Timestamp(row.created_at),
        })
    }
}

impl DeadLetterState {
    const ALL: [Self; 3] = [Self::Open, Self::Resent, Self::Discarded];

    /// As it is stored.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Resent => "RESENT",
            Self::Discarded => "DISCARDED",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// The names of a group's copies, if it is a broadcasting one: above the first
/// text, below the second.
pub(super) fn copies(group: &GroupName) -> (String, String) {
    // 'A' follows '@'.
    (format!("{group}@"), format!("{group}A"))
}

pub(super) fn message_state(text: &str) -> Result<MessageState, StoreError> {
    MessageState::parse(text).ok_or_else(|| no_state(text))
}

pub(super) fn delivery_state(text: &str) -> Result<DeliveryState, StoreError> {
    DeliveryState::parse(text).ok_or_else(|| no_state(text))
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    let unlikely = |error: serde_json::Error| StoreError::Corrupt(error.to_string());
    serde_json::to_string(value).map_err(unlikely)
}

pub(super) fn from_json<T: serde::de::DeserializeOwned>(
    what: &str,
    text: &str,
) -> Result<T, StoreError> {
    let wrong = |error| StoreError::Corrupt(format!("{what}: {error}"));
    serde_json::from_str(text).map_err(wrong)
}

pub(super) fn name<T: TryFrom<String, Error = BadName>>(
    what: &str,
    text: String,
) -> Result<T, StoreError> {
    T::try_from(text).map_err(|error| StoreError::Corrupt(format!("{what} {error}")))
}

pub(super) fn count(number: i64) -> Result<u32, StoreError> {
    u32::try_from(number).map_err(|_| StoreError::Corrupt(format!("{number} is no count")))
}

fn no_state(text: &str) -> StoreError {
    StoreError::Corrupt(format!("{text:?} is no state"))
}
