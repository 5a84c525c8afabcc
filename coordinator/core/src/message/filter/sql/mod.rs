//! SQL92 conditions on a message's headers and on its `tag`, `key` and `id`:
//! `amount BETWEEN 1 AND 9 AND (region IN ('eu', 'uk') OR vip = TRUE)`.
//!
//! Comparison (`= <> < <= > >=`, also `!=`), `[NOT] BETWEEN`, `[NOT] IN`,
//! `[NOT] LIKE … [ESCAPE …]`, `IS [NOT] NULL`, `IS [NOT] TRUE | FALSE |
//! UNKNOWN`, `NOT`, `AND`, `OR`, parentheses. Keywords in either case. Names
//! are headers, case and all; those that are no plain words stand in double
//! quotes (`"x-region"`). `tag`, `key` and `id` are the message's own; in
//! quotes they are headers.
//!
//! Logic has three values, as in SQL92: a header that is missing, like an empty
//! tag or key, is NULL; a comparison with NULL is unknown; the message is
//! delivered only when the whole is true.
//!
//! Headers are texts. Beside a number a text is read as a number, beside TRUE
//! or FALSE as a truth value; one that cannot be read so counts as NULL.
//! (`RocketMQ` converts in the same places, but drops the message there, so that
//! `amount > 5 OR vip = TRUE` fails for a message without a readable amount.)
//! Texts are compared by code point. Whole numbers of up to 18 digits are exact,
//! others are floating point.
//!
//! Parsed by hand: a general SQL parser was tried and accepts far more than can
//! be evaluated here, and its nesting overflowed the stack of a worker thread.
//! Not here: arithmetic, functions, subqueries.

mod condition;
mod error;
mod like;
mod parse;
mod token;
mod value;

use std::sync::Arc;

use super::Message;
use condition::Condition;

pub use error::BadSql;

/// Longest text of a condition, in characters.
pub const MAX_SQL_CHARS: usize = 2_000;
/// Deepest nesting of parentheses and NOT.
pub const MAX_SQL_DEPTH: usize = 32;
/// Most values of one IN.
pub const MAX_SQL_LIST: usize = 128;
/// Longest pattern of LIKE, in characters.
pub const MAX_SQL_PATTERN_CHARS: usize = 128;

/// A parsed condition with its text. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct SqlFilter {
    text: Arc<str>,
    condition: Arc<Condition>,
}

impl SqlFilter {
    /// Parses a condition.
    ///
    /// # Errors
    /// Says what is wrong, and at which character.
    pub fn parse(text: &str) -> Result<Self, BadSql> {
        let chars = text.chars().count();
        if chars > MAX_SQL_CHARS {
            return Err(BadSql::TooLong(chars));
        }
        Ok(Self {
            text: text.into(),
            condition: Arc::new(parse::condition(text)?),
        })
    }

    /// The text as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the condition is true of a message: neither false nor unknown.
    #[must_use]
    pub fn matches(&self, message: &Message) -> bool {
        self.evaluate(message) == Some(true)
    }

    /// What the condition says of a message; `None`: unknown.
    #[must_use]
    pub fn evaluate(&self, message: &Message) -> Option<bool> {
        self.condition.evaluate(message)
    }
}

/// The text decides all.
impl PartialEq for SqlFilter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for SqlFilter {}
