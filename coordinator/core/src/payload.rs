//! Bodies as they travel and as they are stored.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::de::Error as _;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// The media type inside which the coordinator can look.
pub const JSON: &str = "application/json";

/// Half of what is usually read at a time, in bytes.
const SMALL: usize = 4_096;

/// A body with its media type. Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    content_type: ContentType,
    data: Bytes,
}

/// JSON needs no text of its own: nearly every payload is JSON.
#[derive(Clone, PartialEq, Eq)]
enum ContentType {
    Json,
    Other(std::sync::Arc<str>),
}

impl Payload {
    /// A body of any type. An empty type means JSON, an empty JSON body means `null`.
    #[must_use]
    pub fn new(content_type: &str, data: Bytes) -> Self {
        if content_type.is_empty() || content_type == JSON {
            let data = if data.is_empty() {
                Bytes::from_static(b"null")
            } else {
                data
            };
            Self {
                content_type: ContentType::Json,
                data,
            }
        } else {
            Self {
                content_type: ContentType::Other(content_type.into()),
                data,
            }
        }
    }

    /// A JSON body.
    #[must_use]
    pub fn json(value: &serde_json::Value) -> Self {
        Self::new(JSON, Bytes::from(value.to_string()))
    }

    /// The JSON `null`.
    #[must_use]
    pub fn null() -> Self {
        Self::new(JSON, Bytes::new())
    }

    /// The same in memory of its own, where it is small: a body that came over
    /// the network keeps all of the buffer into which it was read.
    #[must_use]
    pub fn compact(mut self) -> Self {
        if self.data.len() <= SMALL {
            self.data = Bytes::copy_from_slice(&self.data);
        }
        self
    }

    /// Its media type.
    #[must_use]
    pub fn content_type(&self) -> &str {
        match &self.content_type {
            ContentType::Json => JSON,
            ContentType::Other(name) => name,
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// Whether the media type is JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.content_type == ContentType::Json
    }

    /// The body read as JSON, `None` when it is of another type or malformed.
    #[must_use]
    pub fn to_value(&self) -> Option<serde_json::Value> {
        if !self.is_json() {
            return None;
        }
        serde_json::from_slice(&self.data).ok()
    }

    fn as_raw_json(&self) -> Option<&RawValue> {
        if !self.is_json() {
            return None;
        }
        let raw: &RawValue = serde_json::from_slice(&self.data).ok()?;
        // Blanks around the value would be lost.
        (raw.get().len() == self.data.len()).then_some(raw)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}",
            self.content_type(),
            String::from_utf8_lossy(&self.data)
        )
    }
}

/// Stored as `{"json": <the value itself>}` where it is well-formed JSON, so
/// that a log can be read with the eyes, else as `{"type": …, "base64": …}`.
impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.as_raw_json() {
            Some(raw) => map.serialize_entry("json", raw)?,
            None => {
                map.serialize_entry("type", self.content_type())?;
                map.serialize_entry("base64", &BASE64.encode(&self.data))?;
            }
        }
        map.end()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    #[serde(default)]
    json: Option<Box<RawValue>>,
    #[serde(default, rename = "type")]
    content_type: Option<String>,
    #[serde(default)]
    base64: Option<String>,
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // `"json": null` arrives as `None` too; no other field then means the JSON null.
        let stored = Stored::deserialize(deserializer)?;
        match (stored.json, stored.content_type, stored.base64) {
            (Some(raw), None, None) => Ok(Self::new(
                JSON,
                Bytes::from(String::from(Box::<str>::from(raw))),
            )),
            (None, None, None) => Ok(Self::null()),
            (None, Some(content_type), Some(text)) => {
                let data = BASE64.decode(text).map_err(D::Error::custom)?;
                Ok(Self::new(&content_type, Bytes::from(data)))
            }
            _ => Err(D::Error::custom(
                "a payload is either json, or type and base64",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored_as(payload: &Payload, expected: &str) {
        let text = serde_json::to_string(payload).unwrap();
        assert_eq!(text, expected);
        assert_eq!(&serde_json::from_str::<Payload>(&text).unwrap(), payload);
    }

    #[test]
    fn is_stored_readably_and_comes_back_byte_for_byte() {
        stored_as(
            &Payload::new("", Bytes::from_static(b"{\"a\": 1.50}")),
            r#"{"json":{"a": 1.50}}"#,
        );
        stored_as(&Payload::null(), r#"{"json":null}"#);
        stored_as(
            &Payload::new("text/plain", Bytes::from_static(b"hi")),
            r#"{"type":"text/plain","base64":"aGk="}"#,
        );
        stored_as(
            &Payload::new("", Bytes::from_static(b"{broken")),
            r#"{"type":"application/json","base64":"e2Jyb2tlbg=="}"#,
        );
        stored_as(
            &Payload::new("", Bytes::from_static(b" 1 ")),
            r#"{"type":"application/json","base64":"IDEg"}"#,
        );
        assert!(serde_json::from_str::<Payload>(r#"{"json":1,"base64":""}"#).is_err());
    }
}
