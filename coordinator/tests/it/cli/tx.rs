//! `amends tx`, `participant`, `status`.

use std::io::{Read as _, Write as _};
use std::process::Stdio;

use super::{amends, fake, local, remote, write};

#[test]
fn get_shows_everything_about_a_transaction() {
    let server = fake::start();
    let back = remote(server, &["tx", "get", "back"]);
    assert_eq!((back.code, back.err.as_str()), (0, ""));
    insta::assert_snapshot!(back.out, @r#"
    gid         back
    kind        SAGA
    state       COMPENSATED
    definition  shop.confirm-order v1
    created     2026-01-31T08:00:00.000Z
    updated     2026-01-31T08:00:01.250Z
    finished    2026-01-31T08:00:01.250Z
    cause       use-coupon: COUPON_INVALID: used before
    input       {"order":7}
    records     4

    STEP           STATE    CALLS  UNDOS  NEXT  NOTE
    reserve-stock  UNDONE   1      1
    use-coupon     REFUSED  1      0            COUPON_INVALID: used before
    "#);
    let stuck = remote(server, &["tx", "get", "stuck"]);
    insta::assert_snapshot!(stuck.out, @r#"
    gid         stuck
    kind        SAGA
    state       STUCK
    definition  shop.confirm-order v1
    created     2026-01-31T08:00:00.000Z
    updated     2026-01-31T08:00:01.250Z
    input       {"order":7}
    records     4

    STEP            STATE  CALLS  UNDOS  NEXT                      NOTE
    deduct-balance  STUCK  1      16     2026-01-31T08:01:00.000Z  the undo was refused:  [31mNO_ACCOUNT

    actions:
      cancel (not now: it is turning back already)
      retry
      mark-undone deduct-balance
    "#);
}

#[test]
fn get_gives_the_fields_of_the_api_as_json() {
    let server = fake::start();
    let json = remote(server, &["tx", "get", "done", "-o", "json"]);
    insta::assert_snapshot!(json.out, @r#"
    {
      "gid": "done",
      "kind": "SAGA",
      "state": "SUCCEEDED",
      "definition": "shop.confirm-order",
      "version": 1,
      "create_time": "2026-01-31T08:00:00.000Z",
      "update_time": "2026-01-31T08:00:01.250Z",
      "finish_time": null,
      "cause": null,
      "definition_hash": "abc",
      "input": {"order":7},
      "output": {"paid":100},
      "steps": [
        {
          "name": "reserve-stock",
          "state": "SUCCEEDED",
          "target": "reserve-stock-service/do",
          "after": [],
          "attempts": 1,
          "undo_attempts": 0,
          "output": {"price":100},
          "last_failure": null,
          "next_attempt_time": null,
          "stuck_reason": null
        },
        {
          "name": "confirm",
          "state": "SUCCEEDED",
          "target": "confirm-service/do",
          "after": [
            "reserve-stock"
          ],
          "attempts": 1,
          "undo_attempts": 0,
          "output": null,
          "last_failure": null,
          "next_attempt_time": null,
          "stuck_reason": null
        }
      ],
      "deadline": null,
      "available_actions": [],
      "record_count": 4,
      "owner": "c-1",
      "generation": 1
    }
    "#);
    let lines = remote(server, &["tx", "get", "done", "-o", "jsonl"]);
    assert_eq!(lines.out.lines().count(), 1);
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(value(&lines.out), value(&json.out));
}

#[test]
fn a_missing_transaction_is_not_found() {
    let server = fake::start();
    for command in ["get", "wait", "watch", "trace"] {
        let missing = remote(server, &["tx", command, "nobody"]);
        assert_eq!((missing.code, missing.out.as_str()), (4, ""), "{command}");
        assert_eq!(
            missing.err,
            "error: there is no transaction nobody\n  reason: TRANSACTION_NOT_FOUND\n  gid: nobody\n"
        );
    }
}

#[test]
fn list_pages_up_to_the_limit() {
    let server = fake::start();
    let some = remote(server, &["tx", "list", "--limit", "3", "--state", "STUCK"]);
    assert_eq!(some.code, 0);
    insta::assert_snapshot!(some.out, @"
GID   KIND  STATE  DEFINITION             CREATED                   UPDATED                   CAUSE
tx-0  SAGA  STUCK  shop.confirm-order v1  2026-01-31T08:00:00.000Z  2026-01-31T08:00:01.250Z
tx-1  SAGA  STUCK  shop.confirm-order v1  2026-01-31T08:00:00.000Z  2026-01-31T08:00:01.250Z
tx-2  SAGA  STUCK  shop.confirm-order v1  2026-01-31T08:00:00.000Z  2026-01-31T08:00:01.250Z
");
    assert_eq!(some.err, "there are more than 3; see --limit and --all\n");

    let all = remote(
        server,
        &["tx", "list", "--all", "--prefix", "a-", "-o", "jsonl"],
    );
    let gid = |line: &str| {
        serde_json::from_str::<serde_json::Value>(line).unwrap()["gid"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let gids: Vec<String> = all.out.lines().map(gid).collect();
    assert_eq!(gids, ["a-tx-0", "a-tx-1", "a-tx-2", "a-tx-3", "a-tx-4"]);
    assert_eq!(all.err, "");

    let document = remote(server, &["tx", "list", "--since", "1h", "-o", "json"]);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&document.out).unwrap();
    assert_eq!(rows.len(), 5);
}

#[test]
fn the_exit_code_of_wait_says_how_it_ended() {
    let server = fake::start();
    for (gid, code) in [("done", 0), ("back", 5), ("slow", 6), ("stuck", 6)] {
        let waited = remote(
            server,
            &["tx", "wait", gid, "--timeout", "90s", "-o", "jsonl"],
        );
        assert_eq!(waited.code, code, "{gid}");
        assert!(
            waited.out.starts_with(&format!("{{\"gid\":\"{gid}\"")),
            "{}",
            waited.out
        );
    }
    let slow = remote(server, &["tx", "wait", "slow", "--timeout", "90s"]);
    assert_eq!(slow.err, "not ended after 90s: RUNNING\n");
}

#[test]
fn watch_prints_a_line_a_change() {
    let server = fake::start();
    let done = remote(server, &["tx", "watch", "done"]);
    insta::assert_snapshot!(done.out, @r"
    2026-01-31T08:00:00.000Z  RUNNING       reserve-stock PENDING, confirm PENDING
    2026-01-31T08:00:00.000Z  RUNNING       reserve-stock SUCCEEDED
    2026-01-31T08:00:01.250Z  SUCCEEDED     confirm SUCCEEDED
    ");
    assert_eq!(done.code, 0);
    let back = remote(server, &["tx", "watch", "back"]);
    insta::assert_snapshot!(back.out, @r"
    2026-01-31T08:00:00.000Z  RUNNING       reserve-stock PENDING, use-coupon PENDING
    2026-01-31T08:00:00.000Z  RUNNING       reserve-stock UNDONE
    2026-01-31T08:00:01.250Z  COMPENSATED   use-coupon REFUSED (COUPON_INVALID: used before)
    ");
    assert_eq!(back.code, 5);
    let lines = remote(server, &["tx", "watch", "done", "-o", "jsonl"]);
    assert_eq!(lines.out.lines().count(), 3);
    let cut_off = remote(server, &["tx", "watch", "slow"]);
    assert_eq!(cut_off.code, 1);
}

#[test]
fn trace_shows_relative_times() {
    let server = fake::start();
    insta::assert_snapshot!(remote(server, &["tx", "trace", "done"]).out, @"
NO  TIME                      RECORD          STEP           QUEUE  COMMIT  CALL    SCHED  TEXT
1   2026-01-31T08:00:00.000Z  BEGUN                                                        shop.confirm-order v1
2   +0.012s                   STEP_SUCCEEDED  reserve-stock  0us    340us   1.25ms  15us   price 100
");
    // The record comes out as it is stored.
    let lines = remote(server, &["tx", "trace", "done", "-o", "jsonl"]).out;
    insta::assert_snapshot!(lines, @r#"
    {"number":1,"time":"2026-01-31T08:00:00.000Z","kind":"BEGUN","step":null,"text":"shop.confirm-order v1","record":{"z":1,"kind":"BEGUN"}}
    {"number":2,"time":"2026-01-31T08:00:00.012Z","kind":"STEP_SUCCEEDED","step":"reserve-stock","text":"price 100","took":{"queue_ms":0.0,"commit_ms":0.34,"call_ms":1.25,"scheduling_ms":0.015},"record":{"z":1,"kind":"STEP_SUCCEEDED"}}
    "#);
}

#[test]
fn actions_answer_for_each_transaction() {
    let server = fake::start();
    let check = |args: &[&str], code: i32, expected: &str| {
        let acted = remote(server, args);
        assert_eq!(acted.code, code, "{args:?} {}", acted.err);
        assert_eq!(acted.out, expected, "{args:?}");
    };
    check(
        &["tx", "retry", "stuck", "slow"],
        0,
        "GID    ACCEPTED  STATE    REASON\nstuck  yes       STUCK\nslow   yes       RUNNING\n",
    );
    check(
        &["tx", "cancel", "slow", "done", "nobody"],
        3,
        "GID     ACCEPTED  STATE        REASON\n\
         slow    yes       RUNNING\n\
         done    no        SUCCEEDED    ALREADY_FINISHED: it has ended\n\
         nobody  no        UNSPECIFIED  TRANSACTION_NOT_FOUND: there is no transaction nobody\n",
    );
    check(
        &["tx", "force", "done", "--reason", "x"],
        5,
        "GID   ACCEPTED  STATE      REASON\ndone  no        SUCCEEDED  ALREADY_FINISHED: it has ended\n",
    );
    check(
        &["tx", "retry", "nobody", "-o", "jsonl"],
        4,
        "{\"gid\":\"nobody\",\"accepted\":false,\"state\":\"UNSPECIFIED\",\"failure\":{\"code\":\"TRANSACTION_NOT_FOUND\",\
         \"message\":\"there is no transaction nobody\"}}\n",
    );
    // The fake sends operator and reason back.
    check(
        &[
            "tx",
            "mark-undone",
            "stuck",
            "deduct-balance",
            "--reason",
            "by hand",
        ],
        0,
        "GID    ACCEPTED  STATE  REASON\nstuck  yes       STUCK  olga: by hand\n",
    );
}

#[test]
fn actions_on_all_that_match_need_a_yes() {
    let server = fake::start();
    let asked = remote(server, &["tx", "retry", "--state", "stuck"]);
    assert_eq!((asked.code, asked.out.as_str()), (2, ""));
    assert_eq!(
        asked.err,
        "error: 5 transactions are selected; add --yes to act on all of them\n"
    );
    let acted = remote(server, &["tx", "retry", "--state", "stuck", "--yes"]);
    assert_eq!(acted.out.lines().count(), 6);

    for args in [
        &["tx", "retry"][..],
        &["tx", "retry", "a", "--state", "stuck"],
        &["tx", "force", "a"],
        &["tx", "list", "--limit", "1", "--all"],
        &["tx", "list", "--since", "yesterday"],
        &["tx", "list", "--state", "sleeping"],
    ] {
        let refused = remote(server, args);
        assert_eq!((refused.code, refused.out.as_str()), (2, ""), "{args:?}");
    }
}

#[test]
fn start_sends_the_input_as_it_is() {
    let server = fake::start();
    let directory = tempfile::tempdir().unwrap();
    let input = write(directory.path(), "input.json", "{\"z\": 1.0, \"a\": 2}\n");
    let at_input = format!("@{input}");
    let start = |args: &[&str]| {
        let mut all = vec![
            "tx",
            "start",
            "--definition",
            "shop.confirm-order@1",
            "-o",
            "jsonl",
        ];
        all.extend(args);
        remote(server, &all)
    };
    let started = start(&["--gid", "done", "--input", &at_input]);
    assert_eq!((started.code, started.err.as_str()), (0, ""));
    assert!(
        started.out.contains("\"state\":\"RUNNING\""),
        "{}",
        started.out
    );
    assert!(
        started.out.contains("\"input\":{\"z\": 1.0, \"a\": 2}"),
        "{}",
        started.out
    );

    for (gid, code) in [("done", 0), ("back", 5), ("slow", 6)] {
        assert_eq!(start(&["--gid", gid, "--wait", "2m"]).code, code, "{gid}");
    }
    assert_eq!(
        start(&["--gid", "slow"]).err,
        "it was started before; this is that transaction\n"
    );

    let wrong = start(&["--input", "{order: 7}"]);
    assert_eq!(wrong.code, 2);
    assert_eq!(
        wrong.err,
        "error: --input: not JSON: key must be a string at line 1 column 2\n"
    );
    let busy = start(&["--gid", "busy"]);
    assert_eq!(busy.code, 1);
    assert_eq!(
        busy.err,
        "error: too many live transactions\n  try again in 1500ms\n"
    );
}

#[test]
fn participants_and_status() {
    let server = fake::start();
    insta::assert_snapshot!(remote(server, &["participant", "list"]).out, @"
SERVICE  INSTANCE  ADDRESS         AVAILABLE                 IN FLIGHT  HEARTBEAT                 STEPS
stock    i-1       127.0.0.1:7001  yes                       0          2026-01-31T08:00:00.000Z  reserve
stock    i-2       127.0.0.1:7001  no: 20 failures in a row  0          2026-01-31T08:00:00.000Z  reserve
");
    insta::assert_snapshot!(remote(server, &["status"]).out, @r"
    version           0.1.0
    incarnation       c-1
    started           2026-01-31T08:00:00.000Z
    store             sqlite
    live              3 of at most 100000
    recovered         yes
    broker            rabbitmq, BLOCKED: memory alarm; more than 12 messages wait to be published
    silent producers  mail
    ");
    let status = remote(server, &["status", "-o", "jsonl"]).out;
    insta::assert_snapshot!(status, @r#"{"version":"0.1.0","incarnation":"c-1","start_time":"2026-01-31T08:00:00.000Z","store":"sqlite","live_transactions":3,"max_live_transactions":100000,"recovered":true,"broker":{"kind":"rabbitmq","state":"BLOCKED","reason":"memory alarm","unpublished":12,"more_unpublished":true},"silent_producers":["mail"]}"#);
    let profile = remote(server, &["status", "--profile"]).out;
    let (_, profile) = profile.split_once("\n\n").unwrap();
    insta::assert_snapshot!(profile, @"
75.0 % of a saga's time in participants, 25.0 % in the coordinator (25.0 % commits, 0.0 % queues, 0.0 % itself), 0.0 % planned waits

3 sagas that ended
PART        P50     P99     SHARE
call        750us   3.00ms  75.0 %   on the wire and in participants
commit      250us   1.00ms  25.0 %   waiting for the store to commit
queue                       0.0 %    waiting for a place: shard, calls per target
scheduling                  0.0 %    waiting for the coordinator itself
backoff                     0.0 %    waiting as planned: retries, timers
whole       1.00ms  4.00ms  100.0 %

3 calls
PART        P50    P99     SHARE
call        750us  3.00ms  100.0 %  on the wire and in participants
commit                     0.0 %    waiting for the store to commit
queue                      0.0 %    waiting for a place: shard, calls per target
scheduling                 0.0 %    waiting for the coordinator itself
backoff                    0.0 %    waiting as planned: retries, timers
whole       750us  3.00ms  100.0 %
");
    let profile = remote(server, &["status", "--profile", "-o", "json"]).out;
    let profile: serde_json::Value = serde_json::from_str(&profile).unwrap();
    assert_eq!(profile["profile"]["sagas"]["parts"][0]["share"], 0.75);
    // The pretended one counts no further.
    let now = remote(server, &["status", "--profile", "--for", "1ms"]).out;
    assert!(now.contains("no saga has ended yet"), "{now}");
}

#[test]
fn the_token_is_sent_and_needed() {
    let server = fake::start_with_token();
    let refused = remote(server, &["status"]);
    assert_eq!(
        (refused.code, refused.err.as_str()),
        (5, "error: a valid token is needed\n")
    );
    let directory = tempfile::tempdir().unwrap();
    let file = write(directory.path(), "token", &format!("{}\n", fake::TOKEN));
    assert_eq!(remote(server, &["status", "--token-file", &file]).code, 0);
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let server = fake::start();
    let mut command = amends();
    command.args([
        "tx",
        "list",
        "--all",
        "-o",
        "jsonl",
        "--server",
        &server.to_string(),
    ]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut err = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut err)
        .unwrap();
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
}

#[test]
fn no_coordinator_says_how_to_start_one() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let nobody = remote(port, &["status"]);
    assert_eq!((nobody.code, nobody.out.as_str()), (1, ""));
    assert_eq!(
        nobody.err,
        format!(
            "error: no coordinator answers at http://{port}: Connection refused (os error 111)\n  \
             start one with `amends serve`, or name another with --server or AMENDS_SERVER\n"
        )
    );
    for (server, expected) in [
        (
            "ftp://x",
            "--server ftp://x: expected http://host:port or https://host:port",
        ),
        ("https://x", "https needs --tls-ca FILE"),
    ] {
        let refused = local(&["status", "--server", server]);
        assert_eq!(
            (refused.code, refused.err),
            (2, format!("error: {expected}\n"))
        );
    }
}

#[test]
fn a_server_that_speaks_something_else_is_a_failed_connection() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
    });
    let failed = remote(address, &["status"]);
    assert_eq!((failed.code, failed.out.as_str()), (1, ""));
    // Whether connecting or the first call notices is a matter of timing.
    assert!(failed.err.contains("coordinator"), "{}", failed.err);
}
