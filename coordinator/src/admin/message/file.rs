//! A message as JSON in a file: what `dead export` writes, and what
//! `msg publish --file` and `dead resend --edit` read.

use std::collections::{BTreeMap, HashMap};

use amends_proto::v1::{Message, Payload, PublishMessage};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::admin::args::duration;
use crate::admin::definition_file::Span;
use crate::admin::show;

/// One message. Its body is one of `json`, `text` and `base64`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::admin) struct MessageFile {
    #[serde(skip_serializing_if = "String::is_empty")]
    id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    topic: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    tag: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    order_key: String,
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    content_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    json: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deliver_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_time: Option<String>,
}

impl MessageFile {
    /// With the body as base64, byte for byte.
    pub(in crate::admin) fn exact(message: &Message) -> Self {
        let payload = message.payload.clone().unwrap_or_default();
        Self {
            base64: Some(STANDARD.encode(&payload.data)),
            ..Self::without_body(message)
        }
    }

    /// With the body as a person can edit it, where that keeps every byte.
    pub(in crate::admin) fn editable(message: &Message) -> Self {
        let payload = message.payload.clone().unwrap_or_default();
        let readable = Self::without_body(message);
        if show::is_json(&payload)
            && let Ok(json) = serde_json::from_slice(&payload.data)
        {
            let json = Some(json);
            return Self { json, ..readable };
        }
        match String::from_utf8(payload.data.to_vec()) {
            Ok(text) => Self {
                text: Some(text),
                ..readable
            },
            Err(_) => Self::exact(message),
        }
    }

    fn without_body(message: &Message) -> Self {
        let time = |time: Option<&prost_types::Timestamp>| time.map(|time| show::time(Some(time)));
        let headers = message.headers.iter();
        Self {
            id: message.id.clone(),
            topic: message.topic.clone(),
            tag: message.tag.clone(),
            key: message.key.clone(),
            order_key: message.order_key.clone(),
            headers: headers.map(|(n, v)| (n.clone(), v.clone())).collect(),
            content_type: message
                .payload
                .as_ref()
                .map(|payload| payload.content_type.clone())
                .unwrap_or_default(),
            deliver_time: time(message.deliver_time.as_ref()),
            create_time: time(message.create_time.as_ref()),
            ..Self::default()
        }
    }

    /// As the API takes it; its creation time is the coordinator's matter.
    pub(in crate::admin) fn publish(self) -> Result<PublishMessage, String> {
        let delay = self.delay.as_deref().map(duration).transpose();
        let delay = delay.map_err(|wrong| format!("delay: {wrong}"))?;
        Ok(PublishMessage {
            message: Some(self.message()?),
            delay: delay.map(|delay| Span(delay).to_proto()),
        })
    }

    /// The message without its delay.
    pub(in crate::admin) fn message(self) -> Result<Message, String> {
        let deliver_time = self.deliver_time.as_deref().map(str::parse).transpose();
        let wrong_time = "deliver_time: expected a time such as 2026-01-31T08:00:00Z";
        let payload = self.payload()?;
        Ok(Message {
            id: self.id,
            topic: self.topic,
            tag: self.tag,
            key: self.key,
            order_key: self.order_key,
            headers: HashMap::from_iter(self.headers),
            payload,
            deliver_time: deliver_time.map_err(|_| wrong_time.to_owned())?,
            create_time: None,
        })
    }

    fn payload(&self) -> Result<Option<Payload>, String> {
        let (implied, data) = match (&self.json, &self.text, &self.base64) {
            (None, None, None) => return Ok(None),
            (Some(json), None, None) => ("application/json", json.get().as_bytes().to_vec()),
            (None, Some(text), None) => ("text/plain", text.clone().into_bytes()),
            (None, None, Some(base64)) => {
                let data = STANDARD.decode(base64);
                let wrong = |error| format!("base64: {error}");
                ("application/octet-stream", data.map_err(wrong)?)
            }
            _ => return Err("give the body as one of json, text and base64".to_owned()),
        };
        let content_type = match self.content_type.as_str() {
            "" => implied.to_owned(),
            given => given.to_owned(),
        };
        Ok(Some(Payload {
            content_type,
            data: data.into(),
        }))
    }
}
