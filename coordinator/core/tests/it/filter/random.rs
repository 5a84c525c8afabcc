//! Random conditions beside an oracle of another making, and random texts.

use proptest::prelude::*;

use super::*;

/// Conditions as the oracle knows them.
#[derive(Debug, Clone)]
enum Sketch {
    /// `h0 < 5`: which header, how, which number.
    Compare(usize, &'static str, i64),
    Between(usize, bool, i64, i64),
    In(usize, bool, Vec<Option<i64>>),
    IsNull(usize, bool),
    Is(Box<Sketch>, bool, u8),
    Not(Box<Sketch>),
    And(Vec<Sketch>),
    Or(Vec<Sketch>),
}

const HEADERS: [&str; 3] = ["h0", "h1", "h2"];

fn sketch() -> impl Strategy<Value = Sketch> {
    let operator = prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">="]);
    let number = -3_i64..4;
    let header = 0..HEADERS.len();
    let leaf = prop_oneof![
        (header.clone(), operator, number.clone()).prop_map(|(h, o, n)| Sketch::Compare(h, o, n)),
        (
            header.clone(),
            any::<bool>(),
            number.clone(),
            number.clone()
        )
            .prop_map(|(h, not, low, high)| Sketch::Between(h, not, low, high)),
        (
            header.clone(),
            any::<bool>(),
            prop::collection::vec(prop::option::weighted(0.8, number), 1..4)
        )
            .prop_map(|(h, not, list)| Sketch::In(h, not, list)),
        (header, any::<bool>()).prop_map(|(h, not)| Sketch::IsNull(h, not)),
    ];
    leaf.prop_recursive(6, 48, 4, |inner| {
        let some = prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            inner.clone().prop_map(|s| Sketch::Not(Box::new(s))),
            (inner, any::<bool>(), 0_u8..3).prop_map(|(s, not, is)| Sketch::Is(
                Box::new(s),
                not,
                is
            )),
            some.clone().prop_map(Sketch::And),
            some.prop_map(Sketch::Or),
        ]
    })
}

/// As text; `salt` decides about cases and needless parentheses.
fn write(sketch: &Sketch, salt: u64) -> String {
    let not = |not: &bool| if *not { "NOT " } else { "" };
    let word = |word: &str| match salt % 3 {
        0 => word.to_lowercase(),
        _ => word.to_owned(),
    };
    let nested = |inner: &Sketch| format!("({})", write(inner, salt / 3));
    let join = |parts: &[Sketch], by: &str| parts.iter().map(nested).collect::<Vec<_>>().join(by);
    let text = match sketch {
        Sketch::Compare(h, o, n) => format!("{} {o} {n}", HEADERS[*h]),
        Sketch::Between(h, n, low, high) => {
            format!("{} {}BETWEEN {low} AND {high}", HEADERS[*h], not(n))
        }
        Sketch::In(h, n, list) => {
            let list = list
                .iter()
                .map(|n| n.map_or("NULL".into(), |n| n.to_string()));
            let list: Vec<String> = list.collect();
            format!("\"{}\" {}IN ({})", HEADERS[*h], not(n), list.join(","))
        }
        Sketch::IsNull(h, n) => format!("{} IS {}{}", HEADERS[*h], not(n), word("NULL")),
        Sketch::Is(inner, n, is) => {
            let value = ["FALSE", "UNKNOWN", "TRUE"][*is as usize];
            format!("{} IS {}{}", nested(inner), not(n), word(value))
        }
        Sketch::Not(inner) => format!("{} {}", word("NOT"), nested(inner)),
        Sketch::And(parts) => join(parts, &format!(" {} ", word("AND"))),
        Sketch::Or(parts) => join(parts, &word("\nOR\t")),
    };
    if salt.is_multiple_of(5) {
        format!("( {text})")
    } else {
        text
    }
}

/// False, unknown, true as 0, 1, 2: AND is the smallest, OR the largest.
fn oracle(sketch: &Sketch, values: &[Option<i64>]) -> u8 {
    let bit = |truth: bool| if truth { 2 } else { 0 };
    let not_if = |not: bool, value: u8| if not { 2 - value } else { value };
    let compare = |h: usize, holds: &dyn Fn(i64) -> bool| values[h].map_or(1, |v| bit(holds(v)));
    match sketch {
        Sketch::Compare(h, o, n) => compare(*h, &|v| match *o {
            "=" => v == *n,
            "<>" => v != *n,
            "<" => v < *n,
            "<=" => v <= *n,
            ">" => v > *n,
            _ => v >= *n,
        }),
        Sketch::Between(h, not, low, high) => {
            not_if(*not, compare(*h, &|v| (*low..=*high).contains(&v)))
        }
        Sketch::In(h, not, list) => {
            let each = list.iter().map(|n| match n {
                Some(n) => compare(*h, &|v| v == *n),
                None => 1,
            });
            not_if(*not, each.max().unwrap())
        }
        Sketch::IsNull(h, not) => bit(values[*h].is_none() != *not),
        Sketch::Is(inner, not, is) => bit((oracle(inner, values) == *is) != *not),
        Sketch::Not(inner) => 2 - oracle(inner, values),
        Sketch::And(parts) => parts.iter().map(|p| oracle(p, values)).min().unwrap(),
        Sketch::Or(parts) => parts.iter().map(|p| oracle(p, values)).max().unwrap(),
    }
}

/// Pieces of conditions, in any order.
fn soup() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a", "tag", "\"x-y\"", "'t%'", "5", "-1.5e3", "NULL", "TRUE", "AND", "OR", "NOT", "IN",
        "BETWEEN", "LIKE", "ESCAPE", "IS", "UNKNOWN", "(", ")", ",", "=", "<>", "<=", "-", "'",
        "\"", "'!'", "é", "|", ".",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.join(" "))
}

/// Parsing ends in a filter or in an error that points into the text.
fn check(text: &str) {
    let message = message([("a", "5"), ("x-y", "t")]);
    match SqlFilter::parse(text) {
        Ok(filter) => {
            let _ = filter.matches(&message);
            assert_eq!(filter.text(), text);
        }
        Err(bad) => {
            let at = match bad {
                BadSql::TooLong(_) => return,
                BadSql::Character { at, .. }
                | BadSql::Unterminated { at, .. }
                | BadSql::Expected { at, .. }
                | BadSql::Number { at, .. }
                | BadSql::Operands { at, .. }
                | BadSql::TooDeep { at }
                | BadSql::ListTooLong { at }
                | BadSql::PatternTooLong { at } => at,
            };
            assert!(
                (1..=text.chars().count() + 1).contains(&at),
                "{text:?}: {at}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn evaluation_agrees_with_the_oracle(
        sketch in sketch(),
        salt in any::<u64>(),
        values in prop::array::uniform3(prop::option::weighted(0.7, -3_i64..4)),
    ) {
        let texts = values.map(|value| value.map(|value| value.to_string()));
        let headers = HEADERS.iter().zip(&texts);
        let headers = headers.filter_map(|(name, value)| Some((*name, value.as_deref()?)));
        let text = write(&sketch, salt);
        prop_assume!(text.chars().count() <= MAX_SQL_CHARS);
        let expected = [F, U, T][oracle(&sketch, &values) as usize];
        prop_assert_eq!(evaluate(&text, &message(headers)), expected, "{}", text);
    }

    #[test]
    fn any_text_is_a_filter_or_an_error(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn any_pieces_are_a_filter_or_an_error(text in soup()) {
        check(&text);
    }
}
