//! The configuration as people read it.

use std::fmt::Write as _;

use super::layers::Source;
use super::load::Loaded;
use super::schema::{KEYS, KeyInfo, SECTIONS};
use super::value::toml_text;

/// One key as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// `section.key`.
    pub key: String,
    /// Its value, without secrets; an empty text where it is not set.
    pub value: toml::Value,
    /// Where it comes from.
    pub source: Source,
}

impl Loaded {
    /// Every key with its value and source, in the order of the documentation.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let row = |key: String, value: toml::Value| {
            let source = self.origins.get(&key).cloned().unwrap_or(Source::Default);
            Row { key, value, source }
        };
        KEYS.iter()
            .zip(self.config.shown())
            .flat_map(|(info, value)| match value {
                toml::Value::Table(names) if !names.is_empty() => names
                    .into_iter()
                    .map(|(name, value)| row(format!("{}.{name}", info.path), value))
                    .collect(),
                value => vec![row(info.path.to_owned(), value)],
            })
            .collect()
    }
}

/// All keys with their documentation and defaults, as a file that changes nothing.
#[must_use]
pub fn defaults_toml() -> String {
    let mut out =
        String::from("# Every key of Amends with its default. A key that is left out keeps it.\n");
    for (section, doc) in SECTIONS {
        out.push('\n');
        comment(&mut out, doc);
        let _ = writeln!(out, "[{section}]");
        for info in KEYS.iter().filter(|info| info.section == *section) {
            comment(&mut out, info.doc);
            let value = default_value(info).to_string();
            let unset = if value == "\"\"" { "# " } else { "" };
            let _ = writeln!(out, "{unset}{} = {value}", info.key);
        }
    }
    out
}

fn comment(out: &mut String, doc: &[&str]) {
    for line in doc {
        let _ = writeln!(out, "#{line}");
    }
}

/// A default in its TOML type: number, truth value, list, table or text.
fn default_value(info: &KeyInfo) -> toml::Value {
    let list = || -> toml::Value { info.default.split(',').collect::<Vec<_>>().into() };
    match toml_text(info.default) {
        Some(
            value @ (toml::Value::Integer(_) | toml::Value::Boolean(_) | toml::Value::Table(_)),
        ) => value,
        _ if info.default.contains(',') => list(),
        _ => info.default.into(),
    }
}
