//! [`NewMessage`]: a message that is about to be published.

use std::time::{Duration, SystemTime};

use amends_proto::v1;
use bytes::Bytes;
use serde::Serialize;

use crate::saga::convert;

/// Longest topic, tag and id, in characters.
const MAX_NAME_CHARS: usize = 128;
/// Longest key and order key, in characters.
const MAX_KEY_CHARS: usize = 255;
/// Most headers of one message.
const MAX_HEADERS: usize = 64;
/// Most bytes of all header names and values together.
const MAX_HEADERS_BYTES: usize = 16 * 1024;
/// Header names that begin so are Amends' own.
const RESERVED_HEADER_PREFIX: &str = "amends-";

/// A message to publish. It has an id from the beginning, so that publishing
/// it again, for example because the answer was lost, publishes it once.
///
/// ```
/// # use amends::NewMessage;
/// # #[derive(serde::Serialize)]
/// # struct OrderPaid { order: u64 }
/// let message = NewMessage::new("payTopic", &OrderPaid { order: 7 })
///     .tag("pay_success")
///     .key("order-7")
///     .delay(std::time::Duration::from_secs(60));
/// assert_eq!(message.id().len(), 36);
/// ```
#[derive(Debug)]
#[must_use = "publish it: `client.publish(message)` or `conn.publish(message)`"]
pub struct NewMessage {
    message: v1::Message,
    delay: Option<Duration>,
    /// Whether the caller chose the id.
    own_id: bool,
    problem: Option<MessageError>,
}

/// Why a message cannot be published as it is: change the code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The body has no JSON form.
    #[error("a body, a `{body}`, has no JSON form")]
    Body {
        /// Its type.
        body: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A field that breaks the rules.
    #[error("the message's {field} {rule}")]
    Field {
        /// Which one.
        field: &'static str,
        /// What is wrong with it.
        rule: String,
    },
}

impl NewMessage {
    /// A message with a JSON body and a new id (UUIDv7).
    pub fn new<T: Serialize + ?Sized>(topic: impl Into<String>, body: &T) -> Self {
        match serde_json::to_vec(body) {
            Ok(data) => Self::bytes(topic, convert::JSON, data),
            Err(source) => {
                let body = std::any::type_name::<T>();
                let mut message = Self::bytes(topic, convert::JSON, Bytes::new());
                message.problem = Some(MessageError::Body { body, source });
                message
            }
        }
    }

    /// A message whose body travels as it is.
    pub fn bytes(
        topic: impl Into<String>,
        content_type: impl Into<String>,
        data: impl Into<Bytes>,
    ) -> Self {
        let payload = v1::Payload {
            content_type: content_type.into(),
            data: data.into(),
        };
        Self {
            message: v1::Message {
                id: uuid::Uuid::now_v7().to_string(),
                topic: topic.into(),
                payload: Some(payload),
                ..v1::Message::default()
            },
            delay: None,
            own_id: false,
            problem: None,
        }
    }

    /// An id of the caller's own in place of the new one: 1 to 128 printable
    /// ASCII characters without blanks. The same id and content again publish
    /// nothing more, also in another process.
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.message.id = id.into();
        self.own_id = true;
        self
    }

    /// An id that follows from something else, where the caller chose none.
    pub(crate) fn or_id(self, id: impl FnOnce() -> String) -> Self {
        if self.own_id {
            return self;
        }
        self.with_id(id())
    }

    /// Its kind within the topic, which subscriptions choose by.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.message.tag = tag.into();
        self
    }

    /// What it is about, for example an order id.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.message.key = key.into();
        self
    }

    /// Messages of one topic with the same order key reach a group one after
    /// the other, in the order in which they were published.
    pub fn order_key(mut self, order_key: impl Into<String>) -> Self {
        self.message.order_key = order_key.into();
        self
    }

    /// Adds a header; one of the same name is replaced.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.message.headers.insert(name.into(), value.into());
        self
    }

    /// Delivers it after this time and not before. Replaces [`deliver_at`](Self::deliver_at).
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self.message.deliver_time = None;
        self
    }

    /// Delivers it at this time and not before. Replaces [`delay`](Self::delay).
    pub fn deliver_at(mut self, time: SystemTime) -> Self {
        self.delay = None;
        self.message.deliver_time = Some(time.into());
        self
    }

    /// The same with another JSON body.
    pub(crate) fn with_body<T: Serialize + ?Sized>(mut self, body: &T) -> Self {
        let other = Self::new(String::new(), body);
        self.message.payload = other.message.payload;
        self.problem = other.problem;
        self
    }

    /// The id under which it can be found and cancelled.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.message.id
    }

    /// The message and its delay, once everything about it is as it must be.
    pub(crate) fn checked(self) -> Result<(v1::Message, Option<Duration>), MessageError> {
        match self.problem {
            Some(problem) => Err(problem),
            None => {
                check(&self.message)?;
                Ok((self.message, self.delay))
            }
        }
    }

    /// The same as it travels.
    pub(crate) fn into_proto(self) -> Result<v1::PublishMessage, MessageError> {
        let (message, delay) = self.checked()?;
        Ok(v1::PublishMessage {
            message: Some(message),
            delay: delay.and_then(convert::duration),
        })
    }
}

fn check(message: &v1::Message) -> Result<(), MessageError> {
    let id = |c: char| c.is_ascii_graphic();
    let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let key = |c: char| !c.is_control();
    let name_rule = "A-Z, a-z, 0-9, `-`, `_` and `.`";
    let key_rule = "characters that are no control characters";
    let id_rule = "printable ASCII characters without blanks";
    text("id", &message.id, 1..=MAX_NAME_CHARS, id_rule, id)?;
    text("topic", &message.topic, 1..=MAX_NAME_CHARS, name_rule, name)?;
    text("tag", &message.tag, 0..=MAX_NAME_CHARS, name_rule, name)?;
    text("key", &message.key, 0..=MAX_KEY_CHARS, key_rule, key)?;
    text(
        "order key",
        &message.order_key,
        0..=MAX_KEY_CHARS,
        key_rule,
        key,
    )?;
    headers(message)
}

fn text(
    field: &'static str,
    text: &str,
    length: std::ops::RangeInclusive<usize>,
    of: &str,
    allowed: impl Fn(char) -> bool,
) -> Result<(), MessageError> {
    if length.contains(&text.chars().count()) && text.chars().all(allowed) {
        return Ok(());
    }
    let (least, most) = (length.start(), length.end());
    let rule = format!("has {least} to {most} {of}");
    Err(MessageError::Field { field, rule })
}

fn headers(message: &v1::Message) -> Result<(), MessageError> {
    let wrong = |rule: String| {
        let field = "headers";
        Err(MessageError::Field { field, rule })
    };
    let headers = &message.headers;
    if headers.len() > MAX_HEADERS {
        return wrong(format!("are more than {MAX_HEADERS}"));
    }
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if bytes > MAX_HEADERS_BYTES {
        return wrong(format!("have more than {MAX_HEADERS_BYTES} bytes"));
    }
    for name in headers.keys() {
        if name.is_empty() || name.chars().any(char::is_control) {
            return wrong(format!("have {name:?}, which is no name"));
        }
        if name.starts_with(RESERVED_HEADER_PREFIX) {
            return wrong(format!(
                "have `{name}`; `{RESERVED_HEADER_PREFIX}` is reserved"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_published_says_why() {
        let check = |message: NewMessage, expected: Option<&str>| {
            let error = message.checked().err().map(|error| error.to_string());
            assert_eq!(error.as_deref(), expected);
        };
        let good = || NewMessage::new("payTopic", &7);
        check(good(), None);
        check(
            good().tag("a.b").key("Ü 1").order_key("x").header("n", ""),
            None,
        );
        check(
            NewMessage::new("pay topic", &7),
            Some("the message's topic has 1 to 128 A-Z, a-z, 0-9, `-`, `_` and `.`"),
        );
        check(
            good().with_id(""),
            Some("the message's id has 1 to 128 printable ASCII characters without blanks"),
        );
        check(
            good().key("x".repeat(256)),
            Some("the message's key has 0 to 255 characters that are no control characters"),
        );
        check(
            good().header("amends-x", ""),
            Some("the message's headers have `amends-x`; `amends-` is reserved"),
        );
        check(
            good().header("x", "y".repeat(MAX_HEADERS_BYTES)),
            Some("the message's headers have more than 16384 bytes"),
        );
        let no_json = std::collections::BTreeMap::from([(vec![1], 1)]);
        let error = NewMessage::new("t", &no_json).checked().err();
        assert!(matches!(error, Some(MessageError::Body { .. })));
    }
}
