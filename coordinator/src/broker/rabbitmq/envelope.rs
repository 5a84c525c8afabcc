//! Messages as the broker carries them.
//!
//! | of the message | at the broker |
//! |---|---|
//! | id | property `message_id` |
//! | topic, tag | exchange, routing key |
//! | content type, time of recording (whole seconds) | properties `content_type`, `timestamp` |
//! | all headers | header `amends-headers`, one JSON object |
//! | key, order key, times in milliseconds | headers `amends-key`, `amends-order-key`, ... |
//!
//! The headers are one text because some names mean something to a broker (`CC` publishes
//! to more queues, `x-death` is its own), and because theirs are shorter than ours may be.
//!
//! Messages that others publish to a topic's exchange are read too: their own headers become
//! ours, no content type means JSON. One without a `message_id` has no identity, so each
//! delivery of it is a message of its own: it is never lost, and may take effect twice.
//! (An id made from the content would take two equal messages for one and lose the second.)

use std::sync::Arc;

use amends_core::message::{
    Headers, Message, MessageId, MessageKey, OrderKey, SharedMessage, Tag, Topic,
};
use amends_core::payload::Payload;
use amends_core::time::Timestamp;
use bytes::Bytes;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use super::names;

/// Marks what a coordinator published; its value is the version of this form.
const ENVELOPE: &str = "amends-envelope";
const VERSION: i64 = 1;
const HEADERS: &str = "amends-headers";
const KEY: &str = "amends-key";
const ORDER_KEY: &str = "amends-order-key";
const CONTENT_TYPE: &str = "amends-content-type";
const CREATED_AT: &str = "amends-created-at";
const DELIVER_AT: &str = "amends-deliver-at";
/// What the broker says about messages that it moved.
const DEATHS: &str = "x-death";
/// Headers that a broker adds and others publish for it: not part of the message.
const BROKERS_OWN: [&str; 5] = [
    "x-death",
    "x-first-death",
    "x-last-death",
    "x-delivery-count",
    "x-acquired-count",
];
const ROUTING: [&str; 2] = ["CC", "BCC"];
/// To be written to disk.
const PERSISTENT: u8 = 2;

/// A message that was read, or what could be made of it and why it could not.
pub(super) type Read = Result<SharedMessage, (SharedMessage, String)>;

/// The properties with which a message is published.
pub(super) fn properties(message: &Message) -> BasicProperties {
    let mut table = FieldTable::default();
    let mut put = |name: &str, value: AMQPValue| {
        table.insert(names::fitting(name.to_owned()), value);
    };
    let text = |text: &str| AMQPValue::LongString(text.into());
    put(ENVELOPE, AMQPValue::LongLongInt(VERSION));
    put(CREATED_AT, AMQPValue::LongLongInt(message.created_at.0));
    if let Some(time) = message.deliver_at {
        put(DELIVER_AT, AMQPValue::LongLongInt(time.0));
    }
    if !message.key.as_str().is_empty() {
        put(KEY, text(message.key.as_str()));
    }
    if let Some(key) = &message.order_key {
        put(ORDER_KEY, text(key.as_str()));
    }
    if !message.headers.is_empty() {
        // A map of texts always has a JSON form.
        put(
            HEADERS,
            text(&serde_json::to_string(&message.headers).unwrap_or_default()),
        );
    }
    let mut properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_message_id(names::fitting(message.id.as_str().to_owned()))
        .with_timestamp(u64::try_from(message.created_at.0 / 1_000).unwrap_or(0));
    match ShortString::try_new(message.payload.content_type()) {
        Ok(short) => properties = properties.with_content_type(short),
        Err(_) => put(CONTENT_TYPE, text(message.payload.content_type())),
    }
    properties.with_headers(table)
}

/// Reads a message of a topic. `now` is the time of one that says none.
pub(super) fn read(delivery: Delivery, topic: &Topic, now: Timestamp) -> Read {
    let tag = delivery.routing_key.as_str().to_owned();
    parse(&delivery.properties, delivery.data, topic, &tag, now)
}

/// Reads a message that the broker gave up; always the second of the two, with the broker's reason.
pub(super) fn read_dead(
    delivery: Delivery,
    topic: &Topic,
    now: Timestamp,
) -> (SharedMessage, String) {
    let death = death(&delivery.properties);
    let tag = death.tag.unwrap_or_default();
    let (message, unreadable) = match parse(&delivery.properties, delivery.data, topic, &tag, now) {
        Ok(message) => (message, None),
        Err((message, why)) => (message, Some(why)),
    };
    let reason = format!(
        "the broker gave it up: {}{}",
        death.reason,
        unreadable.map_or(String::new(), |why| format!("; and {why}"))
    );
    (message, reason)
}

fn parse(
    properties: &BasicProperties,
    data: Vec<u8>,
    topic: &Topic,
    tag: &str,
    now: Timestamp,
) -> Read {
    let empty = FieldTable::default();
    let table = properties.headers().as_ref().unwrap_or(&empty);
    let mut problems = Problems::default();
    let id = properties.message_id().as_ref().map(ShortString::as_str);
    let id = id.and_then(|id| problems.note("its id", MessageId::new(id)));
    let seconds = properties
        .timestamp()
        .and_then(|time| i64::try_from(time).ok());
    let content_type = text(table, CONTENT_TYPE);
    let content_type = content_type
        .as_deref()
        .or(properties.content_type().as_ref().map(ShortString::as_str));
    let message = Arc::new(Message {
        id: id.unwrap_or_else(fresh_id),
        topic: topic.clone(),
        tag: problems
            .note("its tag", Tag::new(tag))
            .unwrap_or_else(no_tag),
        key: text(table, KEY)
            .and_then(|key| problems.note("its key", MessageKey::new(&key)))
            .unwrap_or_else(no_key),
        order_key: text(table, ORDER_KEY)
            .and_then(|key| problems.note("its order key", OrderKey::new(&key))),
        headers: headers(table, &mut problems),
        payload: Payload::new(content_type.unwrap_or_default(), Bytes::from(data)),
        deliver_at: number(table, DELIVER_AT).map(Timestamp),
        created_at: number(table, CREATED_AT)
            .or(seconds.and_then(|seconds| seconds.checked_mul(1_000)))
            .map_or(now, Timestamp),
    });
    match problems.text() {
        None => Ok(message),
        Some(why) => Err((message, why)),
    }
}

/// Ours as they were published, those of others as far as they are texts and numbers.
fn headers(table: &FieldTable, problems: &mut Problems) -> Headers {
    match number(table, ENVELOPE) {
        Some(VERSION) => match text(table, HEADERS) {
            None => Headers::default(),
            Some(json) => problems
                .note("its headers", serde_json::from_str(&json))
                .unwrap_or_default(),
        },
        Some(version) => {
            problems.add(format!(
                "its envelope has version {version}, this coordinator reads {VERSION}"
            ));
            Headers::default()
        }
        None => {
            let foreign = table
                .into_iter()
                .filter(|(name, _)| !is_routing(name.as_str()))
                .filter_map(|(name, value)| Some((name.to_string(), shown(value)?)));
            problems
                .note("its headers", Headers::from_publisher(foreign))
                .unwrap_or_default()
        }
    }
}

/// Whether a header is for brokers, or one of those that are read into fields of their own.
fn is_routing(name: &str) -> bool {
    let ours = [KEY, ORDER_KEY, CONTENT_TYPE, CREATED_AT, DELIVER_AT];
    ROUTING.contains(&name)
        || ours.contains(&name)
        || BROKERS_OWN.iter().any(|own| name.starts_with(own))
}

/// Why and whence the broker moved a message.
struct Death {
    reason: String,
    tag: Option<String>,
}

fn death(properties: &BasicProperties) -> Death {
    let latest = properties.headers().as_ref().and_then(|table| {
        let deaths = table.inner().get(DEATHS)?.as_array()?;
        deaths.as_slice().first()?.as_field_table()
    });
    let Some(latest) = latest else {
        let reason = "it does not say why".to_owned();
        return Death { reason, tag: None };
    };
    let tags = latest
        .inner()
        .get("routing-keys")
        .and_then(AMQPValue::as_array);
    let tag = tags.and_then(|tags| shown(tags.as_slice().first()?));
    let reason = text(latest, "reason").unwrap_or_default();
    let reason = match reason.as_str() {
        "delivery_limit" => "it was delivered too often without an acknowledgement".to_owned(),
        "maxlen" => "its queue was full".to_owned(),
        other => other.to_owned(),
    };
    Death { reason, tag }
}

/// A value as a header of ours; lists, tables and bytes have no such form.
fn shown(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => String::from_utf8(text.as_bytes().to_vec()).ok(),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        AMQPValue::Boolean(truth) => Some(truth.to_string()),
        AMQPValue::Float(number) => Some(number.to_string()),
        AMQPValue::Double(number) => Some(number.to_string()),
        AMQPValue::LongLongInt(_)
        | AMQPValue::LongInt(_)
        | AMQPValue::LongUInt(_)
        | AMQPValue::ShortInt(_)
        | AMQPValue::ShortUInt(_)
        | AMQPValue::ShortShortInt(_)
        | AMQPValue::ShortShortUInt(_)
        | AMQPValue::Timestamp(_) => integer(value).map(|number| number.to_string()),
        _ => None,
    }
}

fn text(table: &FieldTable, name: &str) -> Option<String> {
    shown(table.inner().get(name)?)
}

fn number(table: &FieldTable, name: &str) -> Option<i64> {
    integer(table.inner().get(name)?)
}

fn integer(value: &AMQPValue) -> Option<i64> {
    match *value {
        AMQPValue::LongLongInt(number) => Some(number),
        AMQPValue::LongInt(number) => Some(number.into()),
        AMQPValue::LongUInt(number) => Some(number.into()),
        AMQPValue::ShortInt(number) => Some(number.into()),
        AMQPValue::ShortUInt(number) => Some(number.into()),
        AMQPValue::ShortShortInt(number) => Some(number.into()),
        AMQPValue::ShortShortUInt(number) => Some(number.into()),
        AMQPValue::Timestamp(number) => i64::try_from(number).ok(),
        _ => None,
    }
}

/// What is wrong with an envelope.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, problem: String) {
        self.0.push(problem);
    }

    fn note<T, E: std::fmt::Display>(&mut self, what: &str, result: Result<T, E>) -> Option<T> {
        result
            .map_err(|why| self.add(format!("{what}: {why}")))
            .ok()
    }

    fn text(self) -> Option<String> {
        (!self.0.is_empty()).then(|| format!("the message cannot be read: {}", self.0.join("; ")))
    }
}

#[expect(clippy::expect_used, reason = "a UUID is short, printable ASCII")]
fn fresh_id() -> MessageId {
    MessageId::new(&uuid::Uuid::now_v7().to_string()).expect("a UUID is an id")
}

#[expect(clippy::expect_used, reason = "a tag may be empty")]
fn no_tag() -> Tag {
    Tag::new("").expect("a tag may be empty")
}

#[expect(clippy::expect_used, reason = "a key may be empty")]
fn no_key() -> MessageKey {
    MessageKey::new("").expect("a key may be empty")
}

#[cfg(test)]
mod tests;
