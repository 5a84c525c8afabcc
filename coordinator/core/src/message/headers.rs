//! Headers: short texts beside the body, for filters and people.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Most headers of one message.
pub const MAX_HEADERS: usize = 64;
/// Most bytes of all names and values together.
pub const MAX_HEADERS_BYTES: usize = 16 * 1024;
/// Names that begin so are Amends' own.
pub const RESERVED_HEADER_PREFIX: &str = "amends-";

/// Headers by name. Cloning shares nothing; messages themselves are shared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Headers(BTreeMap<String, String>);

/// Why headers are not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHeaders {
    /// Too many.
    #[error("has {0} headers, at most {MAX_HEADERS} are allowed")]
    TooMany(usize),
    /// Too large.
    #[error("headers have {0} bytes, at most {MAX_HEADERS_BYTES} are allowed")]
    TooLarge(usize),
    /// An empty name, or one with control characters.
    #[error("{0:?} is no header name")]
    Name(String),
    /// A name of Amends' own.
    #[error("{0:?}: names that begin with {RESERVED_HEADER_PREFIX:?} are reserved")]
    Reserved(String),
}

impl Headers {
    /// Checks what a publisher sent.
    ///
    /// # Errors
    /// Says which rule it breaks.
    pub fn from_publisher(
        headers: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, BadHeaders> {
        let headers: BTreeMap<String, String> = headers.into_iter().collect();
        if headers.len() > MAX_HEADERS {
            return Err(BadHeaders::TooMany(headers.len()));
        }
        let bytes = headers
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        if bytes > MAX_HEADERS_BYTES {
            return Err(BadHeaders::TooLarge(bytes));
        }
        for name in headers.keys() {
            if name.is_empty() || name.chars().any(char::is_control) {
                return Err(BadHeaders::Name(name.clone()));
            }
            if name.starts_with(RESERVED_HEADER_PREFIX) {
                return Err(BadHeaders::Reserved(name.clone()));
            }
        }
        Ok(Self(headers))
    }

    /// Takes headers that were checked before: from the store, or of Amends' own making.
    #[must_use]
    pub fn trusted(headers: BTreeMap<String, String>) -> Self {
        Self(headers)
    }

    /// One value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
