//! How one value is read from any layer and shown again.
//!
//! The environment and flags only have text, so every type can be read from
//! text; a file may use the TOML type instead. What [`Value::show`] returns
//! reads back as the same value.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// A type that a configuration key may have.
pub(crate) trait Value: Sized {
    /// Completes "expected ...".
    const EXPECTED: &'static str;
    /// Whether names of the user's choice follow below the key.
    const IS_MAP: bool = false;
    /// Reads a raw value; `None` when it is not one of this type.
    fn read(raw: &toml::Value) -> Option<Self>;
    /// Shows the value without secrets.
    fn show(&self) -> toml::Value;
}

/// The text of a scalar, whatever TOML type it was written as.
pub(super) fn text(raw: &toml::Value) -> Option<String> {
    match raw {
        toml::Value::String(text) => Some(text.trim().to_owned()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Reads a scalar through `FromStr`.
pub(super) fn parsed<T: FromStr>(raw: &toml::Value) -> Option<T> {
    text(raw)?.parse().ok()
}

/// Reads a list of texts: a TOML list, or text with commas between the items.
pub(super) fn list(raw: &toml::Value) -> Option<Vec<String>> {
    match raw {
        toml::Value::Array(items) => items.iter().map(text).collect(),
        toml::Value::String(line)
            if line.trim_start().starts_with('[') && toml_text(line).is_some() =>
        {
            list(&toml_text(line)?)
        }
        toml::Value::String(line) => Some(
            line.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(str::to_owned)
                .collect(),
        ),
        _ => None,
    }
}

/// Reads text as a TOML value, such as `["a", "b"]` or `{ a = 1 }`.
pub(super) fn toml_text(text: &str) -> Option<toml::Value> {
    let mut table: toml::Table = format!("value = {text}").parse().ok()?;
    table.remove("value")
}

/// Implements [`Value`] for types with `FromStr` and a text form.
macro_rules! scalar_value {
    ($($Type:ty: $expected:literal, $show:expr;)*) => { $(
        impl $crate::config::value::Value for $Type {
            const EXPECTED: &'static str = $expected;
            fn read(raw: &toml::Value) -> Option<Self> {
                $crate::config::value::parsed(raw)
            }
            fn show(&self) -> toml::Value {
                let show: fn(&Self) -> toml::Value = $show;
                show(self)
            }
        }
    )* };
}
pub(super) use scalar_value;

scalar_value! {
    bool: "true or false", |truth| toml::Value::Boolean(*truth);
    u32: "a whole number", |number| toml::Value::Integer(i64::from(*number));
    NonZeroU32: "a whole number from 1 on", |number| toml::Value::Integer(i64::from(number.get()));
    NonZeroUsize: "a whole number from 1 on",
        |number| toml::Value::Integer(i64::try_from(number.get()).unwrap_or(i64::MAX));
    SocketAddr: "an IP address and a port, such as 127.0.0.1:7431",
        |address| toml::Value::String(address.to_string());
}

impl Value for Option<PathBuf> {
    const EXPECTED: &'static str = "a file name";

    fn read(raw: &toml::Value) -> Option<Self> {
        let toml::Value::String(path) = raw else {
            return None;
        };
        Some((!path.is_empty()).then(|| PathBuf::from(path)))
    }

    fn show(&self) -> toml::Value {
        let path = self
            .as_deref()
            .map(|path| path.to_string_lossy().into_owned());
        toml::Value::String(path.unwrap_or_default())
    }
}

impl Value for Option<SocketAddr> {
    const EXPECTED: &'static str = "an IP address and a port, such as 127.0.0.1:9464, or nothing";

    fn read(raw: &toml::Value) -> Option<Self> {
        match text(raw)?.as_str() {
            "" => Some(None),
            address => address.parse().ok().map(Some),
        }
    }

    fn show(&self) -> toml::Value {
        let address = self.map(|address| address.to_string());
        toml::Value::String(address.unwrap_or_default())
    }
}

impl Value for Duration {
    const EXPECTED: &'static str = "a time with its unit, such as 200ms, 5s, 10m, 1h or 7d";

    fn read(raw: &toml::Value) -> Option<Self> {
        parse_duration(&text(raw)?)
    }

    fn show(&self) -> toml::Value {
        toml::Value::String(show_duration(*self))
    }
}

/// Reads `200ms`, `5s`, `1h 30m`, `7d`; a lone `0` needs no unit.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}

/// Writes a time in the largest unit that shows it exactly.
pub(crate) fn show_duration(time: Duration) -> String {
    const UNITS: [(&str, u128); 6] = [
        ("d", 86_400_000_000_000),
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
    ];
    let nanos = time.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    UNITS
        .iter()
        .find(|(_, size)| nanos.is_multiple_of(*size))
        .map_or_else(
            || format!("{nanos}ns"),
            |(unit, size)| format!("{}{unit}", nanos / size),
        )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn durations_read_back() {
        for (text, shown) in [
            ("200ms", "200ms"),
            ("5s", "5s"),
            ("1h 30m", "90m"),
            ("7d", "7d"),
            ("1500ms", "1500ms"),
            ("0s", "0s"),
            ("3us", "3us"),
        ] {
            let time = parse_duration(text).unwrap();
            assert_eq!(show_duration(time), shown);
            assert_eq!(parse_duration(shown), Some(time));
        }
        for text in ["", "5", "-5s", "5 parsecs", "soon"] {
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
    }

    #[test]
    fn lists_come_as_toml_or_with_commas() {
        let check = |raw: toml::Value, items: &[&str]| assert_eq!(list(&raw).unwrap(), items);
        check("a, b".into(), &["a", "b"]);
        check("".into(), &[]);
        check(r#"["a", "[::1]"]"#.into(), &["a", "[::1]"]);
        check("[::1],a".into(), &["[::1]", "a"]);
        check(vec!["a", "b"].into(), &["a", "b"]);
    }
}
