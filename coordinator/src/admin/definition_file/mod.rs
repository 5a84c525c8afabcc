//! A saga definition as people write it, in JSON or TOML, and as the API sends it.
//!
//! Times are texts such as `"5s"`; inputs are JSON values in which
//! `{"$ref": "$.steps.NAME.field"}` stands for what it names. Whether names,
//! targets and references make sense is the coordinator's business; this checks
//! the form only, and names the place of what is wrong.

mod convert;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use crate::config::suggestion::hint;
use crate::config::value::{parse_duration, show_duration};

/// A saga definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefinitionFile {
    /// Its name.
    pub name: String,
    /// Its version.
    #[serde(default = "first_version")]
    pub version: u32,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Time from the start to turning back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Span>,
    /// Its steps.
    pub steps: Vec<StepFile>,
    /// What the saga answers with.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub output: Option<Value>,
    /// What steps are undone by that are compensated by broadcast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_message: Option<CancelFile>,
}

/// A message that tells all services at once to undo their steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CancelFile {
    /// Its topic.
    pub topic: String,
    /// Its tag.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tag: String,
    /// Its key; absent: the gid.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub key: Option<Value>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepFile {
    /// Its name.
    pub name: String,
    /// Where it is sent.
    pub target: String,
    /// Where its compensation is sent; empty: it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub compensation: String,
    /// The steps before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// How it takes part when the saga turns back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<KindFile>,
    /// What it is sent; absent: the saga's input.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub input: Option<Value>,
    /// Bound of one call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Retries of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryFile>,
    /// Retries of the compensation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_retry: Option<RetryFile>,
    /// What the participant promises about repeated calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fencing: Option<FencingFile>,
    /// How its compensation travels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensate_via: Option<ViaFile>,
}

/// How often and how fast a call is tried again; what is absent keeps its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryFile {
    /// Attempts in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// Upper bound of the first wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_backoff: Option<Span>,
    /// Upper bound of any wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_backoff: Option<Span>,
    /// Growth from attempt to attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiplier: Option<f64>,
}

/// The kinds of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KindFile {
    /// Can be undone.
    Compensable,
    /// The point of no return.
    Pivot,
    /// Comes after the point of no return.
    Retriable,
}

/// The ways of a compensation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ViaFile {
    /// A durable message to the service.
    Queue,
    /// A direct call.
    Call,
    /// The saga's cancel message.
    Broadcast,
}

/// What a participant promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FencingFile {
    /// It keeps a consumer log.
    ConsumerLog,
    /// It keeps none.
    None,
}

/// A time, written `"5s"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

/// A file is no definition. Each message names the place.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionFileError {
    /// The file could not be read.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// It is neither JSON nor TOML.
    #[error("{}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A key or value is wrong.
    #[error("{}: {place}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Such as `steps[1].retry`.
        place: String,
        /// What is wrong.
        reason: String,
    },
}

const DEFINITION_KEYS: &[&str] = &[
    "name",
    "version",
    "description",
    "deadline",
    "steps",
    "output",
    "cancel_message",
];
const CANCEL_KEYS: &[&str] = &["topic", "tag", "key"];
const STEP_KEYS: &[&str] = &[
    "name",
    "target",
    "compensation",
    "after",
    "kind",
    "input",
    "timeout",
    "retry",
    "undo_retry",
    "fencing",
    "compensate_via",
];
const RETRY_KEYS: &[&str] = &[
    "max_attempts",
    "initial_backoff",
    "max_backoff",
    "multiplier",
];

impl DefinitionFile {
    /// Reads a definition; `-` is standard input. The first character decides
    /// between JSON (`{`) and TOML.
    ///
    /// # Errors
    /// The file is unreadable or no definition.
    pub fn read(path: &Path) -> Result<Self, DefinitionFileError> {
        let text = if path.as_os_str() == "-" {
            std::io::read_to_string(std::io::stdin())
        } else {
            std::fs::read_to_string(path)
        };
        let text = text.map_err(|error| DefinitionFileError::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        Self::parse(path, &text)
    }

    /// Reads a definition from text; `path` is for messages.
    ///
    /// # Errors
    /// The text is no definition.
    pub fn parse(path: &Path, text: &str) -> Result<Self, DefinitionFileError> {
        let syntax = |reason: String| DefinitionFileError::Syntax {
            path: path.to_owned(),
            reason,
        };
        let value: Value = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| syntax(format!("not JSON: {error}")))?
        } else {
            toml::from_str(text).map_err(|error| syntax(format!("not TOML: {error}")))?
        };
        let content = |place: String, reason: String| DefinitionFileError::Content {
            path: path.to_owned(),
            place,
            reason,
        };
        check_keys(&value).map_err(|(place, reason)| content(place, reason))?;
        serde_path_to_error::deserialize(value).map_err(|error| {
            let place = error.path().to_string();
            content(
                if place == "." {
                    "definition".to_owned()
                } else {
                    place
                },
                error.into_inner().to_string(),
            )
        })
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&show_duration(self.0))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text).map(Span).ok_or_else(|| {
            de::Error::custom(format!(
                "{text:?} is no time; expected one such as 200ms or 5s"
            ))
        })
    }
}

/// Finds the first key that nothing has, with its place.
fn check_keys(definition: &Value) -> Result<(), (String, String)> {
    known(definition, "", DEFINITION_KEYS)?;
    if let Some(cancel) = definition.get("cancel_message") {
        known(cancel, "cancel_message", CANCEL_KEYS)?;
    }
    let steps = definition.get("steps").and_then(Value::as_array);
    for (index, step) in steps.into_iter().flatten().enumerate() {
        let place = format!("steps[{index}]");
        known(step, &place, STEP_KEYS)?;
        for policy in ["retry", "undo_retry"] {
            if let Some(value) = step.get(policy) {
                known(value, &format!("{place}.{policy}"), RETRY_KEYS)?;
            }
        }
    }
    Ok(())
}

fn known(value: &Value, place: &str, keys: &[&str]) -> Result<(), (String, String)> {
    let unknown = |key: &&String| !keys.contains(&key.as_str());
    match value
        .as_object()
        .and_then(|object| object.keys().find(unknown))
    {
        None => Ok(()),
        Some(key) => {
            let place = if place.is_empty() {
                key.clone()
            } else {
                format!("{place}.{key}")
            };
            Err((
                place,
                format!("unknown key{}", hint(key, keys.iter().copied())),
            ))
        }
    }
}

/// Tells `null` from absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn first_version() -> u32 {
    1
}
