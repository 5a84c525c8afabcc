//! [`Value`]: what goes into a portable statement and comes out of it.

use super::DatabaseError;

/// A value that all three databases understand.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL `NULL`.
    Null,
    /// True or false; 1 and 0 where the database has no such type.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A text. Exact decimals arrive as text, so that nothing is rounded.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// The arguments of a portable statement: `args![sku, quantity]`.
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => {
        ::std::vec![$(::core::convert::Into::<$crate::Value>::into($value)),*] as ::std::vec::Vec<$crate::Value>
    };
}

macro_rules! from {
    ($($kind:ident($as:ty): $($type:ty),+;)+) => {$($(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$kind(<$as>::from(value))
            }
        }
    )+)+};
}

from! {
    Bool(bool): bool;
    Int(i64): i8, i16, i32, i64, u8, u16, u32;
    Float(f64): f32, f64;
    Text(String): String, &str, &String;
    Bytes(Vec<u8>): Vec<u8>, &[u8];
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A Rust type that a portable column can be read as.
pub trait FromValue: Sized {
    /// Converts, or says what was expected.
    fn from_value(value: &Value) -> Result<Self, DatabaseError>;
}

impl FromValue for Value {
    fn from_value(value: &Value) -> Result<Self, DatabaseError> {
        Ok(value.clone())
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> Result<Self, DatabaseError> {
        match value {
            Value::Null => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

impl FromValue for i64 {
    fn from_value(value: &Value) -> Result<Self, DatabaseError> {
        let number = match value {
            Value::Int(number) => Some(*number),
            Value::Bool(yes) => Some(Self::from(*yes)),
            // A sum of whole numbers is an exact decimal in two of the three databases.
            Value::Text(text) => text.parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| expected("a whole number", value))
    }
}

macro_rules! narrow {
    ($($type:ty),+) => {$(
        impl FromValue for $type {
            fn from_value(value: &Value) -> Result<Self, DatabaseError> {
                let wide = i64::from_value(value)?;
                Self::try_from(wide).map_err(|_| expected(stringify!($type), value))
            }
        }
    )+};
}

narrow!(i8, i16, i32, u8, u16, u32, u64);

impl FromValue for f64 {
    fn from_value(value: &Value) -> Result<Self, DatabaseError> {
        let number = match value {
            Value::Float(number) => Some(*number),
            #[allow(clippy::cast_precision_loss)] // asked for by the caller
            Value::Int(number) => Some(*number as Self),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| expected("a number", value))
    }
}

impl FromValue for bool {
    fn from_value(value: &Value) -> Result<Self, DatabaseError> {
        match value {
            Value::Bool(yes) => Ok(*yes),
            Value::Int(0) => Ok(false),
            Value::Int(1) => Ok(true),
            _ => Err(expected("true or false", value)),
        }
    }
}

impl FromValue for String {
    fn from_value(value: &Value) -> Result<Self, DatabaseError> {
        match value {
            Value::Text(text) => Ok(text.clone()),
            _ => Err(expected("a text", value)),
        }
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: &Value) -> Result<Self, DatabaseError> {
        match value {
            Value::Bytes(bytes) => Ok(bytes.clone()),
            _ => Err(expected("bytes", value)),
        }
    }
}

fn expected(what: &str, value: &Value) -> DatabaseError {
    DatabaseError::Column(format!("expected {what}, found {value:?}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn arguments_take_what_a_service_has_at_hand() {
        let name = String::from("a");
        let made = crate::args![
            1_u32,
            &name,
            "b",
            true,
            None::<i64>,
            Some(2_i64),
            0.5,
            vec![1_u8]
        ];
        let expected = vec![
            Value::Int(1),
            Value::Text("a".into()),
            Value::Text("b".into()),
            Value::Bool(true),
            Value::Null,
            Value::Int(2),
            Value::Float(0.5),
            Value::Bytes(vec![1]),
        ];
        assert_eq!(made, expected);
        assert_eq!(crate::args![], Vec::new());
    }

    #[test]
    fn values_convert_without_loss_or_say_why_not() {
        assert_eq!(i64::from_value(&Value::Text("12".into())).unwrap(), 12);
        assert_eq!(u8::from_value(&Value::Int(255)).unwrap(), 255);
        assert_eq!(Option::<i64>::from_value(&Value::Null).unwrap(), None);
        assert!(bool::from_value(&Value::Int(1)).unwrap());
        let check = |result: Result<i64, DatabaseError>, expected: &str| {
            assert_eq!(result.unwrap_err().to_string(), expected);
        };
        check(
            u8::from_value(&Value::Int(256)).map(i64::from),
            "expected u8, found Int(256)",
        );
        check(
            i64::from_value(&Value::Null),
            "expected a whole number, found Null",
        );
        check(
            i64::from_value(&Value::Text("1.5".into())),
            "expected a whole number, found Text(\"1.5\")",
        );
        check(
            bool::from_value(&Value::Int(2)).map(i64::from),
            "expected true or false, found Int(2)",
        );
    }
}
