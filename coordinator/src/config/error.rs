//! What can be wrong with a configuration.

use std::fmt;
use std::path::PathBuf;

use super::layers::Source;

/// One thing that is wrong, with where it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No such key.
    #[error("{key}: unknown key ({origin}){suggestion}")]
    UnknownKey {
        /// As written.
        key: String,
        /// Where.
        origin: Source,
        /// `; did you mean ...?`, or empty.
        suggestion: String,
    },
    /// The value is not one of the key's type.
    #[error("{key}: {value:?} is not valid ({origin}); expected {expected}")]
    BadValue {
        /// The key.
        key: String,
        /// The value as written, without secrets.
        value: String,
        /// Where.
        origin: Source,
        /// What would have been right.
        expected: String,
    },
    /// Two values do not go together.
    #[error("{0}")]
    Conflict(String),
    /// The file could not be read.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The file is not TOML.
    #[error("{}: line {line}: {reason}", path.display())]
    NotToml {
        /// The file.
        path: PathBuf,
        /// The line at fault, from 1 on.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// Everything that is wrong with a configuration; at least one problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(pub Vec<Problem>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [problem] = self.0.as_slice() {
            return write!(f, "configuration: {problem}");
        }
        write!(f, "configuration: {} problems", self.0.len())?;
        self.0
            .iter()
            .try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for ConfigError {}
