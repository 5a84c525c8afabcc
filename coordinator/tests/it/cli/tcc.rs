//! `amends tx` where the transaction is a TCC.

use super::{fake, remote};

#[test]
fn get_shows_branches_the_decision_and_what_can_be_done() {
    let server = fake::start();
    let stuck = remote(server, &["tx", "get", "pay"]);
    assert_eq!((stuck.code, stuck.err.as_str()), (0, ""));
    insta::assert_snapshot!(stuck.out, @r#"
    gid         pay
    kind        TCC
    state       STUCK
    decision    CONFIRM
    definition  shop.pay
    created     2026-01-31T08:00:00.000Z
    updated     2026-01-31T08:00:01.250Z
    deadline    2026-01-31T08:01:00.000Z
    records     4

    BRANCH   STATE            TRIES  CONFIRMS  NEXT                      NOTE
    balance  CONFIRMED        1      1                                   {"frozen":100}
    coupon   STUCK            1      1                                   NO_ACCOUNT: closed meanwhile
    points   CONFIRM_WAITING  0      2         2026-01-31T08:01:00.000Z  TCC pay-points

    actions:
      cancel (not now: the transaction is being confirmed already)
      retry
      force
      mark-done coupon
    "#);
    let nested = remote(server, &["tx", "get", "pay-points"]);
    insta::assert_snapshot!(nested.out, @r"
    gid         pay-points
    kind        TCC
    state       PREPARED
    definition  shop.pay
    parent      pay, branch points
    created     2026-01-31T08:00:00.000Z
    updated     2026-01-31T08:00:01.250Z
    records     4

    BRANCH  STATE      TRIES  CANCELS  NEXT  NOTE
    points  SUCCEEDED  1      0
    ");
}

#[test]
fn get_gives_its_fields_as_json() {
    let server = fake::start();
    let fields = |gid: &str| {
        let json = remote(server, &["tx", "get", gid, "-o", "json"]).out;
        serde_json::from_str::<serde_json::Value>(&json).unwrap()
    };
    let stuck = fields("pay");
    assert_eq!(
        (&stuck["kind"], &stuck["decision"]),
        (&"TCC".into(), &"CONFIRM".into())
    );
    assert_eq!(stuck["steps"][2]["child_gid"], "pay-points");
    assert_eq!(stuck["available_actions"][3]["action"], "MARK_DONE");
    let nested = fields("pay-points");
    let parent = serde_json::json!({ "gid": "pay", "branch": "points" });
    assert_eq!(nested["parent"], parent);
    assert!(nested.get("decision").is_none());
}

#[test]
fn list_selects_by_kind() {
    let server = fake::start();
    let args = ["tx", "list", "--kind", "tcc", "--state", "confirming"];
    let listed = remote(server, &[&args[..], &["--limit", "1"]].concat());
    insta::assert_snapshot!(listed.out, @r"
    GID    KIND  STATE       DEFINITION  CREATED                   UPDATED                   CAUSE
    pay-0  TCC   CONFIRMING  shop.pay    2026-01-31T08:00:00.000Z  2026-01-31T08:00:01.250Z
    ");
    let wrong = remote(server, &["tx", "list", "--kind", "message"]);
    assert_eq!((wrong.code, wrong.out.as_str()), (2, ""));
    let both = remote(server, &["tx", "list", "--kind", "saga,tcc", "--all"]);
    assert_eq!((both.code, both.out.lines().count()), (0, 6));
}

#[test]
fn all_of_a_kind_can_be_acted_on() {
    let server = fake::start();
    let refused = remote(server, &["tx", "retry", "--kind", "tcc"]);
    assert_eq!((refused.code, refused.out.as_str()), (2, ""));
    assert!(refused.err.contains("add --yes"), "{}", refused.err);
    let named = remote(server, &["tx", "retry", "pay", "--kind", "tcc"]);
    assert_eq!(named.code, 2, "{}", named.err);
    for action in [
        &["retry"][..],
        &["cancel", "--reason", "no stock"],
        &["force", "--reason", "settled by phone"],
    ] {
        let (action, rest) = action.split_first().unwrap();
        let args = ["tx", action, "--kind", "tcc", "--state", "stuck", "--yes"];
        let acted = remote(server, &[&args[..], rest].concat());
        // The pretended ones are listed, and not there when they are acted on.
        assert_eq!(acted.code, 4, "{action}: {}", acted.err);
        assert_eq!(
            acted.out.matches("pay-").count(),
            10,
            "{action}: {}",
            acted.out
        );
    }
}

#[test]
fn a_branch_is_marked_done_by_either_name() {
    let server = fake::start();
    for name in ["mark-done", "mark-undone"] {
        let args = ["tx", name, "pay", "coupon", "--reason", "settled by hand"];
        let marked = remote(server, &args);
        assert_eq!(
            (marked.code, marked.out.as_str()),
            (
                0,
                "GID  ACCEPTED  STATE  REASON\npay  yes       STUCK  olga: settled by hand\n"
            ),
            "{}",
            marked.err
        );
    }
    let silent = remote(server, &["tx", "mark-done", "pay", "coupon"]);
    assert_eq!(silent.code, 2, "a reason is required");
}

#[test]
fn trace_shows_its_records() {
    let server = fake::start();
    insta::assert_snapshot!(remote(server, &["tx", "trace", "pay"]).out, @r"
    NO  TIME                      RECORD           STEP     QUEUE  COMMIT  CALL  SCHED  TEXT
    1   2026-01-31T08:00:00.000Z  TCC_BEGAN                                             accepted; cancelled unless confirmed within 60s
    2   +0.003s                   REGISTERED       balance                              balance registered
    3   +0.009s                   TRY_SUCCEEDED    balance                              try balance succeeded
    4   +0.012s                   CONFIRM_DECIDED
    ");
}

#[test]
fn help_says_what_it_means_for_a_tcc() {
    for (args, expected) in [
        (&["tx", "list", "--help"][..], "--kind"),
        (&["tx", "cancel", "--help"], "until its confirm is decided"),
        (&["tx", "retry", "--help"], "--kind tcc --state stuck"),
        (&["tx", "mark-done", "--help"], "confirmed or cancelled"),
        (&["tx", "force", "--help"], "confirmed or cancelled"),
    ] {
        let help = super::local(args);
        assert_eq!(help.code, 0, "{args:?}");
        assert!(help.out.contains(expected), "{args:?}: {}", help.out);
    }
}
