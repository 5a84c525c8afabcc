//! Finds the value at a path in a JSON text. What lies beside the path is
//! passed over, not read into memory.

use std::fmt;

use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::Segment;

/// Why there is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// The text is not JSON.
    NotJson,
    /// The segment at this place of the path leads nowhere.
    Segment(usize),
}

/// The value at `path`. Of fields with the same name the last one counts.
pub(super) fn look_up(text: &[u8], path: &[Segment]) -> Result<Value, Missing> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let found = Walk { path, at: 0 }.deserialize(&mut reader);
    let found = found.map_err(|_| Missing::NotJson)?;
    reader.end().map_err(|_| Missing::NotJson)?;
    found.map_err(Missing::Segment)
}

/// Reads a value that the first `at` segments of `path` lead to.
struct Walk<'p> {
    path: &'p [Segment],
    at: usize,
}

impl Walk<'_> {
    fn next(&self) -> Self {
        Self {
            path: self.path,
            at: self.at + 1,
        }
    }

    fn nothing<E: Error>(&self) -> Result<Result<Value, usize>, E> {
        Ok(Err(self.at))
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    /// The value, or the place of the segment that leads nowhere.
    type Value = Result<Value, usize>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        if self.at == self.path.len() {
            Value::deserialize(reader).map(Ok)
        } else {
            reader.deserialize_any(self)
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Result<Value, usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let wanted = match self.path.get(self.at) {
            Some(Segment::Key(key)) => Some(key.as_str()),
            _ => None,
        };
        let mut found = Err(self.at);
        while let Some(is_wanted) = fields.next_key_seed(IsKey(wanted))? {
            if is_wanted {
                found = fields.next_value_seed(self.next())?;
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut found = Err(self.at);
        if let Some(Segment::Index(index)) = self.path.get(self.at) {
            for _ in 0..*index {
                if items.next_element::<IgnoredAny>()?.is_none() {
                    return Ok(found);
                }
            }
            if let Some(item) = items.next_element_seed(self.next())? {
                found = item;
            }
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        self.nothing()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        self.nothing()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        self.nothing()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        self.nothing()
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        self.nothing()
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        self.nothing()
    }
}

/// Whether a key is this one.
struct IsKey<'k>(Option<&'k str>);

impl<'de> DeserializeSeed<'de> for IsKey<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<bool, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for IsKey<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        Ok(self.0 == Some(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(key: &str) -> Segment {
        Segment::Key(key.to_owned())
    }

    #[test]
    fn finds_what_is_there_and_says_where_the_path_ends() {
        let text = br#" {"a": [1, {"b\n": 2.50, "c": null}, "x"], "d": true, "a b": {"": 3}} "#;
        let b = [key("a"), Segment::Index(1), key("b\n")];
        let cases: [(&[Segment], Result<&str, Missing>); 10] = [
            (&b, Ok("2.5")),
            (&b[..2], Ok(r#"{"b\n":2.5,"c":null}"#)),
            (&[key("a b"), key("")], Ok("3")),
            (&[key("d")], Ok("true")),
            (&[key("e")], Err(Missing::Segment(0))),
            (&[Segment::Index(0)], Err(Missing::Segment(0))),
            (&[key("a"), key("b")], Err(Missing::Segment(1))),
            (&[key("a"), Segment::Index(3)], Err(Missing::Segment(1))),
            (&[key("d"), key("b")], Err(Missing::Segment(1))),
            (
                &[key("a"), Segment::Index(2), key("b")],
                Err(Missing::Segment(2)),
            ),
        ];
        for (path, expected) in cases {
            let found = look_up(text, path).map(|value| value.to_string());
            assert_eq!(found.as_deref(), expected.as_ref().copied(), "{path:?}");
        }
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        let text = br#"{"a": {"b": 1}, "a": {"b": 2}, "c": {"b": 3}, "c": 4}"#;
        let found = look_up(text, &[key("a"), key("b")]);
        assert_eq!(found, Ok(Value::from(2)));
        let found = look_up(text, &[key("c"), key("b")]);
        assert_eq!(found, Err(Missing::Segment(1)));
    }

    #[test]
    fn what_is_no_json_has_no_values() {
        for text in [
            "",
            "{",
            r#"{"a": 1"#,
            r#"{"a": 1} x"#,
            r#"{"a": 1, "b": ]}"#,
        ] {
            let found = look_up(text.as_bytes(), &[key("a")]);
            assert_eq!(found, Err(Missing::NotJson), "{text}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[ab]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ab]", inner, 0..3)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    fn any_segment() -> impl Strategy<Value = Segment> {
        prop_oneof![
            "[ab]".prop_map(Segment::Key),
            (0..3_usize).prop_map(Segment::Index)
        ]
    }

    proptest! {
        /// As if all had been read first.
        #[test]
        fn finds_the_same_as_in_a_value(json in any_json(), path in prop::collection::vec(any_segment(), 0..4)) {
            let mut expected = Ok(&json);
            for (at, segment) in path.iter().enumerate() {
                expected = expected.and_then(|value: &Value| {
                    let next = match segment {
                        Segment::Key(key) => value.get(key),
                        Segment::Index(index) => value.get(index),
                    };
                    next.ok_or(Missing::Segment(at))
                });
            }
            prop_assert_eq!(look_up(json.to_string().as_bytes(), &path), expected.cloned());
        }
    }
}
