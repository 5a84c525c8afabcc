//! Conditions and what they say of a message, in three-valued logic: `None` is
//! SQL's UNKNOWN.

use std::cmp::Ordering;

use super::like::Pattern;
use super::value::{Operand, Value, compare};
use crate::message::Message;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    Compare {
        left: Operand,
        operator: Operator,
        right: Operand,
    },
    Between {
        operand: Operand,
        low: Operand,
        high: Operand,
    },
    In {
        operand: Operand,
        list: Vec<Operand>,
    },
    Like {
        operand: Operand,
        pattern: Pattern,
    },
    IsNull(Operand),
    /// A truth value that stands alone.
    Constant(bool),
    /// Whether the inner one has just this value. Never unknown.
    Is(Box<Condition>, Option<bool>),
    Not(Box<Condition>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

impl Condition {
    pub(super) fn evaluate(&self, message: &Message) -> Option<bool> {
        match self {
            Self::Compare {
                left,
                operator,
                right,
            } => {
                let ordering = compare(left.of(message), right.of(message))?;
                Some(operator.holds(ordering))
            }
            Self::Between { operand, low, high } => {
                let operand = operand.of(message);
                let holds = |operator: Operator, bound: &Operand| {
                    compare(operand, bound.of(message)).map(|ordering| operator.holds(ordering))
                };
                all([
                    holds(Operator::GreaterOrEqual, low),
                    holds(Operator::LessOrEqual, high),
                ])
            }
            Self::In { operand, list } => {
                let operand = operand.of(message);
                any(list
                    .iter()
                    .map(|item| compare(operand, item.of(message)).map(Ordering::is_eq)))
            }
            Self::Like { operand, pattern } => match operand.of(message) {
                Value::Text(text) => Some(pattern.matches(text)),
                _ => None,
            },
            Self::IsNull(operand) => Some(operand.of(message) == Value::Null),
            Self::Constant(truth) => Some(*truth),
            Self::Is(inner, wanted) => Some(inner.evaluate(message) == *wanted),
            Self::Not(inner) => inner.evaluate(message).map(|truth| !truth),
            Self::All(parts) => all(parts.iter().map(|part| part.evaluate(message))),
            Self::Any(parts) => any(parts.iter().map(|part| part.evaluate(message))),
        }
    }
}

/// AND: one false makes it false, then one unknown makes it unknown.
fn all(parts: impl IntoIterator<Item = Option<bool>>) -> Option<bool> {
    let mut sum = Some(true);
    for part in parts {
        match part {
            Some(false) => return part,
            Some(true) => {}
            None => sum = None,
        }
    }
    sum
}

/// OR: one true makes it true, then one unknown makes it unknown.
fn any(parts: impl IntoIterator<Item = Option<bool>>) -> Option<bool> {
    let mut sum = Some(false);
    for part in parts {
        match part {
            Some(true) => return part,
            Some(false) => {}
            None => sum = None,
        }
    }
    sum
}
