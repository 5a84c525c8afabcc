//! Checks, and the bounded list of the latest ones.

use serde::{Deserialize, Serialize};

use super::Verdict;
use crate::time::Timestamp;

/// Checks that are kept of one half.
pub const MAX_CHECK_LOG: usize = 32;
/// What is kept of the text of one, in bytes.
pub const MAX_CHECK_TEXT_BYTES: usize = 256;

/// One check that was asked, or could not be.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Check {
    /// When.
    pub at: Timestamp,
    /// The instance that was asked; empty where none could be.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instance: String,
    /// Its answer; none: unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// What went wrong, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// Whether an instance was really asked.
    pub counted: bool,
}

/// The latest checks of a half, oldest first; at most [`MAX_CHECK_LOG`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CheckLog(Vec<Check>);

impl CheckLog {
    /// The checks.
    #[must_use]
    pub fn checks(&self) -> &[Check] {
        &self.0
    }

    /// Adds one. Of those in a row that could not be asked only the latest is
    /// kept, so that an outage does not drive out what was said before it.
    pub fn note(&mut self, mut check: Check) {
        let text = &mut check.error;
        text.truncate(text.floor_char_boundary(MAX_CHECK_TEXT_BYTES));
        if !check.counted && self.0.last().is_some_and(|last| !last.counted) {
            self.0.pop();
        }
        self.0.push(check);
        let over = self.0.len().saturating_sub(MAX_CHECK_LOG);
        self.0.drain(..over);
    }
}
