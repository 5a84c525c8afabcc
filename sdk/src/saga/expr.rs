//! What a [`Val`](super::Val) stands for, without its type: a reference, a
//! plain value, or an object or list with both inside; and how it is written
//! in a definition.
//!
//! A reference becomes `{"$ref": "$.steps.reserve-stock.price"}`. A plain
//! object that happens to look like one is wrapped, `{"$literal": ..}`, so
//! data can never turn into a reference.

use std::fmt::Write;

use serde_json::{Map, Value};

const REF: &str = "$ref";
const LITERAL: &str = "$literal";

/// Tells the builder of one saga from all others, so that a handle of
/// another saga is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BuilderId(pub(crate) u64);

/// Where a reference begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    Input,
    Gid,
    Step(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    Key(String),
    Index(usize),
}

/// A path into the saga's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) builder: BuilderId,
    pub(crate) root: Root,
    pub(crate) path: Vec<Segment>,
}

/// An expression over the saga's data.
#[derive(Clone, Debug)]
pub(crate) enum Expr {
    Ref(Reference),
    Value(Value),
    Object(Vec<(String, Self)>),
    List(Vec<Self>),
    /// A mistake found while building; reported with the definition.
    Invalid(String),
}

impl Expr {
    /// The part of it that `segment` names.
    pub(crate) fn part(&self, segment: Segment) -> Self {
        match (self, &segment) {
            (Self::Ref(reference), _) => {
                let mut reference = reference.clone();
                reference.path.push(segment);
                Self::Ref(reference)
            }
            (Self::Object(fields), Segment::Key(key)) => {
                let found = fields.iter().find(|(name, _)| name == key);
                found.map_or_else(|| missing(&segment), |(_, part)| part.clone())
            }
            (Self::List(items), Segment::Index(index)) => items
                .get(*index)
                .cloned()
                .unwrap_or_else(|| missing(&segment)),
            (Self::Value(value), _) => {
                let found = match &segment {
                    Segment::Key(key) => value.get(key),
                    Segment::Index(index) => value.get(index),
                };
                found.map_or_else(|| missing(&segment), |part| Self::Value(part.clone()))
            }
            (Self::Invalid(why), _) => Self::Invalid(why.clone()),
            (Self::Object(_) | Self::List(_), _) => missing(&segment),
        }
    }

    /// As it stands in a definition, or what is wrong with it.
    pub(crate) fn render(&self) -> Result<Value, String> {
        match self {
            Self::Ref(reference) => {
                let path = Value::String(reference.to_string());
                Ok(Value::Object(Map::from_iter([(REF.to_owned(), path)])))
            }
            Self::Value(value) => Ok(quoted(value)),
            Self::Object(fields) => {
                let mut object = Map::new();
                for (name, part) in fields {
                    if is_special(name) {
                        return Err(format!("a field cannot be called `{name}`"));
                    }
                    object.insert(name.clone(), part.render()?);
                }
                Ok(Value::Object(object))
            }
            Self::List(items) => items.iter().map(Self::render).collect(),
            Self::Invalid(why) => Err(why.clone()),
        }
    }

    /// Calls `visit` for each reference in it.
    pub(crate) fn references(&self, visit: &mut impl FnMut(&Reference)) {
        match self {
            Self::Ref(reference) => visit(reference),
            Self::Object(fields) => fields.iter().for_each(|(_, part)| part.references(visit)),
            Self::List(items) => items.iter().for_each(|part| part.references(visit)),
            Self::Value(_) | Self::Invalid(_) => {}
        }
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_char('$')?;
        match &self.root {
            Root::Input => f.write_str(".input")?,
            Root::Gid => f.write_str(".gid")?,
            Root::Step(name) => {
                f.write_str(".steps")?;
                write_key(f, name)?;
            }
        }
        for segment in &self.path {
            match segment {
                Segment::Key(key) => write_key(f, key)?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

fn write_key(f: &mut std::fmt::Formatter<'_>, key: &str) -> std::fmt::Result {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(plain) {
        write!(f, ".{key}")
    } else {
        write!(f, "[{}]", Value::String(key.to_owned()))
    }
}

fn missing(segment: &Segment) -> Expr {
    Expr::Invalid(match segment {
        Segment::Key(key) => format!("the value has no field `{key}`"),
        Segment::Index(index) => format!("the value has no element {index}"),
    })
}

fn is_special(key: &str) -> bool {
    key == REF || key == LITERAL
}

/// The value with every object in it that could be mistaken wrapped.
fn quoted(value: &Value) -> Value {
    match value {
        Value::Object(object) if object.keys().any(|key| is_special(key)) => {
            Value::Object(Map::from_iter([(LITERAL.to_owned(), value.clone())]))
        }
        Value::Object(object) => {
            let parts = object.iter().map(|(key, part)| (key.clone(), quoted(part)));
            Value::Object(parts.collect())
        }
        Value::Array(items) => items.iter().map(quoted).collect(),
        plain => plain.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn paths() {
        let check = |root: Root, path: &[Segment], expected: &str| {
            let reference = Reference {
                builder: BuilderId(0),
                root,
                path: path.to_vec(),
            };
            assert_eq!(reference.to_string(), expected);
        };
        let key = |key: &str| Segment::Key(key.to_owned());
        check(Root::Input, &[], "$.input");
        check(Root::Gid, &[], "$.gid");
        check(Root::Input, &[key("goods")], "$.input.goods");
        check(
            Root::Step("reserve-stock".into()),
            &[key("price")],
            "$.steps.reserve-stock.price",
        );
        check(Root::Step("a.b".into()), &[key("x")], r#"$.steps["a.b"].x"#);
        check(
            Root::Input,
            &[key("lines"), Segment::Index(0), key("any \"key\"")],
            r#"$.input.lines[0]["any \"key\""]"#,
        );
    }

    #[test]
    fn data_never_becomes_a_reference() {
        let check = |value: Value, expected: Value| {
            assert_eq!(Expr::Value(value).render().unwrap(), expected);
        };
        check(json!({"a": [1]}), json!({"a": [1]}));
        check(
            json!({"$ref": "$.gid"}),
            json!({"$literal": {"$ref": "$.gid"}}),
        );
        check(
            json!([{"a": {"$ref": 1}}]),
            json!([{"a": {"$literal": {"$ref": 1}}}]),
        );
        check(json!({"$literal": 1}), json!({"$literal": {"$literal": 1}}));
    }

    #[test]
    fn parts() {
        let value = Expr::Value(json!({"a": [1, 2]}));
        let part = value.part(Segment::Key("a".into())).part(Segment::Index(1));
        assert_eq!(part.render().unwrap(), json!(2));
        let missing = value.part(Segment::Key("b".into()));
        assert_eq!(missing.render().unwrap_err(), "the value has no field `b`");
    }
}
