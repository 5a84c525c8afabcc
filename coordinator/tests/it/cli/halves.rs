//! `amends msg halves`, `half`, `check`, `commit`, `rollback`, `producers`.

use super::{fake, local, remote};

#[test]
fn halves_are_listed_and_shown_with_their_checks() {
    let server = fake::start();
    let list = remote(server, &["msg", "halves"]);
    insta::assert_snapshot!(list.out, @"
    HALF ID  PRODUCER  STATE        PREPARED                  CHECKS  NEXT CHECK                DECIDED BY  NOTE
    h-3      shop      ROLLED_BACK  2026-01-31T08:00:00.000Z  0                                 operator
    h-2      shop      STUCK        2026-01-31T08:00:00.000Z  15                                            15 checks brought no verdict; check it again, or decide by hand
    h-1      shop      PREPARED     2026-01-31T08:00:00.000Z  1       2026-01-31T08:00:36.000Z              the order is still open
    ");
    let stuck = remote(
        server,
        &[
            "msg",
            "halves",
            "--state",
            "stuck,rolled_back",
            "-o",
            "jsonl",
        ],
    );
    assert_eq!(stuck.out.lines().count(), 2);
    let get = remote(server, &["msg", "half", "h-1"]);
    insta::assert_snapshot!(get.out, @"
    half id     h-1
    producer    shop
    state       PREPARED
    messages    m-1
                m-2
    prepared    2026-01-31T08:00:00.000Z
    checks      1
    next check  2026-01-31T08:00:36.000Z
    note        the order is still open

    CHECKED                   INSTANCE  VERDICT  COUNTED  NOTE
    2026-01-31T08:00:06.000Z  shop-1    UNKNOWN  yes      the order is still open
    2026-01-31T08:00:36.000Z  shop-1    UNKNOWN  no       127.0.0.1:7002 was busy
    ");
    let json = remote(server, &["msg", "half", "h-3", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["decide_reason"], "never paid");
    assert_eq!(json["check_history"][1]["counted"], false);
    let missing = remote(server, &["msg", "half", "nobody"]);
    assert_eq!(missing.code, 4);
}

#[test]
fn halves_are_checked_and_decided_by_hand() {
    let server = fake::start();
    let check = remote(server, &["msg", "check", "h-1", "h-3", "nobody"]);
    assert_eq!(check.code, 3);
    insta::assert_snapshot!(check.out, @"
    ID      DONE  NEW ID  REASON
    h-1     yes
    h-3     no            HALF_DECIDED
    nobody  no            HALF_NOT_FOUND
    ");
    let commit = |ids: &[&str]| {
        let reason = ["--reason", "paid, says the bank"];
        remote(server, &[&["msg", "commit"], ids, &reason].concat())
    };
    let run = commit(&["h-1", "h-3"]);
    assert_eq!((run.code, run.err.as_str()), (3, ""));
    insta::assert_snapshot!(run.out, @"
    ID   DONE  NEW ID  REASON
    h-1  yes
    h-3  no            HALF_DECIDED: half h-3 was decided before: ROLLED_BACK
    ");
    assert_eq!(commit(&["h-3"]).code, 5);
    assert_eq!(commit(&["nobody"]).code, 4);
    let run = remote(
        server,
        &["msg", "rollback", "h-2", "--reason", "never paid"],
    );
    assert_eq!(run.code, 0);
    let silent = local(&["msg", "rollback", "h-2"]);
    assert_eq!(silent.code, 2);
    assert!(silent.err.contains("--reason"), "{}", silent.err);
}

#[test]
fn producers_are_listed() {
    let server = fake::start();
    let run = remote(server, &["msg", "producers"]);
    insta::assert_snapshot!(run.out, @"
    PRODUCER  INSTANCES  PREPARED  STUCK  OLDEST
    mail      none live  1         1      2026-01-31T08:00:00.000Z
    shop      shop-1     1         1      2026-01-31T08:00:00.000Z
    ");
}
