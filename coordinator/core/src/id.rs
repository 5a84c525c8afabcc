//! Names and numbers as types of their own, so that none is taken for another.

use serde::{Deserialize, Serialize};

/// Longest transaction id, in characters.
pub const MAX_GID_CHARS: usize = 128;
/// Longest name of a definition or a service, in characters.
pub const MAX_NAME_CHARS: usize = 128;
/// Longest name of a step, in characters.
pub const MAX_STEP_NAME_CHARS: usize = 64;

/// Why a text is not an id or a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Nothing there.
    #[error("must not be empty")]
    Empty,
    /// Over the limit.
    #[error("has {found} characters, at most {limit} are allowed")]
    TooLong {
        /// Characters found.
        found: usize,
        /// Characters allowed.
        limit: usize,
    },
    /// A character that is not allowed.
    #[error("contains {found:?}; allowed are {allowed}")]
    Character {
        /// The first such character.
        found: char,
        /// What is allowed, for people.
        allowed: &'static str,
    },
}

pub(crate) fn check(
    text: &str,
    limit: usize,
    allowed: &'static str,
    ok: fn(char) -> bool,
) -> Result<(), BadName> {
    if text.is_empty() {
        return Err(BadName::Empty);
    }
    let found = text.chars().count();
    if found > limit {
        return Err(BadName::TooLong { found, limit });
    }
    match text.chars().find(|c| !ok(*c)) {
        Some(found) => Err(BadName::Character { found, allowed }),
        None => Ok(()),
    }
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.')
}

const NAME_CHARACTERS: &str = "a-z, 0-9, '-', '_' and '.'";

/// Checks the name of a definition or a service.
///
/// # Errors
/// Says which rule it breaks.
pub fn check_name(text: &str) -> Result<(), BadName> {
    check(text, MAX_NAME_CHARS, NAME_CHARACTERS, is_name_character)
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $limit:expr, $allowed:expr, $ok:expr, or empty) => {
        crate::id::text_id!(@type $(#[$doc])* $name, |text: &str| match text {
            "" => Ok(()),
            text => crate::id::check(text, $limit, $allowed, $ok),
        });

        impl Default for $name {
            /// The empty one.
            fn default() -> Self {
                Self(std::sync::Arc::from(""))
            }
        }
    };
    ($(#[$doc:meta])* $name:ident, $limit:expr, $allowed:expr, $ok:expr) => {
        crate::id::text_id!(@type $(#[$doc])* $name, |text: &str| {
            crate::id::check(text, $limit, $allowed, $ok)
        });
    };
    (@type $(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Checks and wraps a text.
            ///
            /// # Errors
            /// Says which rule the text breaks.
            pub fn new(text: &str) -> Result<Self, crate::id::BadName> {
                let check: fn(&str) -> Result<(), crate::id::BadName> = $check;
                check(text)?;
                Ok(Self(std::sync::Arc::from(text)))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = crate::id::BadName;
            fn try_from(text: String) -> Result<Self, crate::id::BadName> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

pub(crate) use text_id;

text_id!(
    /// Global transaction id: a `UUIDv7` text or the caller's own id. Printable
    /// ASCII without blanks, so that it travels in headers and shell commands.
    Gid, MAX_GID_CHARS, "printable ASCII characters without blanks", |c| c.is_ascii_graphic()
);
text_id!(
    /// Name of a step, unique in its saga.
    StepName, MAX_STEP_NAME_CHARS, NAME_CHARACTERS, is_name_character
);

/// Number of a record in its transaction's log: 1, 2, 3 … without gaps. Zero
/// stands for "before the first record".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordNo(pub u64);

impl RecordNo {
    /// The number after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// How often a transaction has been taken over. Every write compares it, so
/// that a late writer of an earlier generation changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Generation(pub u64);

impl Generation {
    /// The generation a transaction is born with.
    pub const FIRST: Self = Self(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_keep_their_rules() {
        assert!(Gid::new("order/7:A").is_ok());
        assert_eq!(Gid::new(""), Err(BadName::Empty));
        assert!(matches!(
            Gid::new("a b"),
            Err(BadName::Character { found: ' ', .. })
        ));
        assert!(matches!(
            Gid::new("ö"),
            Err(BadName::Character { found: 'ö', .. })
        ));
        assert!(Gid::new(&"x".repeat(128)).is_ok());
        assert_eq!(
            Gid::new(&"x".repeat(129)),
            Err(BadName::TooLong {
                found: 129,
                limit: 128
            })
        );
        assert!(StepName::new("reserve-stock.v2").is_ok());
        assert!(matches!(
            StepName::new("Reserve"),
            Err(BadName::Character { found: 'R', .. })
        ));
        assert!(serde_json::from_str::<StepName>("\"\"").is_err());
    }
}
