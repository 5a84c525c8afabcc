//! Puts data in the place of references: `{"$ref": "$.steps.a.price"}`.

use serde_json::{Map, Value};

/// Where references lead.
pub(super) trait Data {
    /// The saga's input.
    fn input(&self) -> &Value;
    /// What a step answered, if it has.
    fn answer(&self, step: &str) -> Option<&Value>;
    /// The transaction's id.
    fn gid(&self) -> &Value;
}

/// The template with every reference resolved, or the reference that names nothing.
pub(super) fn resolve(template: &Value, data: &impl Data) -> Result<Value, String> {
    match template {
        Value::Object(object) => match single(object) {
            Some(("$literal", inside)) => Ok(inside.clone()),
            Some(("$ref", Value::String(path))) => lookup(path, data)
                .cloned()
                .ok_or_else(|| format!("`{path}` names nothing")),
            _ => {
                let parts = object
                    .iter()
                    .map(|(key, part)| Ok((key.clone(), resolve(part, data)?)));
                Ok(Value::Object(parts.collect::<Result<_, String>>()?))
            }
        },
        Value::Array(items) => items.iter().map(|item| resolve(item, data)).collect(),
        plain => Ok(plain.clone()),
    }
}

fn single(object: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut entries = object.iter();
    let (key, value) = entries.next()?;
    entries.next().is_none().then_some((key.as_str(), value))
}

fn lookup<'a>(path: &str, data: &'a impl Data) -> Option<&'a Value> {
    let mut segments = segments(path.strip_prefix('$')?)?.into_iter();
    let root = match segments.next()?.as_str()? {
        "input" => data.input(),
        "gid" => data.gid(),
        "steps" => data.answer(segments.next()?.as_str()?)?,
        _ => return None,
    };
    segments.try_fold(root, |value, segment| match segment {
        Value::String(key) => value.get(key),
        index => value.get(usize::try_from(index.as_u64()?).ok()?),
    })
}

/// Keys as strings, indices as numbers.
fn segments(mut rest: &str) -> Option<Vec<Value>> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        let tail = if let Some(tail) = rest.strip_prefix('.') {
            let end = tail.find(['.', '[']).unwrap_or(tail.len());
            let (key, tail) = tail.split_at(end);
            found.push(Value::from(key));
            tail
        } else {
            // A JSON string or number up to its end, then the bracket.
            let inside = rest.strip_prefix('[')?;
            let mut values = serde_json::Deserializer::from_str(inside).into_iter::<Value>();
            found.push(values.next()?.ok()?);
            inside.get(values.byte_offset()..)?.strip_prefix(']')?
        };
        rest = tail;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Sample(Value);

    impl Data for Sample {
        fn input(&self) -> &Value {
            &self.0["input"]
        }
        fn answer(&self, step: &str) -> Option<&Value> {
            self.0["steps"].get(step)
        }
        fn gid(&self) -> &Value {
            &self.0["gid"]
        }
    }

    #[test]
    fn references() {
        let data = Sample(json!({
            "gid": "g1",
            "input": {"a": [{"b": 1}], "any \"key\"]": 2},
            "steps": {"reserve-stock": {"price": 5}, "a.b": [7]},
        }));
        let check = |template: Value, expected: Result<Value, &str>| {
            let expected = expected.map_err(str::to_owned);
            assert_eq!(resolve(&template, &data), expected, "{template}");
        };
        check(json!({"$ref": "$.gid"}), Ok(json!("g1")));
        check(
            json!([{"x": {"$ref": "$.input.a[0].b"}}]),
            Ok(json!([{"x": 1}])),
        );
        check(json!({"$ref": r#"$.input["any \"key\"]"]"#}), Ok(json!(2)));
        check(json!({"$ref": "$.steps.reserve-stock.price"}), Ok(json!(5)));
        check(json!({"$ref": r#"$.steps["a.b"][0]"#}), Ok(json!(7)));
        check(
            json!({"$literal": {"$ref": "$.gid"}}),
            Ok(json!({"$ref": "$.gid"})),
        );
        check(
            json!({"$ref": "$.gid", "x": 1}),
            Ok(json!({"$ref": "$.gid", "x": 1})),
        );
        check(
            json!({"$ref": "$.steps.none"}),
            Err("`$.steps.none` names nothing"),
        );
        check(
            json!({"$ref": "$.input.a[9]"}),
            Err("`$.input.a[9]` names nothing"),
        );
        for garbage in [
            "",
            "$",
            "$.",
            "gid",
            "$.input[",
            "$.input[\"a",
            "$.input.a[-1]",
            "$.x",
            "$.input]",
        ] {
            assert!(
                resolve(&json!({"$ref": garbage}), &data).is_err(),
                "{garbage}"
            );
        }
    }
}
