//! Messages: what a service publishes ([`NewMessage`]) and what its handlers
//! get ([`Message`]).
//!
//! A published message is durable when the call returns, and from then on
//! reaches every group that subscribes to it at least once, in its own time.
//! That it takes effect once is the consumer log's part, see
//! [`ServiceBuilder::on_message`](crate::ServiceBuilder::on_message).

mod handler;
mod new;
mod subscription;

use std::collections::HashMap;

use bytes::Bytes;
use serde::de::DeserializeOwned;

pub use handler::{BODY_INVALID, ExternalMessage, LocalMessage};
pub(crate) use handler::{ExternalHandler, LocalHandler, MessageDef, MessageHandler};
pub use new::{MessageError, NewMessage};
pub use subscription::{
    Dedupe, MAX_IN_WORK, MAX_PREFETCH, MessageCx, Subscription, SubscriptionError,
};

use crate::BoxError;
use crate::saga::convert::JSON;

/// A message as a handler gets it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Message<T> {
    /// Its id: the same in every delivery.
    pub id: String,
    /// Its topic.
    pub topic: String,
    /// Its kind within the topic; may be empty.
    pub tag: String,
    /// What it is about; may be empty.
    pub key: String,
    /// By which it is kept in order; empty: no order.
    pub order_key: String,
    /// Short texts beside the body.
    pub headers: HashMap<String, String>,
    /// The number of this attempt, from 1 on. For information: never decide by it.
    pub attempt: u32,
    /// Its body.
    pub body: T,
}

impl<T> Message<T> {
    /// A first delivery of a message with a new id, for calling a handler
    /// directly in a unit test; change its fields as the test needs.
    pub fn new(topic: impl Into<String>, body: T) -> Self {
        Self {
            id: uuid::Uuid::now_v7().to_string(),
            topic: topic.into(),
            tag: String::new(),
            key: String::new(),
            order_key: String::new(),
            headers: HashMap::new(),
            attempt: 1,
            body,
        }
    }
}

/// A type that the body of a message can be read as: everything that serde
/// reads from JSON, and [`Raw`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the body of a message",
    note = "derive `serde::Deserialize` for it, or take `amends::Raw`"
)]
pub trait MessageBody: Send + Sync + Sized + 'static {
    /// Reads a body.
    ///
    /// # Errors
    /// Why it cannot be read. Such a message becomes a dead letter at once.
    fn decode(content_type: &str, data: &Bytes) -> Result<Self, BoxError>;
}

impl<T: DeserializeOwned + Send + Sync + 'static> MessageBody for T {
    fn decode(content_type: &str, data: &Bytes) -> Result<Self, BoxError> {
        if !is_json(content_type) {
            return Err(format!("it is `{content_type}`, not `{JSON}`").into());
        }
        Ok(serde_json::from_slice(json_or_null(data))?)
    }
}

/// A body that is taken as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// Its media type.
    pub content_type: String,
    /// Its bytes.
    pub data: Bytes,
}

impl MessageBody for Raw {
    fn decode(content_type: &str, data: &Bytes) -> Result<Self, BoxError> {
        Ok(Self {
            content_type: content_type.to_owned(),
            data: data.clone(),
        })
    }
}

/// Whether a body of this media type is read as JSON.
pub(crate) fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.is_empty() || media_type.eq_ignore_ascii_case(JSON)
}

/// An empty body stands for `null`, as everywhere in the API.
pub(crate) fn json_or_null(bytes: &Bytes) -> &[u8] {
    if bytes.is_empty() { b"null" } else { bytes }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_json_is_decoded() {
        for (content_type, expected) in [
            ("", true),
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/protobuf", false),
        ] {
            assert_eq!(is_json(content_type), expected, "{content_type}");
        }
    }

    #[test]
    fn bodies_are_read_or_say_why_not() {
        let data = Bytes::from_static(b"[1,2]");
        assert_eq!(Vec::<u8>::decode("", &data).unwrap(), [1, 2]);
        <()>::decode("", &Bytes::new()).unwrap();
        let raw = Raw::decode("text/plain", &data).unwrap();
        assert_eq!(
            (raw.content_type.as_str(), &raw.data),
            ("text/plain", &data)
        );
        let error = Vec::<u8>::decode("text/plain", &data).unwrap_err();
        assert_eq!(
            error.to_string(),
            "it is `text/plain`, not `application/json`"
        );
        assert!(String::decode("", &data).is_err());
    }
}
