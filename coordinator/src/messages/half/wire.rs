//! Messages as producers are asked about them.

use amends_core::message::Message;
use amends_core::time::Timestamp;
use amends_proto::v1;

/// A message without its body.
pub fn described(message: &Message) -> v1::Message {
    let headers = message.headers.iter();
    v1::Message {
        id: message.id.to_string(),
        topic: message.topic.to_string(),
        tag: message.tag.to_string(),
        key: message.key.to_string(),
        order_key: message
            .order_key
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        payload: None,
        deliver_time: message.deliver_at.map(timestamp),
        create_time: Some(timestamp(message.created_at)),
    }
}

/// A time on the wire.
pub fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let nanos = at.0.rem_euclid(1_000) * 1_000_000;
    prost_types::Timestamp {
        seconds: at.0.div_euclid(1_000),
        nanos: i32::try_from(nanos).unwrap_or(0),
    }
}
