//! Typed references between steps: JSON with `{"$ref": "$.steps.reserve.price"}` in it.
//!
//! A template is a JSON value. An object with the single key `$ref` stands for
//! the value its path names: `$.input`, `$.steps.NAME` (the output of an
//! earlier step) or `$.gid`, followed by `.field`, `[0]` or `["any key"]`. An
//! object with the single key `$literal` stands for what is inside, unread.

mod look_up;

use std::fmt;

use bytes::Bytes;
use serde_json::{Map, Value};

use self::look_up::{Missing, look_up};

/// Deepest nesting of a template, in levels. (`serde_json` reads 128.)
pub const MAX_DEPTH: usize = 100;

/// A parsed path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    root: Root,
    path: Vec<Segment>,
}

/// Where a path begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// The saga's input.
    Input,
    /// The output of the step of this name.
    Step(String),
    /// The transaction id.
    Gid,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Key(String),
    Index(usize),
}

/// A JSON value with references in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Template {
    /// No reference inside.
    Literal(Value),
    /// Stands for the value it names.
    Reference(Reference),
    /// An array with references inside.
    Array(Vec<Template>),
    /// An object with references inside.
    Object(Vec<(String, Template)>),
}

/// Why a template cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTemplate {
    /// `$ref` does not hold a text.
    #[error("\"$ref\" must hold a path such as \"$.steps.reserve.price\"")]
    NotAText,
    /// The path does not follow the grammar.
    #[error("{path:?} is not a path: {problem}")]
    Path {
        /// The text found.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Nested too deeply.
    #[error("is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
}

/// A path that leads nowhere in the values at hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reference} names nothing: {problem}")]
pub struct Unresolved {
    reference: String,
    problem: String,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Says which reference cannot be read.
    pub fn parse(value: Value) -> Result<Self, BadTemplate> {
        parse(value, 0)
    }

    /// Every reference inside.
    #[must_use]
    pub fn references(&self) -> Vec<&Reference> {
        let mut found = Vec::new();
        collect(self, &mut found);
        found
    }

    /// Puts in values from the JSON texts that `root` gives.
    ///
    /// # Errors
    /// Names the first reference that leads nowhere.
    pub fn resolve(&self, root: &dyn Fn(&Root) -> Option<Bytes>) -> Result<Value, Unresolved> {
        match self {
            Self::Literal(value) => Ok(value.clone()),
            Self::Reference(reference) => reference.resolve(root),
            Self::Array(items) => items.iter().map(|item| item.resolve(root)).collect(),
            Self::Object(fields) => {
                let mut object = Map::new();
                for (key, field) in fields {
                    object.insert(key.clone(), field.resolve(root)?);
                }
                Ok(Value::Object(object))
            }
        }
    }
}

impl Reference {
    /// Parses a path.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, BadTemplate> {
        let bad = |problem| BadTemplate::Path {
            path: text.to_owned(),
            problem,
        };
        let rest = text
            .strip_prefix('$')
            .ok_or_else(|| bad("it must begin with \"$.\""))?;
        let mut segments = split(rest).map_err(bad)?.into_iter();
        let root = match segments.next() {
            Some(Segment::Key(key)) if key == "input" => Root::Input,
            Some(Segment::Key(key)) if key == "gid" => Root::Gid,
            Some(Segment::Key(key)) if key == "steps" => match segments.next() {
                Some(Segment::Key(step)) => Root::Step(step),
                _ => return Err(bad("\"$.steps\" must be followed by the name of a step")),
            },
            _ => {
                return Err(bad(
                    "it must begin with \"$.input\", \"$.steps\" or \"$.gid\"",
                ));
            }
        };
        let path: Vec<Segment> = segments.collect();
        if root == Root::Gid && !path.is_empty() {
            return Err(bad("\"$.gid\" is a text and has no fields"));
        }
        Ok(Self { root, path })
    }

    /// Where it begins.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.root
    }

    fn resolve(&self, root: &dyn Fn(&Root) -> Option<Bytes>) -> Result<Value, Unresolved> {
        let found = match root(&self.root) {
            Some(text) => look_up(&text, &self.path),
            None => Err(Missing::NotJson),
        };
        found.map_err(|missing| Unresolved {
            reference: self.to_string(),
            problem: match missing {
                Missing::NotJson => "it is not JSON".to_owned(),
                Missing::Segment(at) => {
                    let segment = self.path.get(at).map(segment_text);
                    format!("there is no {}", segment.unwrap_or_default())
                }
            },
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.root {
            Root::Input => f.write_str("$.input")?,
            Root::Gid => f.write_str("$.gid")?,
            Root::Step(name) => write!(f, "$.steps{}", segment_text(&Segment::Key(name.clone())))?,
        }
        self.path
            .iter()
            .try_for_each(|segment| f.write_str(&segment_text(segment)))
    }
}

fn parse(value: Value, depth: usize) -> Result<Template, BadTemplate> {
    if depth > MAX_DEPTH {
        return Err(BadTemplate::TooDeep);
    }
    match value {
        Value::Object(mut object) if object.len() == 1 && object.contains_key("$ref") => {
            let path = object.remove("$ref");
            let text = path
                .as_ref()
                .and_then(Value::as_str)
                .ok_or(BadTemplate::NotAText)?;
            Ok(Template::Reference(Reference::parse(text)?))
        }
        Value::Object(mut object) if object.len() == 1 && object.contains_key("$literal") => Ok(
            Template::Literal(object.remove("$literal").unwrap_or_default()),
        ),
        Value::Object(object) => {
            let fields = object
                .into_iter()
                .map(|(key, value)| Ok((key, parse(value, depth + 1)?)))
                .collect::<Result<Vec<_>, BadTemplate>>()?;
            Ok(fold_object(fields))
        }
        Value::Array(items) => {
            let items = items
                .into_iter()
                .map(|item| parse(item, depth + 1))
                .collect::<Result<Vec<_>, BadTemplate>>()?;
            Ok(fold_array(items))
        }
        scalar => Ok(Template::Literal(scalar)),
    }
}

/// An array without references inside is one literal.
fn fold_array(items: Vec<Template>) -> Template {
    if items
        .iter()
        .all(|item| matches!(item, Template::Literal(_)))
    {
        let values = items.into_iter().filter_map(Template::into_literal);
        return Template::Literal(values.collect());
    }
    Template::Array(items)
}

/// An object without references inside is one literal.
fn fold_object(fields: Vec<(String, Template)>) -> Template {
    if fields
        .iter()
        .all(|(_, field)| matches!(field, Template::Literal(_)))
    {
        let values = fields
            .into_iter()
            .filter_map(|(key, field)| Some((key, field.into_literal()?)));
        return Template::Literal(Value::Object(values.collect()));
    }
    Template::Object(fields)
}

impl Template {
    fn into_literal(self) -> Option<Value> {
        match self {
            Self::Literal(value) => Some(value),
            _ => None,
        }
    }
}

fn collect<'t>(template: &'t Template, found: &mut Vec<&'t Reference>) {
    match template {
        Template::Literal(_) => {}
        Template::Reference(reference) => found.push(reference),
        Template::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Template::Object(fields) => fields.iter().for_each(|(_, field)| collect(field, found)),
    }
}

/// Splits `.a[0]["b c"]` into its segments.
fn split(mut rest: &str) -> Result<Vec<Segment>, &'static str> {
    let mut segments = Vec::new();
    while !rest.is_empty() {
        if let Some(after_dot) = rest.strip_prefix('.') {
            let end = after_dot.find(['.', '[']).unwrap_or(after_dot.len());
            if end == 0 {
                return Err("a name is missing after \".\"");
            }
            segments.push(Segment::Key(after_dot[..end].to_owned()));
            rest = &after_dot[end..];
        } else if rest.starts_with("[\"") {
            // The JSON reader knows where a quoted text ends, escapes included.
            let mut texts = serde_json::Deserializer::from_str(&rest[1..]).into_iter::<String>();
            let Some(Ok(key)) = texts.next() else {
                return Err("a quoted key is malformed");
            };
            let end = 1 + texts.byte_offset();
            rest = rest[end..].strip_prefix(']').ok_or("\"]\" is missing")?;
            segments.push(Segment::Key(key));
        } else if let Some(after_bracket) = rest.strip_prefix('[') {
            let (digits, after) = after_bracket.split_once(']').ok_or("\"]\" is missing")?;
            segments.push(Segment::Index(
                digits
                    .parse()
                    .map_err(|_| "an index must be a whole number")?,
            ));
            rest = after;
        } else {
            return Err("expected \".\" or \"[\"");
        }
    }
    Ok(segments)
}

fn segment_text(segment: &Segment) -> String {
    match segment {
        Segment::Index(index) => format!("[{index}]"),
        Segment::Key(key) if key.is_empty() || key.contains(['.', '[', '"', '\\']) => {
            format!("[{}]", Value::from(key.as_str()))
        }
        Segment::Key(key) => format!(".{key}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resolved(template: Value) -> Result<Value, String> {
        let input = json!({"sku": "A", "lines": [{"n": 2}], "a.b": 1});
        let reserve = json!({"price": 999});
        let gid = json!("g-1");
        let template = Template::parse(template).map_err(|e| e.to_string())?;
        let text = |value: &Value| Some(Bytes::from(value.to_string()));
        let root = |root: &Root| match root {
            Root::Input => text(&input),
            Root::Gid => text(&gid),
            Root::Step(name) if name == "reserve-stock" => text(&reserve),
            Root::Step(_) => None,
        };
        template.resolve(&root).map_err(|e| e.to_string())
    }

    #[test]
    fn puts_values_where_references_stand() {
        let template = json!({
            "whole": {"$ref": "$.input.lines"}, "price": {"$ref": "$.steps.reserve-stock.price"}, "gid": {"$ref": "$.gid"},
            "deep": [1, {"n": {"$ref": "$.input.lines[0].n"}}], "quoted": {"$ref": "$.input[\"a.b\"]"},
            "escaped": {"$literal": {"$ref": "$.gid"}}, "two_keys": {"$ref": "x", "y": 1}
        });
        let expected = json!({
            "whole": [{"n": 2}], "price": 999, "gid": "g-1", "deep": [1, {"n": 2}], "quoted": 1,
            "escaped": {"$ref": "$.gid"}, "two_keys": {"$ref": "x", "y": 1}
        });
        assert_eq!(resolved(template), Ok(expected));
    }

    #[test]
    fn says_what_leads_nowhere() {
        let error = |path: &str| resolved(json!({ "$ref": path })).unwrap_err();
        assert_eq!(
            error("$.input.lines[3].n"),
            "$.input.lines[3].n names nothing: there is no [3]"
        );
        assert_eq!(
            error("$.steps.other"),
            "$.steps.other names nothing: it is not JSON"
        );
        for path in [
            "",
            "input",
            "$",
            "$.",
            "$.steps",
            "$.steps[1]",
            "$.other",
            "$.input.",
            "$.input[x]",
            "$.input[\"a]",
            "$.gid.x",
            "$.input x",
        ] {
            assert!(error(path).contains("is not a path"), "{path}");
        }
        assert!(
            resolved(json!({"$ref": 1}))
                .unwrap_err()
                .contains("must hold a path")
        );
    }

    #[test]
    fn paths_print_as_they_are_read() {
        for path in [
            "$.input",
            "$.gid",
            "$.steps.a-b.c[0].d",
            "$.steps[\"a.b\"].x[\"q\\\"uote\"]",
            "$.input[\"\"]",
        ] {
            assert_eq!(Reference::parse(path).unwrap().to_string(), path);
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = (0..=MAX_DEPTH).fold(json!(1), |inner, _| json!([inner]));
        assert_eq!(Template::parse(deep), Err(BadTemplate::TooDeep));
    }
}
