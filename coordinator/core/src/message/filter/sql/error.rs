//! Why a text is no condition.

use super::{MAX_SQL_CHARS, MAX_SQL_DEPTH, MAX_SQL_LIST, MAX_SQL_PATTERN_CHARS};

/// By what is wrong; `at` is the place, counted in characters from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSql {
    /// The text is too long.
    #[error("has {0} characters, at most {MAX_SQL_CHARS} are allowed")]
    TooLong(usize),
    /// A character that begins nothing.
    #[error("at character {at}: {found:?} means nothing here{hint}")]
    Character {
        /// Where.
        at: usize,
        /// The character.
        found: char,
        /// What may have been meant, or nothing.
        hint: &'static str,
    },
    /// A text or a quoted name that does not end.
    #[error("at character {at}: the closing {quote} is missing")]
    Unterminated {
        /// Where it begins.
        at: usize,
        /// The quote.
        quote: char,
    },
    /// Something else was expected.
    #[error("at character {at}: expected {expected}, found {found}")]
    Expected {
        /// Where.
        at: usize,
        /// What fits there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A number that cannot be represented.
    #[error("at character {at}: {text:?} is not a number that can be compared")]
    Number {
        /// Where.
        at: usize,
        /// As written.
        text: String,
    },
    /// Operator and operands do not fit.
    #[error("at character {at}: {operator} {rule}")]
    Operands {
        /// Where the operator is.
        at: usize,
        /// The operator.
        operator: &'static str,
        /// What it wants.
        rule: &'static str,
    },
    /// Nested too deeply.
    #[error("at character {at}: nested more than {MAX_SQL_DEPTH} deep")]
    TooDeep {
        /// Where the limit is passed.
        at: usize,
    },
    /// Too many values of one IN.
    #[error("at character {at}: IN has more than {MAX_SQL_LIST} values")]
    ListTooLong {
        /// Where IN is.
        at: usize,
    },
    /// A pattern that is too long.
    #[error("at character {at}: the pattern has more than {MAX_SQL_PATTERN_CHARS} characters")]
    PatternTooLong {
        /// Where LIKE is.
        at: usize,
    },
}
