//! The file as compose reads it: merged, and with its variables filled in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;

/// What every variable that must be set is set to here.
pub(super) const SECRET: &str = "s3cret";

/// The file, and the variables it asks for.
pub(super) struct Compose {
    /// With variables as they are written.
    pub(super) raw: Value,
    filled: Value,
    /// Variables without which compose refuses the file.
    pub(super) required: BTreeSet<String>,
}

/// One service of it.
pub(super) struct Service<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a Value,
}

/// A file of the repository.
pub(super) fn repository_file(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Compose {
    pub(super) fn read() -> Self {
        let raw: Value = serde_saphyr::from_str(&repository_file("docker-compose.yml")).unwrap();
        let mut required = BTreeSet::new();
        let mut filled = raw.clone();
        for_each_text(&mut filled, &mut |text| {
            *text = interpolated(text, &mut required);
        });
        Self {
            raw,
            filled,
            required,
        }
    }

    /// A top-level section: names with what belongs to them.
    pub(super) fn section(&self, name: &str) -> impl Iterator<Item = (&str, &Value)> {
        let section = self.filled[name].as_object().unwrap();
        section.iter().map(|(name, value)| (name.as_str(), value))
    }

    pub(super) fn services(&self) -> impl Iterator<Item = Service<'_>> {
        self.section("services")
            .map(|(name, value)| Service { name, value })
    }

    pub(super) fn service(&self, name: &str) -> Service<'_> {
        let mut services = self.services();
        let found = services.find(|service| service.name == name);
        found.unwrap_or_else(|| panic!("there is no service {name}"))
    }

    /// Those that run our own image.
    pub(super) fn ours(&self) -> impl Iterator<Item = Service<'_>> {
        self.services()
            .filter(|service| !service.value["build"].is_null())
    }
}

impl Service<'_> {
    /// The command; empty where the image's own is meant.
    pub(super) fn command(&self) -> Vec<String> {
        texts(&self.value["command"])
    }

    /// What is run to learn about its health, without `CMD`; empty where nothing is.
    pub(super) fn health_command(&self) -> Vec<String> {
        let mut words = texts(&self.value["healthcheck"]["test"]);
        if words.is_empty() {
            return words;
        }
        assert_eq!(words.remove(0), "CMD", "{}: a command, no shell", self.name);
        words
    }

    pub(super) fn environment(&self) -> BTreeMap<String, String> {
        let Some(variables) = self.value["environment"].as_object() else {
            return BTreeMap::new();
        };
        let text = |(name, value): (&String, &Value)| {
            // Compose takes numbers too; `true` without quotes it refuses.
            let text = value.as_str();
            let text = text.unwrap_or_else(|| panic!("{}: {name} is no text", self.name));
            (name.clone(), text.to_owned())
        };
        variables.iter().map(text).collect()
    }

    /// What it waits for, and for what of it.
    pub(super) fn depends_on(&self) -> BTreeMap<String, String> {
        let Some(dependencies) = self.value["depends_on"].as_object() else {
            return BTreeMap::new();
        };
        let condition = |(name, value): (&String, &Value)| {
            let condition = value["condition"].as_str().unwrap_or_default();
            (name.clone(), condition.to_owned())
        };
        dependencies.iter().map(condition).collect()
    }

    pub(super) fn list(&self, field: &str) -> Vec<String> {
        texts(&self.value[field])
    }

    pub(super) fn text(&self, field: &str) -> &str {
        self.value[field].as_str().unwrap_or_default()
    }

    /// The value of a flag of its command.
    pub(super) fn flag(&self, flag: &str) -> String {
        let words = self.command();
        let at = words.iter().position(|word| word == flag);
        let at = at.unwrap_or_else(|| panic!("{}: {flag} is missing", self.name));
        words[at + 1].clone()
    }

    /// Whether it does one thing and ends.
    pub(super) fn is_task(&self) -> bool {
        self.text("restart") == "no"
    }
}

fn texts(list: &Value) -> Vec<String> {
    let text = |value: &Value| {
        let text = value.as_str().map(str::to_owned);
        text.unwrap_or_else(|| panic!("{value}: no text"))
    };
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(text).collect()
}

fn for_each_text(value: &mut Value, change: &mut impl FnMut(&mut String)) {
    match value {
        Value::String(text) => change(text),
        Value::Array(values) => values.iter_mut().for_each(|v| for_each_text(v, change)),
        Value::Object(fields) => fields.values_mut().for_each(|v| for_each_text(v, change)),
        _ => {}
    }
}

/// Every variable must be one that has to be set: `${NAME:?..}`.
fn interpolated(text: &str, required: &mut BTreeSet<String>) -> String {
    let mut parts = text.split('$');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let inner = part.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let (variable, rest) = inner.unwrap_or_else(|| panic!("{text}: ${part}"));
        let name = variable.split_once(":?");
        let (name, _) = name.unwrap_or_else(|| panic!("{text}: {variable} need not be set"));
        required.insert(name.to_owned());
        whole.push_str(SECRET);
        whole.push_str(rest);
    }
    whole
}
