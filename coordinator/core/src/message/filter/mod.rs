//! Which messages of a topic a group wants.
//!
//! Two kinds: tags (`a || b`, `*` for all), and SQL92 conditions on headers
//! ([`sql`]). What is stored is the kind and the text as it was written.

pub mod sql;

use std::fmt;

use super::Message;
use super::names::Tag;
use crate::id::BadName;

pub use sql::{BadSql, SqlFilter};

/// Most tags of one filter.
const MAX_TAGS: usize = 64;

/// A parsed filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Every message.
    All,
    /// Messages with one of these tags.
    Tags(Vec<Tag>),
    /// Messages of which this condition is true.
    Sql(SqlFilter),
}

/// How the text of a filter is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FilterKind {
    /// As tags.
    Tags,
    /// As an SQL92 condition.
    Sql,
}

impl FilterKind {
    /// As it is stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tags => "tags",
            Self::Sql => "sql",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Tags, Self::Sql]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// Why a text is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFilter {
    /// A tag breaks the rules.
    #[error("tag {tag:?} {source}")]
    Tag {
        /// The tag.
        tag: String,
        /// The broken rule.
        source: BadName,
    },
    /// Too many tags.
    #[error("has {0} tags, at most {MAX_TAGS} are allowed")]
    TooMany(usize),
    /// No condition that can be evaluated.
    #[error(transparent)]
    Sql(#[from] BadSql),
}

impl Filter {
    /// Parses a filter of either kind; what [`Self::kind`] and its text say of a
    /// filter makes an equal one.
    ///
    /// # Errors
    /// Says what is wrong, and where.
    pub fn parse(kind: FilterKind, text: &str) -> Result<Self, BadFilter> {
        match kind {
            FilterKind::Tags => Self::tags(text),
            FilterKind::Sql => Self::sql(text),
        }
    }

    /// Parses tags separated by `||`; empty and `*` mean all.
    ///
    /// # Errors
    /// Says which tag breaks which rule.
    pub fn tags(text: &str) -> Result<Self, BadFilter> {
        let text = text.trim();
        if text.is_empty() || text == "*" {
            return Ok(Self::All);
        }
        let tags: Vec<&str> = text.split("||").map(str::trim).collect();
        if tags.len() > MAX_TAGS {
            return Err(BadFilter::TooMany(tags.len()));
        }
        let parse = |tag: &&str| match *tag {
            "" => Err((String::new(), BadName::Empty)),
            tag => Tag::new(tag).map_err(|source| (tag.to_owned(), source)),
        };
        let tags = tags.iter().map(parse).collect::<Result<_, _>>();
        let tags = tags.map_err(|(tag, source)| BadFilter::Tag { tag, source })?;
        Ok(Self::Tags(tags))
    }

    /// Parses an SQL92 condition.
    ///
    /// # Errors
    /// Says what is wrong, and where.
    pub fn sql(text: &str) -> Result<Self, BadFilter> {
        Ok(Self::Sql(SqlFilter::parse(text)?))
    }

    /// How its text is to be read. Its text is what it is displayed as.
    #[must_use]
    pub fn kind(&self) -> FilterKind {
        match self {
            Self::All | Self::Tags(_) => FilterKind::Tags,
            Self::Sql(_) => FilterKind::Sql,
        }
    }

    /// Whether a group with this filter gets the message.
    #[must_use]
    pub fn matches(&self, message: &Message) -> bool {
        match self {
            Self::All => true,
            Self::Tags(tags) => tags.contains(&message.tag),
            Self::Sql(condition) => condition.matches(message),
        }
    }
}

impl fmt::Display for Filter {
    /// As it is stored and shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Tags(tags) => {
                let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
                f.write_str(&tags.join(" || "))
            }
            Self::Sql(condition) => f.write_str(condition.text()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_alternatives() {
        assert_eq!(Filter::tags(" * "), Ok(Filter::All));
        assert_eq!(Filter::tags(""), Ok(Filter::All));
        let filter = Filter::tags("paid||refunded").expect("a filter");
        assert_eq!(filter.to_string(), "paid || refunded");
        assert!(matches!(Filter::tags("a || "), Err(BadFilter::Tag { .. })));
        assert!(matches!(Filter::tags("a b"), Err(BadFilter::Tag { .. })));
    }

    #[test]
    fn kind_and_text_make_the_same_filter_again() {
        for (kind, text) in [
            (FilterKind::Tags, "*"),
            (FilterKind::Tags, "paid || refunded"),
            (FilterKind::Sql, " amount > 5  AND region = 'eu' "),
        ] {
            let filter = Filter::parse(kind, text).expect("a filter");
            assert_eq!((filter.kind(), filter.to_string().as_str()), (kind, text));
            assert_eq!(
                Filter::parse(filter.kind(), &filter.to_string()),
                Ok(filter)
            );
            assert_eq!(FilterKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(FilterKind::parse("regex"), None);
    }
}
