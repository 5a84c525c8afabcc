//! SQL filters: what they say of messages, whole truth tables.

mod random;

use std::collections::BTreeMap;

use amends_core::message::filter::sql::{MAX_SQL_CHARS, MAX_SQL_DEPTH, MAX_SQL_LIST};
use amends_core::message::{
    BadFilter, BadSql, Filter, Headers, Message, MessageId, MessageKey, SqlFilter, Tag, Topic,
};
use amends_core::payload::Payload;
use amends_core::time::Timestamp;

fn message<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Message {
    let headers = headers.into_iter();
    let headers: BTreeMap<_, _> = headers.map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    Message {
        id: MessageId::new("m-1").unwrap(),
        topic: Topic::new("orders").unwrap(),
        tag: Tag::new("paid").unwrap(),
        key: MessageKey::new("").unwrap(),
        order_key: None,
        headers: Headers::trusted(headers),
        payload: Payload::null(),
        deliver_at: None,
        created_at: Timestamp(0),
    }
}

fn evaluate(text: &str, message: &Message) -> Option<bool> {
    SqlFilter::parse(text)
        .unwrap_or_else(|bad| panic!("{text}: {bad}"))
        .evaluate(message)
}

const T: Option<bool> = Some(true);
const F: Option<bool> = Some(false);
const U: Option<bool> = None;

/// A header of which `name = TRUE` has this value.
fn header(name: &str, value: Option<bool>) -> Option<(&str, &str)> {
    value.map(|value| (name, if value { "true" } else { "FALSE" }))
}

#[test]
fn logic_is_sql92s_in_all_combinations() {
    #[rustfmt::skip]
    let table = [
        // a, b, a AND b, a OR b
        (T, T, T, T), (T, F, F, T), (T, U, U, T),
        (F, T, F, T), (F, F, F, F), (F, U, F, U),
        (U, T, U, T), (U, F, F, U), (U, U, U, U),
    ];
    for (a, b, and, or) in table {
        let message = message(header("a", a).into_iter().chain(header("b", b)));
        let says = |text: &str| evaluate(text, &message);
        assert_eq!(says("a = TRUE AND b = TRUE"), and, "{a:?} AND {b:?}");
        assert_eq!(says("a AND b"), and, "{a:?} AND {b:?}");
        assert_eq!(says("a or b"), or, "{a:?} OR {b:?}");
        assert_eq!(says("not (a and b)"), and.map(|v| !v), "{a:?}, {b:?}");
        assert_eq!(says("NOT a OR NOT b"), and.map(|v| !v), "{a:?}, {b:?}");
        assert_eq!(says("a AND b OR a"), a, "absorbs {b:?}");
        for (name, value) in [("TRUE", T), ("FALSE", F), ("UNKNOWN", U)] {
            let is = Some(a == value);
            assert_eq!(says(&format!("a IS {name}")), is);
            assert_eq!(
                says(&format!("(a) is not {}", name.to_lowercase())),
                is.map(|v| !v)
            );
        }
    }
}

#[test]
fn what_stands_beside_what_decides_how_it_is_read() {
    // The header's value, the literal, and how the first stands to the second.
    let rows = [
        (Some("5"), "5", "="),
        (Some("5.0"), "5", "="),
        (Some("+05"), "5e0", "="),
        (Some("-1"), ".5", "<"),
        (Some("10"), "9", ">"),
        (Some("10"), "'9'", "<"),
        (Some("9007199254740993"), "9007199254740992", ">"),
        (Some("0.1"), "0.10", "="),
        (Some(" 5"), "5", "?"),
        (Some("5x"), "5", "?"),
        (Some("inf"), "5", "?"),
        (Some("NaN"), "5", "?"),
        (Some("1e999"), "5", "?"),
        (Some(""), "5", "?"),
        (Some(""), "''", "="),
        (Some("a"), "'b'", "<"),
        (Some("a"), "'A'", ">"),
        (Some("it's"), "'it''s'", "="),
        (Some("ä"), "'z'", ">"),
        (Some("5"), "NULL", "?"),
        (None, "5", "?"),
        (None, "''", "?"),
        (None, "NULL", "?"),
    ];
    for (value, literal, stands) in rows {
        let message = message(value.map(|value| ("h", value)));
        for (operator, of) in [
            ("=", "="),
            ("<>", "<>"),
            ("!=", "<>"),
            ("<", "<"),
            ("<=", "<="),
            (">", ">"),
            (">=", ">="),
        ] {
            let expected = (stands != "?").then(|| of.contains(stands) != (of == "<>"));
            let expected = match (stands, of) {
                ("<" | ">", "<>") => T,
                ("=", "<>") => F,
                _ => expected,
            };
            let text = format!("h {operator} {literal}");
            assert_eq!(evaluate(&text, &message), expected, "{value:?}: {text}");
            let mirrored = operator
                .replace('<', "\0")
                .replace('>', "<")
                .replace('\0', ">");
            let mirrored = if of == "<>" { of.to_owned() } else { mirrored };
            let text = format!("{literal} {mirrored} h");
            assert_eq!(evaluate(&text, &message), expected, "{value:?}: {text}");
        }
        let missing = Some(value.is_none());
        assert_eq!(evaluate("h IS NULL", &message), missing);
        assert_eq!(evaluate("h is not null", &message), missing.map(|v| !v));
    }
}

#[test]
fn truth_values_are_equal_or_not_and_nothing_else() {
    for (value, equal) in [("true", T), ("TRUE", T), ("False", F), ("yes", U), ("1", U)] {
        let message = message([("vip", value)]);
        assert_eq!(evaluate("vip = TRUE", &message), equal, "{value}");
        assert_eq!(evaluate("FALSE <> vip", &message), equal, "{value}");
        assert_eq!(evaluate("vip", &message), equal, "{value}");
        assert_eq!(evaluate("vip IN (true)", &message), equal, "{value}");
    }
    assert_eq!(evaluate("TRUE", &message([])), T);
    assert_eq!(evaluate("NOT TRUE OR FALSE", &message([])), F);
}

#[test]
fn ranges_lists_and_patterns() {
    let with = |value| message([("n", value), ("low", "2"), ("x-region", "eu-west")]);
    for (value, between, in_list, in_null) in [
        ("1", F, T, T),
        ("2", T, F, U),
        ("9", T, F, U),
        ("9.5", F, F, U),
        ("many", U, U, U),
    ] {
        let message = with(value);
        let says = |text: &str| evaluate(text, &message);
        assert_eq!(says("n BETWEEN 2 AND 9"), between, "{value}");
        assert_eq!(
            says("n NOT BETWEEN 2 AND 9"),
            between.map(|v| !v),
            "{value}"
        );
        assert_eq!(says("n BETWEEN 2 AND 9 AND TRUE"), between, "{value}");
        assert_eq!(says("n IN (1, 100)"), in_list, "{value}");
        assert_eq!(says("n NOT IN (1, 100)"), in_list.map(|v| !v), "{value}");
        assert_eq!(says("n IN (1, NULL)"), in_null, "{value}");
    }
    let message = with("3");
    let says = |text: &str| evaluate(text, &message);
    assert_eq!(says("n BETWEEN NULL AND 2"), F);
    assert_eq!(says("n BETWEEN NULL AND 9"), U);
    assert_eq!(says("n BETWEEN low AND '4'"), T);
    assert_eq!(says("\"x-region\" LIKE 'eu-%'"), T);
    assert_eq!(says("\"x-region\" NOT LIKE 'e_-w%t'"), F);
    assert_eq!(says("\"x-region\" LIKE 'eu!-%' escape '-'"), F);
    assert_eq!(says("missing LIKE '%'"), U);
    assert_eq!(says("\"say \"\"hi\"\"\" IS NULL"), T);
}

#[test]
fn tag_key_and_id_are_the_messages_own_unless_quoted() {
    let message = message([("tag", "header"), ("Amount", "7"), ("order.total", "8")]);
    let says = |text: &str| evaluate(text, &message);
    assert_eq!(says("tag = 'paid' AND ID = 'm-1'"), T);
    assert_eq!(says("\"tag\" = 'header'"), T);
    assert_eq!(says("key IS NULL"), T, "an empty key is none");
    assert_eq!(says("Amount = 7 AND order.total = 8"), T);
    assert_eq!(says("amount IS NULL"), T, "names keep their case");
}

/// Texts that are no conditions, and what people are told.
#[rustfmt::skip]
const BAD: &[(&str, &str)] = &[
        (
            "",
            "at character 1: expected a name, a text in single quotes, a number, TRUE, FALSE or NULL, found the end",
        ),
        (
            "a =",
            "at character 4: expected a name, a text in single quotes, a number, TRUE, FALSE or NULL, found the end",
        ),
        (
            "a = 1 b",
            "at character 7: expected AND, OR or the end, found b",
        ),
        (
            "(a = 1",
            "at character 7: expected AND, OR or ), found the end",
        ),
        ("a = 'x", "at character 5: the closing ' is missing"),
        ("ä = 1 ; b", "at character 7: ';' means nothing here"),
        (
            "a || b",
            "at character 3: '|' means nothing here; write OR and AND, tags are another kind of filter",
        ),
        (
            "a * 2 > 1",
            "at character 3: '*' means nothing here; there is no arithmetic",
        ),
        (
            "a - 2 > 1",
            "at character 3: expected AND, OR or the end, found -",
        ),
        (
            "a > -b",
            "at character 6: expected a number; there is no arithmetic, found b",
        ),
        (
            "a = 5x",
            "at character 5: \"5x\" is not a number that can be compared",
        ),
        (
            "a = 1e999",
            "at character 5: \"1e999\" is not a number that can be compared",
        ),
        (
            "'x'",
            "at character 4: expected a comparison, BETWEEN, IN, LIKE or IS, found the end",
        ),
        (
            "lower(a) = 'x'",
            "at character 6: expected AND, OR or the end, found (",
        ),
        (
            "a NOT 5",
            "at character 7: expected BETWEEN, IN or LIKE, found 5",
        ),
        (
            "a BETWEEN 1 OR 2",
            "at character 13: expected AND, found OR",
        ),
        (
            "a IN ()",
            "at character 7: expected a name, a text in single quotes, a number, TRUE, FALSE or NULL, found )",
        ),
        (
            "a LIKE 5",
            "at character 8: expected a pattern in single quotes, found 5",
        ),
        ("5 LIKE '5'", "at character 3: LIKE compares texts"),
        (
            "a LIKE 'x' ESCAPE '!!'",
            "at character 3: LIKE wants exactly one ESCAPE character",
        ),
        (
            "a > TRUE",
            "at character 3: > cannot order truth values; use = and <>",
        ),
        (
            "1 = TRUE",
            "at character 3: = cannot compare a number with a truth value",
        ),
        (
            "a IS 5",
            "at character 6: expected TRUE, FALSE or UNKNOWN, found 5",
        ),
        (
            "and = 1",
            "at character 1: expected a name, a text in single quotes, a number, TRUE, FALSE or NULL, found and",
        ),
];

#[test]
fn errors_say_where_and_what() {
    let many = format!("a IN (1{})", ", 1".repeat(MAX_SQL_LIST));
    let deep = "(".repeat(MAX_SQL_DEPTH + 1);
    let nots = "NOT ".repeat(MAX_SQL_DEPTH + 1);
    let long = "a".repeat(MAX_SQL_CHARS + 1);
    let bounds = [
        (many.as_str(), "at character 3: IN has more than 128 values"),
        (deep.as_str(), "at character 34: nested more than 32 deep"),
        (nots.as_str(), "at character 133: nested more than 32 deep"),
        (
            long.as_str(),
            "has 2001 characters, at most 2000 are allowed",
        ),
    ];
    for (text, expected) in BAD.iter().copied().chain(bounds) {
        let bad = Filter::sql(text).expect_err(text);
        assert!(matches!(bad, BadFilter::Sql(_)));
        assert_eq!(bad.to_string(), expected, "{text}");
    }
}
