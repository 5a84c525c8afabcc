//! The small types of single keys.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;

use super::address::HostPort;
use super::value::{Value, list, scalar_value, toml_text};

/// The text is none of the words or forms that the type has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a value of this type")]
pub struct NotOfThisType;

/// A size in bytes, written `512KiB`, `1MiB` or as a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

impl ByteSize {
    /// The size in bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0
    }

    const UNITS: [(&'static str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
}

impl FromStr for ByteSize {
    type Err = NotOfThisType;

    fn from_str(text: &str) -> Result<Self, NotOfThisType> {
        let (number, unit) = Self::UNITS
            .iter()
            .find_map(|(name, size)| Some((text.strip_suffix(name)?, *size)))
            .unwrap_or((text.strip_suffix('B').unwrap_or(text), 1));
        let number: u64 = number.trim().parse().map_err(|_| NotOfThisType)?;
        number
            .checked_mul(unit)
            .filter(|size| *size > 0)
            .map(Self)
            .ok_or(NotOfThisType)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::UNITS
            .iter()
            .find(|(_, size)| self.0.is_multiple_of(*size))
        {
            Some((name, size)) => write!(f, "{}{name}", self.0 / size),
            None => write!(f, "{}B", self.0),
        }
    }
}

/// What to do about the store's schema at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migrate {
    /// Bring it up to date.
    Auto,
    /// Refuse to start when it is not up to date.
    Check,
    /// Take it as it is.
    Off,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What to do about a half message without a verdict after its last check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GiveUp {
    /// It stays until a person decides.
    Keep,
    /// It is rolled back.
    Discard,
}

/// `FromStr` and `Display` for an enum of words.
macro_rules! words {
    ($($Type:ident { $($word:literal => $Variant:ident),* })*) => { $(
        impl FromStr for $Type {
            type Err = NotOfThisType;
            fn from_str(text: &str) -> Result<Self, NotOfThisType> {
                match text { $( $word => Ok(Self::$Variant), )* _ => Err(NotOfThisType) }
            }
        }
        impl fmt::Display for $Type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $( Self::$Variant => $word, )* })
            }
        }
    )* };
}

words! {
    Migrate { "auto" => Auto, "check" => Check, "off" => Off }
    LogFormat { "text" => Text, "json" => Json }
    GiveUp { "keep" => Keep, "discard" => Discard }
}

/// Which log lines to write, in the syntax of `tracing_subscriber::EnvFilter`; known to be valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// The filter's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LogFilter {
    type Err = NotOfThisType;

    fn from_str(text: &str) -> Result<Self, NotOfThisType> {
        // A lone word that is no level would silently mean "a module of this name".
        let bare = !text.contains(['=', ',', ':']);
        let valid = if bare {
            text.parse::<tracing::level_filters::LevelFilter>().is_ok()
        } else {
            EnvFilter::try_new(text).is_ok()
        };
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotOfThisType)
        }
    }
}

/// What names begin with; may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamePrefix(String);

impl NamePrefix {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NamePrefix {
    type Err = NotOfThisType;

    fn from_str(text: &str) -> Result<Self, NotOfThisType> {
        const MAX: usize = 32;
        let legal = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if text.len() <= MAX && text.chars().all(legal) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotOfThisType)
        }
    }
}

scalar_value! {
    NamePrefix: "letters, digits, - and _, at most 32", |prefix| toml::Value::String(prefix.0.clone());
    ByteSize: "a size such as 512KiB or 1MiB", |size| toml::Value::String(size.to_string());
    Migrate: "auto, check or off", |migrate| toml::Value::String(migrate.to_string());
    GiveUp: "keep or discard", |what| toml::Value::String(what.to_string());
    LogFormat: "text or json", |format| toml::Value::String(format.to_string());
    LogFilter: "a level (error, warn, info, debug, trace) or a list such as info,amends_coordinator=debug",
        |filter| toml::Value::String(filter.0.clone());
}

/// Services with fixed instances, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Services(BTreeMap<String, Vec<HostPort>>);

impl Services {
    /// Name and instances of each service.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[HostPort])> {
        self.0
            .iter()
            .map(|(name, instances)| (name.as_str(), instances.as_slice()))
    }
}

impl Value for Services {
    const EXPECTED: &'static str =
        "service names (a-z, 0-9, -, _, .) with their instances: stock = [\"host:port\", ...]";
    const IS_MAP: bool = true;

    fn read(raw: &toml::Value) -> Option<Self> {
        let table = match raw {
            toml::Value::Table(table) => table.clone(),
            toml::Value::String(text) => toml_text(text)?.as_table()?.clone(),
            _ => return None,
        };
        let service = |(name, raw): (String, toml::Value)| {
            let instances: Vec<HostPort> = list(&raw)?
                .iter()
                .map(|text| text.parse().ok())
                .collect::<Option<_>>()?;
            (is_service_name(&name) && !instances.is_empty()).then_some((name, instances))
        };
        table
            .into_iter()
            .map(service)
            .collect::<Option<_>>()
            .map(Self)
    }

    fn show(&self) -> toml::Value {
        let shown = |(name, instances): (&String, &Vec<HostPort>)| {
            let list: Vec<String> = instances.iter().map(ToString::to_string).collect();
            (name.clone(), toml::Value::from(list))
        };
        toml::Value::Table(self.0.iter().map(shown).collect())
    }
}

fn is_service_name(name: &str) -> bool {
    const MAX_SERVICE_NAME: usize = 128;
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    (1..=MAX_SERVICE_NAME).contains(&name.len()) && name.chars().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, shown) in [
            ("1MiB", Some("1MiB")),
            ("1048576", Some("1MiB")),
            ("1000", Some("1000B")),
            ("1000B", Some("1000B")),
            ("64 KiB", Some("64KiB")),
            ("0", None),
            ("-1", None),
            ("1MB", None),
            ("99999999999GiB", None),
        ] {
            let size = text.parse::<ByteSize>().ok().map(|size| size.to_string());
            assert_eq!(size.as_deref(), shown, "{text}");
        }
    }

    #[test]
    fn prefixes() {
        for (text, valid) in [
            ("", true),
            ("shop-2_b", true),
            (&"x".repeat(33), false),
            ("a.b", false),
            ("a/b", false),
            ("a:b", false),
            ("a b", false),
        ] {
            assert_eq!(text.parse::<NamePrefix>().is_ok(), valid, "{text}");
        }
    }

    #[test]
    fn log_filters() {
        for (text, valid) in [
            ("info", true),
            ("DEBUG", true),
            ("info,sqlx=warn", true),
            ("loud", false),
            ("info,sqlx=loud", false),
        ] {
            assert_eq!(text.parse::<LogFilter>().is_ok(), valid, "{text}");
        }
    }
}
