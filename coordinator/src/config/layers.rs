//! The layers: which raw value each key has, and from where.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::error::Problem;
use super::schema::{KEYS, KeyInfo, key};
use super::store_url::redacted;
use super::suggestion::hint;
use super::value::{Value, toml_text};

/// Environment variables of configuration keys begin with this.
pub(super) const ENV_PREFIX: &str = "AMENDS_";

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nowhere: built in.
    Default,
    /// In this file.
    File(PathBuf),
    /// In this environment variable.
    Environment(String),
    /// In this command-line flag.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// A value given by a command-line flag.
#[derive(Clone)]
pub struct Setting {
    /// The flag as people write it: `--set`, `--listen`.
    pub flag: String,
    /// The key, `section.key`.
    pub key: String,
    /// Its value as text.
    pub value: String,
}

/// Raw values by key. A later `put` wins. No `Debug`: it holds passwords.
#[derive(Default)]
pub(super) struct Layers {
    values: BTreeMap<String, (toml::Value, Source)>,
}

impl Layers {
    /// Adds the values of a file.
    pub(super) fn add_file(
        &mut self,
        path: &Path,
        table: toml::Table,
        problems: &mut Vec<Problem>,
    ) {
        let source = Source::File(path.to_owned());
        for (section, value) in table {
            match value {
                toml::Value::Table(keys) if !keys.is_empty() => {
                    for (key, value) in keys {
                        self.put(&format!("{section}.{key}"), value, &source, problems);
                    }
                }
                toml::Value::Table(_) if KEYS.iter().any(|info| info.section == section) => {}
                value => self.put(&section, value, &source, problems),
            }
        }
    }

    /// Adds one environment variable, if it names a key or was meant to.
    pub(super) fn add_variable(&mut self, name: &str, value: &str, problems: &mut Vec<Problem>) {
        let Some(rest) = name.strip_prefix(ENV_PREFIX) else {
            return;
        };
        let source = Source::Environment(name.to_owned());
        if rest.contains("__") {
            let path = rest.to_lowercase().replace("__", ".");
            self.put(&path, value.into(), &source, problems);
        } else if let Some(info) = KEYS
            .iter()
            .find(|info| info.path.replace('.', "_").eq_ignore_ascii_case(rest))
        {
            problems.push(Problem::UnknownKey {
                key: name.to_owned(),
                origin: source,
                suggestion: format!("; did you mean {}?", variable(info.path)),
            });
        }
    }

    /// Adds a flag.
    pub(super) fn add_flag(&mut self, setting: &Setting, problems: &mut Vec<Problem>) {
        let source = Source::Flag(setting.flag.clone());
        self.put(
            &setting.key,
            setting.value.as_str().into(),
            &source,
            problems,
        );
    }

    /// The typed value of a key.
    pub(super) fn take<T: Value>(&self, path: &str, default: &str) -> Result<T, Problem> {
        let (raw, source) = if T::IS_MAP {
            self.map(path)
        } else {
            self.values.get(path).cloned()
        }
        .unwrap_or_else(|| (default.into(), Source::Default));
        T::read(&raw).ok_or_else(|| Problem::BadValue {
            key: path.to_owned(),
            value: written(&raw),
            origin: source,
            expected: T::EXPECTED.to_owned(),
        })
    }

    /// Where each key that is set, or name below a map, comes from.
    pub(super) fn sources(&self) -> BTreeMap<String, Source> {
        let source =
            |(key, (_, source)): (&String, &(toml::Value, Source))| (key.clone(), source.clone());
        self.values.iter().map(source).collect()
    }

    fn put(
        &mut self,
        path: &str,
        value: toml::Value,
        source: &Source,
        problems: &mut Vec<Problem>,
    ) {
        match key(path) {
            Some(info) if info.is_map => self.put_map(info, value, source),
            Some(_) => {
                self.values.insert(path.to_owned(), (value, source.clone()));
            }
            None if KEYS
                .iter()
                .any(|info| info.is_map && is_below(path, info.path)) =>
            {
                self.values.insert(path.to_owned(), (value, source.clone()));
            }
            None => problems.push(Problem::UnknownKey {
                key: path.to_owned(),
                origin: source.clone(),
                suggestion: hint(path, KEYS.iter().map(|info| info.path)),
            }),
        }
    }

    /// Each name below a map is a value of its own, so that layers merge by name.
    fn put_map(&mut self, info: &KeyInfo, value: toml::Value, source: &Source) {
        let table = match &value {
            toml::Value::String(text) => toml_text(text),
            other => Some(other.clone()),
        };
        match table {
            Some(toml::Value::Table(table)) => {
                for (name, value) in table {
                    self.values
                        .insert(format!("{}.{name}", info.path), (value, source.clone()));
                }
            }
            _ => {
                self.values
                    .insert(info.path.to_owned(), (value, source.clone()));
            }
        }
    }

    /// The table of a map, with the source of its last name; a value that is no table wins, to be reported.
    fn map(&self, path: &str) -> Option<(toml::Value, Source)> {
        if let Some(whole) = self.values.get(path) {
            return Some(whole.clone());
        }
        let mut names = self
            .values
            .iter()
            .filter(|(key, _)| is_below(key, path))
            .peekable();
        let (_, (_, source)) = names.peek()?;
        let source = source.clone();
        let name = |key: &String| key[path.len() + 1..].to_owned();
        let table = names
            .map(|(key, (value, _))| (name(key), value.clone()))
            .collect();
        Some((toml::Value::Table(table), source))
    }
}

/// The environment variable of a key.
pub(super) fn variable(path: &str) -> String {
    format!("{ENV_PREFIX}{}", path.to_uppercase().replace('.', "__"))
}

fn is_below(path: &str, map: &str) -> bool {
    path.strip_prefix(map)
        .and_then(|rest| rest.strip_prefix('.'))
        .is_some_and(|name| !name.is_empty())
}

/// A value as it was written, without passwords.
fn written(raw: &toml::Value) -> String {
    match raw {
        toml::Value::String(text) => redacted(text),
        other => other.to_string(),
    }
}
