//! The house rules that no compiler checks, as functions over the text of the
//! repository. `tests/it` runs each of them inside `cargo test`.
//!
//! A rule reads text, not types: it finds what people write by mistake, not
//! what somebody hides on purpose. Comments never break a rule, and string
//! literals only those about literals. The rules know nothing of git: every file
//! below the root counts, except those in `.git` and `target`.

pub mod rules;
pub mod rust;
pub mod tree;

use std::fmt;

/// One place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Breach {
    /// The file, relative to the root of the repository.
    pub path: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong, and what to do instead.
    pub message: String,
}

impl Breach {
    /// A breach at `path:line`.
    pub fn at(path: &str, line: usize, message: impl Into<String>) -> Self {
        Breach {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}
