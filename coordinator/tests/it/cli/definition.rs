//! `amends definition`, and definitions as files.

use std::path::Path;

use amends_coordinator::admin::definition_file::DefinitionFile;

use super::{fake, local, remote, write};

const FULL: &str = r#"
name = "shop.confirm-order"
version = 2
description = "Confirms an order"
deadline = "30s"
output = { "$ref" = "$.steps.reserve-stock.price" }

[[steps]]
name = "reserve-stock"
target = "stock/reserve"
compensation = "stock/reserve"
input = { order = { "$ref" = "$.input.order" }, number = 1 }
timeout = "5s"
retry = { max_attempts = 3, initial_backoff = "50ms" }
undo_retry = { max_backoff = "2m", multiplier = 1.5 }
fencing = "consumer-log"

[[steps]]
name = "confirm"
target = "grpc://orders:50051/shop.Orders/Confirm"
after = ["reserve-stock"]
kind = "pivot"
fencing = "none"
"#;

fn parse(text: &str) -> Result<DefinitionFile, String> {
    DefinitionFile::parse(Path::new("saga.toml"), text).map_err(|error| error.to_string())
}

#[test]
fn a_file_says_the_same_as_the_api() {
    let file = parse(FULL).unwrap();
    let proto = file.to_proto();
    insta::assert_snapshot!(format!("{:?}", proto.steps[0].retry), @"Some(RetryPolicy { max_attempts: 3, initial_backoff: Some(Duration { seconds: 0, nanos: 50000000 }), max_backoff: Some(Duration { seconds: 10, nanos: 0 }), multiplier: 2.0 })");
    insta::assert_snapshot!(format!("{:?}", proto.steps[0].undo_retry), @"Some(RetryPolicy { max_attempts: 16, initial_backoff: Some(Duration { seconds: 0, nanos: 100000000 }), max_backoff: Some(Duration { seconds: 120, nanos: 0 }), multiplier: 1.5 })");
    assert_eq!(
        &proto.steps[0].input.as_ref().unwrap().data[..],
        br#"{"number":1,"order":{"$ref":"$.input.order"}}"#
    );
    // Whatever form it is read in, it comes back as the same definition.
    let back = DefinitionFile::from_proto(&proto);
    assert_eq!(back.to_proto(), proto);
    let json = serde_json::to_string_pretty(&back).unwrap();
    assert_eq!(parse(&json).unwrap().to_proto(), proto);
    insta::assert_snapshot!(json, @r#"
    {
      "name": "shop.confirm-order",
      "version": 2,
      "description": "Confirms an order",
      "deadline": "30s",
      "steps": [
        {
          "name": "reserve-stock",
          "target": "stock/reserve",
          "compensation": "stock/reserve",
          "input": {
            "number": 1,
            "order": {
              "$ref": "$.input.order"
            }
          },
          "timeout": "5s",
          "retry": {
            "max_attempts": 3,
            "initial_backoff": "50ms",
            "max_backoff": "10s",
            "multiplier": 2.0
          },
          "undo_retry": {
            "max_attempts": 16,
            "initial_backoff": "100ms",
            "max_backoff": "2m",
            "multiplier": 1.5
          },
          "fencing": "consumer-log"
        },
        {
          "name": "confirm",
          "target": "grpc://orders:50051/shop.Orders/Confirm",
          "after": [
            "reserve-stock"
          ],
          "kind": "pivot",
          "fencing": "none"
        }
      ],
      "output": {
        "$ref": "$.steps.reserve-stock.price"
      }
    }
    "#);
}

#[test]
fn null_is_not_absent_and_other_types_come_through() {
    let step = |input: &str| {
        format!(r#"{{"name": "a", "steps": [{{"name": "b", "target": "c/d"{input}}}]}}"#)
    };
    let input = |text: &str| {
        parse(&step(text)).unwrap().to_proto().steps[0]
            .input
            .clone()
    };
    assert_eq!(input(""), None);
    assert_eq!(&input(r#", "input": null"#).unwrap().data[..], b"null");
    let bytes = input(r#", "input": {"$content_type": "application/protobuf", "$base64": "AAEC"}"#)
        .unwrap();
    assert_eq!(
        (bytes.content_type.as_str(), &bytes.data[..]),
        ("application/protobuf", &[0, 1, 2][..])
    );
    let file = parse(&step(
        r#", "input": {"$content_type": "application/protobuf", "$base64": "AAEC"}"#,
    ))
    .unwrap();
    assert_eq!(DefinitionFile::from_proto(&file.to_proto()), file);
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let check = |text: &str, expected: &str| {
        assert_eq!(parse(text).unwrap_err(), format!("saga.toml: {expected}"));
    };
    check(
        r#"{"name": "a", "stepps": []}"#,
        "stepps: unknown key; did you mean steps?",
    );
    check(
        r#"{"name": "a", "steps": [{}, {"traget": "x"}]}"#,
        "steps[1].traget: unknown key; did you mean target?",
    );
    check(
        r#"{"name": "a", "steps": [{"name": "b", "target": "c", "retry": {"attempts": 1}}]}"#,
        "steps[0].retry.attempts: unknown key; did you mean max_attempts?",
    );
    check(r#"{"name": "a"}"#, "definition: missing field `steps`");
    check(
        r#"{"name": "a", "steps": [{"name": "b", "target": "c", "timeout": "soon"}]}"#,
        "steps[0].timeout: \"soon\" is no time; expected one such as 200ms or 5s",
    );
    check(
        r#"{"name": "a", "steps": [{"name": "b", "target": "c", "kind": "final"}]}"#,
        "steps[0].kind: unknown variant `final`, expected one of `compensable`, `pivot`, `retriable`",
    );
    check(
        "{",
        "not JSON: EOF while parsing an object at line 1 column 1",
    );
    assert!(
        parse("name = ")
            .unwrap_err()
            .starts_with("saga.toml: not TOML: ")
    );
    assert!(
        parse("")
            .unwrap_err()
            .starts_with("saga.toml: definition: missing field")
    );
}

#[test]
fn register_get_and_their_errors() {
    let server = fake::start();
    let directory = tempfile::tempdir().unwrap();
    let file = write(directory.path(), "saga.toml", FULL);
    let registered = remote(server, &["definition", "register", &file]);
    assert_eq!((registered.code, registered.err.as_str()), (0, ""));
    insta::assert_snapshot!(registered.out, @r#"
    name         shop.confirm-order
    version      2
    hash         0123456789abcdef
    registered   2026-01-31T08:00:00.000Z
    description  Confirms an order
    deadline     30s
    output       {"$ref":"$.steps.reserve-stock.price"}

    STEP           KIND         TARGET                                   COMPENSATION   AFTER
    reserve-stock  compensable  stock/reserve                            stock/reserve
    confirm        pivot        grpc://orders:50051/shop.Orders/Confirm  none           reserve-stock
    "#);

    let got = remote(
        server,
        &["definition", "get", "shop.confirm-order@3", "-o", "json"],
    );
    let value: serde_json::Value = serde_json::from_str(&got.out).unwrap();
    assert_eq!(value["definition"]["version"], 3);
    let again = write(
        directory.path(),
        "again.json",
        &value["definition"].to_string(),
    );
    assert_eq!(remote(server, &["definition", "register", &again]).code, 0);

    let cycle = write(
        directory.path(),
        "cycle.toml",
        "name = \"cycle\"\nsteps = []\n",
    );
    let refused = remote(server, &["definition", "register", &cycle]);
    assert_eq!(refused.code, 2);
    insta::assert_snapshot!(refused.err, @r"
    error: the definition is not valid
      reason: DEFINITION_INVALID
      field steps[0].after: a and b wait for each other
    ");

    assert_eq!(remote(server, &["definition", "get", "a@zero"]).code, 2);
    assert_eq!(
        remote(server, &["definition", "register", "no-such-file"]).code,
        2
    );
    assert_eq!(
        remote(server, &["definition", "list"]).out,
        "NAME  VERSION  STEPS  REGISTERED  HASH  DESCRIPTION\n"
    );
}

#[test]
fn graphs() {
    let directory = tempfile::tempdir().unwrap();
    let file = write(directory.path(), "saga.toml", FULL);
    insta::assert_snapshot!(local(&["definition", "graph", "--file", &file]).out, @r#"
    ---
    title: "shop.confirm-order v2"
    ---
    flowchart LR
      s0["reserve-stock<br/>stock/reserve"]
      s0 -. undo .-> u0[/"stock/reserve"/]
      s1{{"confirm<br/>grpc://orders:50051/shop.Orders/Confirm"}}
      s0 --> s1
    "#);
    insta::assert_snapshot!(local(&["definition", "graph", "--file", &file, "--format", "dot"]).out, @r#"
    digraph saga {
      rankdir=LR;
      label="shop.confirm-order v2";
      node [shape=box];
      s0 [label="reserve-stock\nstock/reserve"];
      u0 [label="stock/reserve", shape=parallelogram];
      s0 -> u0 [label="undo", style=dotted];
      s1 [label="confirm\ngrpc://orders:50051/shop.Orders/Confirm", shape=hexagon];
      s0 -> s1;
    }
    "#);
    let drawn = remote(
        fake::start(),
        &["definition", "graph", "shop.confirm-order"],
    );
    assert!(drawn.out.contains("s0 --> s1"), "{}", drawn.out);
    assert_eq!(local(&["definition", "graph"]).code, 2);
}
