//! The ids of the shop's things.
//!
//! Numbers travel as text in JSON: the shop's ids are larger than what
//! JavaScript can hold exactly. Both forms are understood.

use std::fmt;
use std::str::FromStr;

use amends::conn::FromValue;
use amends::{DatabaseError, Value};
use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// The longest id of an order or a payment.
pub const MAX_ORDER_ID: usize = 64;

/// Why a text is no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a number, or none above zero.
    #[error("`{0}` is no id: it must be a whole number above zero")]
    Number(String),
    /// Empty, too long, or with other characters.
    #[error("`{0}` is no id: 1 to {MAX_ORDER_ID} of A-Z, a-z, 0-9, `-`, `_` and `.`")]
    Text(String),
}

macro_rules! number_ids {
    ($($(#[$docs:meta])+ $name:ident;)+) => {$(
        $(#[$docs])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(i64);

        impl $name {
            /// An id; negative numbers and zero are ids of nothing.
            #[must_use]
            pub const fn new(id: i64) -> Self {
                Self(id)
            }

            /// As a number.
            #[must_use]
            pub const fn get(self) -> i64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                match text.parse() {
                    Ok(id) if id > 0 => Ok(Self(id)),
                    _ => Err(IdError::Number(text.to_owned())),
                }
            }
        }

        impl From<$name> for Value {
            fn from(id: $name) -> Self {
                Self::Int(id.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(NumberVisitor).map(Self)
            }
        }
    )+};
}

number_ids! {
    /// Names a user.
    UserId;
    /// Names goods.
    GoodsId;
    /// Names a coupon.
    CouponId;
}

macro_rules! text_ids {
    ($($(#[$docs:meta])+ $name:ident;)+) => {$(
        $(#[$docs])+
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// A new id that sorts by its time.
            #[must_use]
            pub fn unique() -> Self {
                Self(uuid::Uuid::now_v7().to_string())
            }

            /// As text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
                if text.is_empty() || text.len() > MAX_ORDER_ID || !text.chars().all(plain) {
                    return Err(IdError::Text(text.chars().take(MAX_ORDER_ID).collect()));
                }
                Ok(Self(text.to_owned()))
            }
        }

        impl From<&$name> for Value {
            fn from(id: &$name) -> Self {
                Self::Text(id.0.clone())
            }
        }

        impl FromValue for $name {
            fn from_value(value: &Value) -> Result<Self, DatabaseError> {
                let text = String::from_value(value)?;
                text.parse().map_err(|error: IdError| DatabaseError::Column(error.to_string()))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(D::Error::custom)
            }
        }
    )+};
}

text_ids! {
    /// Names an order; the same text is the id of its global transaction.
    OrderId;
    /// Names a payment, for the shop and for the provider.
    PayId;
    /// Names the purchase of a coupon; the same text is the id of its TCC.
    PurchaseId;
}

/// Reads a number id from a JSON text or number.
struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id: a whole number above zero, better as text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<i64, E> {
        let id = text.parse().ok().filter(|id| *id > 0);
        id.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }

    fn visit_i64<E: Error>(self, id: i64) -> Result<i64, E> {
        if id > 0 {
            return Ok(id);
        }
        Err(E::invalid_value(Unexpected::Signed(id), &self))
    }

    fn visit_u64<E: Error>(self, id: u64) -> Result<i64, E> {
        let signed = i64::try_from(id).ok().filter(|id| *id > 0);
        signed.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(id), &self))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_travel_as_text_and_arrive_in_both_forms() {
        let check = |json: &str, expected: Option<i64>| {
            let read: Option<UserId> = serde_json::from_str(json).ok();
            assert_eq!(read.map(UserId::get), expected, "{json}");
        };
        check("\"345963634385633280\"", Some(345_963_634_385_633_280));
        check("345963634385633280", Some(345_963_634_385_633_280));
        check("0", None);
        check("-1", None);
        check("\"\"", None);
        check("\"1.5\"", None);
        check("1.5", None);
        check("18446744073709551615", None);
        check("null", None);
        let text = serde_json::to_string(&UserId::new(7)).unwrap();
        assert_eq!(text, "\"7\"");
    }

    #[test]
    fn order_ids_are_plain() {
        let check = |text: &str, good: bool| {
            assert_eq!(text.parse::<OrderId>().is_ok(), good, "{text:?}");
        };
        check("2026-11-21.a_B", true);
        check(&"x".repeat(MAX_ORDER_ID), true);
        check(&"x".repeat(MAX_ORDER_ID + 1), false);
        check("", false);
        check("a b", false);
        check("a/b", false);
        check("ä", false);
    }
}
