//! What a participant can answer: four things, of which one proves nothing.

use serde::{Deserialize, Serialize};

use crate::payload::Payload;
use crate::time::Millis;

/// Longest code kept of a failure, in bytes.
pub const MAX_CODE_BYTES: usize = 128;
/// Longest message kept of a failure, in bytes; the rest is cut.
pub const MAX_MESSAGE_BYTES: usize = 2048;

/// A reason with a stable code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable code, for example `OUT_OF_STOCK`.
    pub code: String,
    /// What happened, for people.
    pub message: String,
}

impl Failure {
    /// A failure whose texts are cut to their limits.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: cut(code.into(), MAX_CODE_BYTES),
            message: cut(message.into(), MAX_MESSAGE_BYTES),
        }
    }
}

/// The outcome of one call of a participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Succeeded(Payload),
    /// The final "no" for business reasons: nothing of it remains.
    Refused(Failure),
    /// Ask again later; this does not count as an attempt.
    InProgress {
        /// When to ask again, from now.
        retry_after: Option<Millis>,
    },
    /// No answer, or one that proves nothing: it may have run.
    Unknown(Failure),
}

fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        let mut end = limit;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_from_outside_are_bounded() {
        let failure = Failure::new("C".repeat(500), "ä".repeat(3000));
        assert_eq!(failure.code.len(), MAX_CODE_BYTES + '…'.len_utf8());
        assert!(failure.message.len() <= MAX_MESSAGE_BYTES + '…'.len_utf8());
        assert!(failure.message.ends_with("ä…"));
    }
}
