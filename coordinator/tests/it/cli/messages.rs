//! `amends msg`, `dead`, `consumer`.

use super::{fake, local, remote, write};

#[test]
fn publish_says_what_it_published() {
    let server = fake::start();
    let publish = |args: &[&str]| remote(server, &[&["msg", "publish"], args].concat());
    let one = publish(&["--topic", "orders", "--id", "m-1"]);
    assert_eq!((one.code, one.err.as_str()), (0, ""));
    insta::assert_snapshot!(one.out, @"
    ID   CREATED
    m-1  no: it was published before
    ");
    let bodies = [
        publish(&[
            "--topic",
            "orders",
            "--body",
            r#"{"a":1}"#,
            "--delay",
            "5s",
            "-o",
            "jsonl",
        ]),
        publish(&[
            "--topic",
            "orders",
            "--body",
            "hello",
            "--content-type",
            "text/plain",
            "-o",
            "jsonl",
        ]),
    ];
    let bodies = bodies.map(|run| run.out).concat();
    insta::assert_snapshot!(bodies, @r#"
    {"id":"1-delayed:application/json:7","created":true}
    {"id":"1:text/plain:5","created":true}
    "#);
}

#[test]
fn publish_reads_many_from_a_file() {
    let server = fake::start();
    let folder = tempfile::tempdir().unwrap();
    let lines = "{\"topic\":\"orders\",\"id\":\"a\",\"json\":{\"n\": 1}}\n\n{\"topic\":\"orders\",\"base64\":\"AAE=\",\"delay\":\"1h\"}\n{\"topic\":\"mail\",\"text\":\"hi\"}\n";
    let file = write(folder.path(), "messages.jsonl", lines);
    let run = remote(server, &["msg", "publish", "--file", &file]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    insta::assert_snapshot!(run.out, @"
    ID                                    CREATED
    a                                     yes
    2-delayed:application/octet-stream:2  yes
    3:text/plain:2                        yes
    ");

    // The second batch is refused: the first one stands.
    let many = "{\"topic\":\"orders\",\"id\":\"a\"}\n".repeat(256) + "{\"topic\":\"full\"}";
    let file = write(folder.path(), "many.jsonl", &many);
    let run = remote(server, &["msg", "publish", "--file", &file, "-o", "jsonl"]);
    assert_eq!((run.code, run.out.lines().count()), (3, 256));
    assert_eq!(run.err, "error: no room\n");
}

#[test]
fn wrong_input_is_found_before_any_connection() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| write(folder.path(), name, text);
    for (args, expected) in [
        (vec!["--topic", "t", "--body", "{"], "--body: not JSON"),
        (vec!["--topic", "t", "--header", "x"], "expected NAME=VALUE"),
        (
            vec![
                "--topic",
                "t",
                "--delay",
                "5s",
                "--at",
                "2026-01-31T08:00:00Z",
            ],
            "cannot be used with",
        ),
        (
            vec![
                "--file",
                &file("two.jsonl", "{\"topic\":\"t\",\"json\":1,\"text\":\"x\"}"),
            ],
            "two.jsonl:1: give the body as one of json, text and base64",
        ),
        (
            vec!["--file", &file("wrong.jsonl", "{\"topc\":\"t\"}")],
            "wrong.jsonl:1: unknown field `topc`",
        ),
        (vec!["--file", "/nowhere"], "cannot read /nowhere"),
    ] {
        let run = local(&[&["msg", "publish"], args.as_slice()].concat());
        assert_eq!(run.code, 2, "{args:?}");
        assert!(run.err.contains(expected), "{args:?}: {}", run.err);
    }
}

#[test]
fn get_and_list_show_messages() {
    let server = fake::start();
    let get = remote(server, &["msg", "get", "m-1"]);
    insta::assert_snapshot!(get.out, @r#"
    id         m-1
    topic      orders
    tag        paid
    key        order-7
    headers    region: eu
    body       {"order":7}
    created    2026-01-31T08:00:00.000Z
    state      PUBLISHED
    tries      1
    published  2026-01-31T08:00:00.005Z

    GROUP    STATE     ATTEMPTS  NEXT                      CHANGED                   ERROR
    audit    DEAD      16                                  2026-01-31T08:00:01.000Z  no such customer
    billing  DONE      1                                   2026-01-31T08:00:01.000Z
    mailer   RETRYING  2         2026-01-31T08:00:31.000Z  2026-01-31T08:00:01.000Z  smtp: 451
    "#);
    let list = remote(server, &["msg", "list"]);
    insta::assert_snapshot!(list.out, @"
    ID    TOPIC   TAG   KEY      STATE      CREATED                   DUE                       NOTE
    late  orders  paid  order-7  COMMITTED  2026-01-31T08:00:00.000Z  2026-01-31T09:00:00.000Z
    m-1   orders  paid  order-7  PUBLISHED  2026-01-31T08:00:00.000Z
    ");
    let first = remote(server, &["msg", "list", "--limit", "1", "-o", "jsonl"]);
    insta::assert_snapshot!(first.out, @r#"{"id":"late","topic":"orders","tag":"paid","key":"order-7","order_key":null,"headers":{"region":"eu"},"body":{"order":7},"deliver_time":"2026-01-31T09:00:00.000Z","create_time":"2026-01-31T08:00:00.000Z","state":"COMMITTED","try_count":0,"next_try_time":null,"last_error":null,"publish_time":null}"#);
    assert_eq!(first.err, "there are more than 1; see --limit and --all\n");
    let delayed = remote(server, &["msg", "list", "--delayed", "-o", "jsonl"]);
    assert_eq!(delayed.out.lines().count(), 1);
    let missing = remote(server, &["msg", "get", "nobody"]);
    assert_eq!((missing.code, missing.out.as_str()), (4, ""));
    assert_eq!(
        missing.err,
        "error: there is no message nobody\n  reason: MESSAGE_NOT_FOUND\n"
    );
}

#[test]
fn actions_have_a_result_for_each_item() {
    let server = fake::start();
    for (args, code) in [
        (vec!["msg", "cancel", "late"], 0),
        (vec!["msg", "cancel", "late", "m-1", "nobody"], 3),
        (vec!["msg", "cancel", "nobody"], 4),
        (vec!["msg", "retry", "late"], 5),
        (vec!["dead", "resend", "d-1", "d-2"], 3),
        (vec!["dead", "resend", "d-2"], 5),
        (vec!["dead", "resend", "--group", "mailer", "--yes"], 3),
        (vec!["dead", "resend", "--group", "other", "--yes"], 0),
        (vec!["dead", "discard", "d-1", "--reason", "old"], 0),
    ] {
        assert_eq!(remote(server, &args).code, code, "{args:?}");
    }
    let run = remote(server, &["msg", "cancel", "late", "m-1", "nobody"]);
    insta::assert_snapshot!(run.out, @"
    ID      DONE  NEW ID  REASON
    late    yes
    m-1     no            MESSAGE_PUBLISHED: it is in another state
    nobody  no            MESSAGE_NOT_FOUND: there is no message nobody
    ");
    let run = remote(
        server,
        &["dead", "discard", "d-1", "--reason", "old", "-o", "jsonl"],
    );
    insta::assert_snapshot!(run.out, @r#"{"id":"d-1","done":true,"new_id":"olga because old","code":null,"message":null}"#);
}

#[test]
fn dead_letters_by_filter_need_a_yes() {
    let server = fake::start();
    let run = remote(server, &["dead", "resend", "--group", "mailer"]);
    assert_eq!((run.code, run.out.as_str()), (2, ""));
    assert_eq!(
        run.err,
        "error: 2 dead letters are selected; add --yes to act on all of them\n"
    );
    for args in [
        vec!["dead", "resend"],
        vec!["dead", "resend", "d-1", "--group", "mailer"],
        vec!["dead", "resend", "d-1", "d-2", "--edit", "x.json"],
        vec!["dead", "discard", "d-1"],
        vec!["consumer", "delete", "mailer", "orders"],
        vec!["consumer", "lookup"],
    ] {
        assert_eq!(remote(server, &args).code, 2, "{args:?}");
    }
    let run = remote(
        server,
        &[
            "dead", "resend", "--group", "mailer", "--yes", "--limit", "2",
        ],
    );
    assert_eq!(
        run.err,
        "stopped at 2; repeat the command for what is left\n"
    );
}

#[test]
fn dead_letters_are_listed_shown_edited_and_exported() {
    let server = fake::start();
    let list = remote(server, &["dead", "list", "--group", "mailer"]);
    insta::assert_snapshot!(list.out, @"
    ID   GROUP   TOPIC   TAG   KEY      MESSAGE         STATE  ATTEMPTS  SINCE                     ERROR
    d-1  mailer  orders  paid  order-7  message-of-d-1  OPEN   16        2026-01-31T08:01:00.000Z  smtp: 550
    d-2  mailer  orders  paid  order-7  message-of-d-2  OPEN   16        2026-01-31T08:01:00.000Z  smtp: 550
    ");
    let ended = ["dead", "list", "--group", "mailer", "--state", "resent"];
    insta::assert_snapshot!(remote(server, &ended).out, @"
    ID   GROUP   TOPIC   KEY      MESSAGE         STATE   WHEN                      BY   RESENT AS  REASON
    d-1  mailer  orders  order-7  message-of-d-1  RESENT  2026-01-31T09:00:00.000Z  eve  m-9        price was missing
    ");
    let show = remote(server, &["dead", "show", "d-1"]);
    insta::assert_snapshot!(show.out, @r#"
    dead letter  d-1
    group        mailer
    state        OPEN
    attempts     16
    first error  smtp: 451
    last error   smtp: 550
    since        2026-01-31T08:01:00.000Z
    message      message-of-d-1
    topic        orders
    tag          paid
    key          order-7
    headers      region: eu
    body         {"order":7}
    created      2026-01-31T08:00:00.000Z
    "#);

    let folder = tempfile::tempdir().unwrap();
    let editable = remote(server, &["dead", "show", "d-1", "--editable"]).out;
    insta::assert_snapshot!(editable, @r#"
    {
      "id": "message-of-d-1",
      "topic": "orders",
      "tag": "paid",
      "key": "order-7",
      "headers": {
        "region": "eu"
      },
      "content_type": "application/json",
      "json": {"order":7},
      "create_time": "2026-01-31T08:00:00.000Z"
    }
    "#);
    let edited = editable.replace(r#""order":7"#, r#""order":8,"price":5"#);
    assert_ne!(edited, editable);
    let file = write(folder.path(), "letter.json", &edited);
    let run = remote(
        server,
        &["dead", "resend", "d-1", "--edit", &file, "-o", "jsonl"],
    );
    insta::assert_snapshot!(run.out, @r#"{"id":"d-1","done":true,"new_id":"application/json:{\"order\":8,\"price\":5}:1","code":null,"message":null}"#);

    let out = remote(server, &["dead", "export", "--group", "mailer"]).out;
    let file = folder.path().join("letters.jsonl");
    let path = file.to_str().unwrap();
    let run = remote(
        server,
        &["dead", "export", "--group", "mailer", "--file", path],
    );
    assert_eq!((run.code, run.out.as_str()), (0, ""));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), out);
    assert_eq!(out.lines().count(), 2);
    insta::assert_snapshot!(out.lines().next().unwrap(), @r#"{"id":"d-1","group":"mailer","attempts":16,"first_error":"smtp: 451","last_error":"smtp: 550","create_time":"2026-01-31T08:01:00.000Z","message":{"id":"message-of-d-1","topic":"orders","tag":"paid","key":"order-7","headers":{"region":"eu"},"content_type":"application/json","base64":"eyJvcmRlciI6N30=","create_time":"2026-01-31T08:00:00.000Z"}}"#);
    // What was exported can be published as it is.
    let line: serde_json::Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    let again = write(folder.path(), "again.jsonl", &line["message"].to_string());
    let run = remote(server, &["msg", "publish", "--file", &again]);
    assert_eq!(run.code, 0, "{}", run.err);
}

#[test]
fn lookup_answers_in_plain_sentences() {
    let server = fake::start();
    let lookup = |args: &[&str]| remote(server, &[&["consumer", "lookup"], args].concat());
    let all = lookup(&["m-1"]);
    assert_eq!((all.code, all.err.as_str()), (0, ""));
    insta::assert_snapshot!(all.out, @"
    No: message m-1 is a dead letter of group audit since 2026-01-31T08:00:01.000Z. 16 attempts have failed. The last one failed: no such customer
    Yes: message m-1 was handled by group billing at 2026-01-31T08:00:01.000Z.
    Not yet: message m-1 waits in group mailer for its next attempt at 2026-01-31T08:00:31.000Z. 2 attempts have failed. The last one failed: smtp: 451
    ");
    assert_eq!(lookup(&["--key", "order-7"]).out, all.out);
    let nothing = [
        lookup(&["m-1", "--group", "stock"]),
        lookup(&["late", "--group", "stock"]),
        lookup(&["nobody"]),
        lookup(&["--key", "order-9"]),
    ];
    assert!(nothing.iter().all(|run| run.code == 4));
    insta::assert_snapshot!(nothing.map(|run| run.out).concat(), @"
    Not as far as is known: message m-1 was published, but nothing is noted of it in group stock. It waits at the broker, or the group did not want it or did not exist yet.
    No: message late was not delivered to group stock: it is not published yet; it is due at 2026-01-31T09:00:00.000Z.
    No: message nobody was not delivered to any group: there is no such message, or it was removed after its retention.
    No: no message with key order-9 was delivered to any group.
    ");
    let json = lookup(&["m-1", "--group", "billing", "-o", "jsonl"]);
    insta::assert_snapshot!(json.out, @r#"{"group":"billing","message_id":"m-1","topic":"orders","state":"DONE","attempts":1,"next_attempt_time":null,"first_error":null,"last_error":null,"update_time":"2026-01-31T08:00:01.000Z"}"#);
}

#[test]
fn subscriptions_are_listed_made_and_ended() {
    let server = fake::start();
    let list = remote(server, &["consumer", "list"]);
    insta::assert_snapshot!(list.out, @"
    GROUP   TOPIC   FILTER            MODE        CONSUMERS  READY  LEASED  RETRYING  DEAD  AT BROKER
    audit   orders  amount > 1000     clustering  1          5      2       1         1     12
    mailer  orders  paid || refunded  clustering  1          5      2       1         1
    ");
    let made = remote(
        server,
        &[
            "consumer",
            "create",
            "stock",
            "orders",
            "--tags",
            "paid || sent",
            "--retry",
            "1s,1m",
            "-o",
            "jsonl",
        ],
    );
    insta::assert_snapshot!(made.out, @r#"{"group":"stock","topic":"orders","tags":"paid || sent","sql":null,"mode":"clustering","max_attempts":0,"retry_schedule":["1s","1m"],"consumers":0,"ready":0,"leased":0,"retrying":0,"dead":0,"at_broker":null,"create_time":null}"#);
    let changed = remote(
        server,
        &[
            "consumer",
            "create",
            "mailer",
            "orders",
            "--sql",
            "amount > 5",
        ],
    );
    insta::assert_snapshot!(changed.out, @"
    GROUP   TOPIC   FILTER      MODE
    mailer  orders  amount > 5  clustering
    ");
    assert_eq!(
        changed.err,
        "it was there before; these are its settings now\n"
    );
    let ended = remote(server, &["consumer", "delete", "mailer", "orders", "--yes"]);
    assert_eq!((ended.code, ended.err.as_str()), (0, "it has ended\n"));
}
