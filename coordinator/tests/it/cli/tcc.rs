//! `amends tx` where the transaction is a TCC.

use super::{fake, remote};

#[test]
fn get_shows_branches_the_decision_and_what_can_be_done() {
    let server = fake::start();
    let stuck = remote(server, &["tx", "get", "pay"]);
    assert_eq!((stuck.code, stuck.err.as_str()), (0, ""));
    insta::assert_snapshot!(stuck.out, @"");
    let nested = remote(server, &["tx", "get", "pay-points"]);
    insta::assert_snapshot!(nested.out, @"");
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
    insta::assert_snapshot!(listed.out, @"");
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
    insta::assert_snapshot!(remote(server, &["tx", "trace", "pay"]).out, @"");
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
