//! What can be compared, and how texts, numbers and truth values meet.

use std::cmp::Ordering;
use std::fmt;

use crate::message::Message;

/// A number: exact where it is whole and has up to 18 digits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Whole(i64),
    /// Always finite.
    Float(f64),
}

impl Number {
    /// Reads decimal digits with an optional sign, fraction and exponent;
    /// nothing else, no blanks either.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Ok(whole) = text.parse() {
            return Some(Self::Whole(whole));
        }
        let is_part = |c: u8| c.is_ascii_digit() || matches!(c, b'+' | b'-' | b'.' | b'e' | b'E');
        if !text.bytes().all(is_part) {
            return None;
        }
        let float: f64 = text.parse().ok()?;
        float.is_finite().then_some(Self::Float(float))
    }

    pub(super) fn negated(self) -> Self {
        match self {
            Self::Whole(whole) => whole
                .checked_neg()
                .map_or(Self::Float(-to_float(whole)), Self::Whole),
            Self::Float(float) => Self::Float(-float),
        }
    }

    fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => Some(a.cmp(&b)),
            (a, b) => a.float().partial_cmp(&b.float()),
        }
    }

    fn float(self) -> f64 {
        match self {
            Self::Whole(whole) => to_float(whole),
            Self::Float(float) => float,
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "beside a fraction only")]
fn to_float(whole: i64) -> f64 {
    whole as f64
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(whole) => whole.fmt(f),
            Self::Float(float) => float.fmt(f),
        }
    }
}

/// One side of a comparison, as written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Header(String),
    Tag,
    Key,
    Id,
    Text(String),
    Number(Number),
    Truth(bool),
    Null,
}

/// What an operand is for one message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Number(Number),
    Truth(bool),
    Null,
}

impl Operand {
    pub(super) fn of<'a>(&'a self, message: &'a Message) -> Value<'a> {
        let text = match self {
            Self::Header(name) => message.headers.get(name),
            Self::Tag => Some(message.tag.as_str()).filter(|tag| !tag.is_empty()),
            Self::Key => Some(message.key.as_str()).filter(|key| !key.is_empty()),
            Self::Id => Some(message.id.as_str()),
            Self::Text(text) => Some(text.as_str()),
            Self::Number(number) => return Value::Number(*number),
            Self::Truth(truth) => return Value::Truth(*truth),
            Self::Null => None,
        };
        text.map_or(Value::Null, Value::Text)
    }

    /// Whether it says the same for every message.
    pub(super) fn is_constant(&self) -> bool {
        !matches!(self, Self::Header(_) | Self::Tag | Self::Key | Self::Id)
    }
}

/// How two values stand to each other; `None` where one is NULL or cannot be
/// read as what the other is.
pub(super) fn compare(left: Value<'_>, right: Value<'_>) -> Option<Ordering> {
    match (left, right) {
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => a.compare(b),
        (Value::Truth(a), Value::Truth(b)) => Some(a.cmp(&b)),
        (Value::Text(a), Value::Number(b)) => Number::parse(a)?.compare(b),
        (Value::Number(a), Value::Text(b)) => a.compare(Number::parse(b)?),
        (Value::Text(a), Value::Truth(b)) => Some(truth(a)?.cmp(&b)),
        (Value::Truth(a), Value::Text(b)) => Some(a.cmp(&truth(b)?)),
        (Value::Null, _)
        | (_, Value::Null)
        | (Value::Number(_), Value::Truth(_))
        | (Value::Truth(_), Value::Number(_)) => None,
    }
}

/// A text as a truth value: `true` and `false` in either case.
fn truth(text: &str) -> Option<bool> {
    [("true", true), ("false", false)]
        .into_iter()
        .find_map(|(name, truth)| text.eq_ignore_ascii_case(name).then_some(truth))
}
