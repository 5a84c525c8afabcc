//! The rules of the machine, one short story each.

use amends_core::answer::{Answer, Failure};
use amends_core::id::{Generation, RecordNo};
use amends_core::payload::Payload;
use amends_core::public_state::PublicState;
use amends_core::tcc::{
    Command, MAX_BRANCHES, Rejected, Settle, Tried, Work, read_log, replay, write_records,
};
use amends_core::time::Millis;
use serde_json::json;

use super::sketch::{Run, branch, no, ok, own_branch, start, unknown};

fn code(result: Result<(), Rejected>) -> &'static str {
    result.err().map_or("", |rejected| rejected.code())
}

#[test]
fn all_branches_are_tried_and_then_confirmed_together() {
    let mut run = Run::with(&["money", "points"]);
    assert_eq!(run.under_way(), ["try money", "try points"]);
    assert_eq!(run.after("points"), RecordNo(3), "its own registration");
    let output = Payload::json(&json!({"held": 5}));
    run.answer("money", Answer::Succeeded(output.clone()));
    run.answer("points", ok());
    run.command(Command::Confirm).unwrap();
    assert_eq!(run.tcc.public_state(), PublicState::Confirming);
    assert_eq!(run.under_way(), ["confirm money", "confirm points"]);
    assert_eq!(run.after("money"), run.tcc.last_record(), "the decision");
    assert_eq!(run.calls[0].output, Some(output));
    run.answer("points", ok());
    run.answer("money", ok());
    assert_eq!(run.tcc.public_state(), PublicState::Succeeded);
}

#[test]
fn it_is_confirmed_only_when_every_try_is_known_to_have_succeeded() {
    let mut run = Run::with(&["a", "b", "c"]);
    run.register(own_branch("d")).unwrap();
    run.answer("a", ok());
    run.answer("b", no());
    run.answer("c", unknown());
    let refused = run.command(Command::Confirm).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "it cannot be confirmed: the try of b, c, d is not known to have succeeded"
    );
    run.report("d", ok()).unwrap();
    assert!(
        run.command(Command::Confirm)
            .unwrap_err()
            .to_string()
            .contains("b, c is")
    );
}

#[test]
fn cancelling_spares_only_what_was_refused() {
    let mut run = Run::with(&["done", "refused", "open", "lost"]);
    run.register(own_branch("own")).unwrap();
    run.answer("done", ok());
    run.answer("refused", no());
    run.answer("lost", unknown());
    run.cancel().unwrap();
    assert_eq!(
        run.under_way(),
        ["cancel done", "cancel lost", "cancel open", "cancel own"]
    );
    let stale = Command::Answered {
        branch: 2,
        phase: amends_core::tcc::Phase::Try,
        attempt: 1,
        answer: ok(),
        took: None,
    };
    assert_eq!(
        code(run.command(stale)),
        "ANSWER_STALE",
        "its try is not heard"
    );
    for name in ["done", "lost", "open", "own"] {
        run.answer(name, ok());
    }
    assert_eq!(run.tcc.public_state(), PublicState::Compensated);
    assert_eq!(run.tcc.cause().unwrap().code, "CANCELLED");
}

#[test]
fn the_deadline_cancels_and_a_later_confirm_is_told() {
    let mut run = Run::tried(&["a"]);
    run.sleep();
    assert_eq!(run.tcc.cause().unwrap().code, "DEADLINE_EXCEEDED");
    assert_eq!(code(run.command(Command::Confirm)), "ALREADY_CANCELLED");
    run.answer("a", ok());
    assert_eq!(code(run.command(Command::Confirm)), "ALREADY_CANCELLED");
    run.cancel().unwrap();
}

#[test]
fn a_confirm_that_is_recorded_before_the_deadline_is_noticed_wins() {
    let mut run = Run::tried(&["a"]);
    run.now = run.tcc.deadline() + Millis(5);
    run.command(Command::Confirm).unwrap();
    run.command(Command::Wake).unwrap();
    assert_eq!(run.under_way(), ["confirm a"]);
    assert_eq!(code(run.cancel()), "ALREADY_CONFIRMED");
    run.answer("a", ok());
    run.command(Command::Confirm).unwrap();
    assert_eq!(run.tcc.public_state(), PublicState::Succeeded);
}

#[test]
fn a_branch_is_registered_once_and_a_difference_is_named() {
    let mut run = Run::with(&["a"]);
    let before = run.log.len();
    run.register(branch("a")).unwrap();
    assert_eq!(run.log.len(), before);
    let mut other = branch("a");
    other.timeout = Millis(7);
    let refused = run.register(other).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "branch \"a\" was registered with another timeout"
    );
    let mut other = branch("a");
    if let Work::Participant { input, .. } = &mut other.work {
        *input = Payload::json(&json!(1));
    }
    assert!(
        run.register(other)
            .unwrap_err()
            .to_string()
            .contains("another input")
    );
    assert!(
        run.register(own_branch("a"))
            .unwrap_err()
            .to_string()
            .contains("another tried_by")
    );
    let mut absurd = branch("b");
    absurd.retry.max_attempts = 0;
    assert_eq!(code(run.register(absurd)), "BRANCH_INVALID");
}

#[test]
fn after_the_decision_or_the_deadline_nothing_is_registered() {
    let mut run = Run::tried(&["a"]);
    run.command(Command::Confirm).unwrap();
    assert_eq!(code(run.register(branch("b"))), "ALREADY_CONFIRMED");
    assert_eq!(code(run.register(branch("a"))), "ALREADY_CONFIRMED");
    let mut run = Run::with(&[]);
    run.now = run.tcc.deadline();
    assert_eq!(code(run.register(branch("a"))), "DEADLINE_PASSED");
    run.command(Command::Wake).unwrap();
    assert_eq!(run.tcc.public_state(), PublicState::Compensated);
    assert_eq!(code(run.register(branch("a"))), "TRANSACTION_ENDED");
}

#[test]
fn there_is_a_most_of_branches() {
    let mut run = Run::begin(start());
    for n in 0..MAX_BRANCHES {
        run.register(own_branch(&format!("b{n}"))).unwrap();
    }
    assert_eq!(code(run.register(branch("more"))), "TOO_MANY_BRANCHES");
}

#[test]
fn what_the_caller_reports_counts_and_stays() {
    let mut run = Run::begin(start());
    run.register(own_branch("a")).unwrap();
    assert!(run.calls.is_empty(), "the caller calls it");
    run.report("a", Answer::InProgress { retry_after: None })
        .unwrap();
    run.report("a", unknown()).unwrap();
    run.report("a", unknown()).unwrap();
    assert_eq!(run.log.len(), 3, "saying it twice is not worth a record");
    run.report("a", ok()).unwrap();
    run.report("a", ok()).unwrap();
    run.report("a", unknown()).unwrap();
    assert_eq!(run.log.len(), 4);
    assert_eq!(code(run.report("a", no())), "TRY_KNOWN");
    assert_eq!(code(run.report("z", no())), "BRANCH_UNKNOWN");
    run.register(branch("b")).unwrap();
    assert_eq!(code(run.report("b", ok())), "TRY_NOT_REPORTABLE");
}

#[test]
fn a_try_that_proves_nothing_is_retried_and_then_left_to_the_caller() {
    let mut run = Run::with(&["a"]);
    run.answer("a", unknown());
    run.sleep();
    assert_eq!(run.calls[0].attempt, 2);
    run.answer("a", unknown());
    assert_eq!(run.tcc.branches()[0].tried, Tried::Unknown);
    assert_eq!(run.tcc.public_state(), PublicState::Running);
    assert_eq!(run.tcc.open_tries().len(), 1);
}

#[test]
fn a_confirm_that_proves_nothing_is_tried_for_ever_and_keeps_a_bounded_log() {
    let mut run = Run::tried(&["a", "b"]);
    run.command(Command::Confirm).unwrap();
    run.answer("a", unknown());
    assert_eq!(run.tcc.public_state(), PublicState::Confirming);
    for _ in 0..300 {
        run.sleep();
        run.answer("a", unknown());
    }
    assert_eq!(run.tcc.public_state(), PublicState::Stuck);
    assert_eq!(
        run.tcc.branches()[0].stuck.as_ref().unwrap().code,
        "TIMEOUT"
    );
    assert!(run.log.len() < 60, "{} records", run.log.len());
    run.answer("b", ok());
    run.sleep();
    run.answer("a", ok());
    assert_eq!(run.tcc.public_state(), PublicState::Succeeded);
}

#[test]
fn a_refused_confirm_is_stuck_at_once_and_called_again_only_by_hand() {
    let mut run = Run::tried(&["a", "b"]);
    run.command(Command::Confirm).unwrap();
    let failure = Failure::new("ACCOUNT_CLOSED", "gone");
    run.answer("a", Answer::Refused(failure.clone()));
    assert_eq!(run.tcc.public_state(), PublicState::Stuck);
    assert_eq!(run.tcc.branches()[0].stuck, Some(failure));
    assert_eq!(amends_core::tcc::next_wake(&run.tcc), None);
    run.answer("b", ok());
    let mut told = replay(&run.log).unwrap();
    let generation = Generation(2);
    let resumed = amends_core::tcc::decide(&told, Command::Resume { generation }, run.now);
    for record in &resumed.unwrap().records {
        amends_core::tcc::apply(&mut told, record);
    }
    assert_eq!(
        told.branches()[0].settle,
        Settle::Held,
        "also after a restart"
    );
    run.command(Command::Retry).unwrap();
    assert_eq!(run.under_way(), ["confirm a"]);
    let again = Failure::new("ACCOUNT_LOCKED", "not now");
    run.answer("a", Answer::Refused(again.clone()));
    assert_eq!(
        run.tcc.branches()[0].stuck,
        Some(again),
        "the latest reason"
    );
    run.command(Command::Retry).unwrap();
    run.answer("a", unknown());
    assert!(
        amends_core::tcc::next_wake(&run.tcc).is_some(),
        "from then on as any call"
    );
    run.sleep();
    run.answer("a", ok());
    assert_eq!(run.tcc.public_state(), PublicState::Succeeded);
}

#[test]
fn a_stuck_branch_can_be_settled_by_hand_with_a_reason() {
    let mut run = Run::tried(&["a"]);
    run.cancel().unwrap();
    run.answer("a", no());
    let by_hand = |branch: &str, reason: &str| Command::MarkDone {
        branch: branch.into(),
        operator: "kim".into(),
        reason: reason.into(),
    };
    assert_eq!(code(run.command(by_hand("a", " "))), "REASON_MISSING");
    assert_eq!(code(run.command(by_hand("z", "x"))), "BRANCH_UNKNOWN");
    run.command(by_hand("a", "let go by phone")).unwrap();
    assert_eq!(run.tcc.public_state(), PublicState::Compensated);
}

#[test]
fn force_ends_everything() {
    let mut run = Run::with(&["a"]);
    let force = Command::Force {
        operator: "kim".into(),
        reason: "test data".into(),
    };
    run.command(force).unwrap();
    assert_eq!(run.tcc.public_state(), PublicState::Forced);
    for command in [Command::Wake, Command::Confirm, Command::Retry] {
        assert_eq!(code(run.command(command)), "TRANSACTION_ENDED");
    }
}

#[test]
fn in_progress_is_no_attempt_in_any_phase() {
    let busy = || Answer::InProgress {
        retry_after: Some(Millis(50)),
    };
    let mut run = Run::with(&["a"]);
    for _ in 0..10 {
        run.answer("a", busy());
        run.sleep();
    }
    assert_eq!(run.calls[0].attempt, 1);
    run.answer("a", ok());
    run.command(Command::Confirm).unwrap();
    for _ in 0..1_000 {
        run.answer("a", busy());
        run.sleep();
        assert_eq!(run.calls[0].attempt, 1);
    }
    assert!(run.log.len() < 70, "{} records", run.log.len());
}

#[test]
fn an_operators_retry_gives_a_fresh_budget() {
    let mut run = Run::with(&["a"]);
    for _ in 0..5 {
        run.answer("a", unknown());
        run.command(Command::Retry).unwrap();
        assert_eq!(run.under_way(), ["try a"]);
    }
}

#[test]
fn nothing_to_do_is_done_at_once() {
    let mut run = Run::begin(start());
    run.command(Command::Confirm).unwrap();
    assert_eq!(run.tcc.public_state(), PublicState::Succeeded);
    let mut run = Run::with(&["a"]);
    run.answer("a", no());
    run.cancel().unwrap();
    assert_eq!(run.tcc.public_state(), PublicState::Compensated);
}

#[test]
fn a_log_tells_a_tcc_from_a_saga() {
    let run = Run::with(&["a"]);
    let text = write_records(&run.log);
    assert!(text.starts_with(r#"[{"v":1,"at":1000000,"event":{"tcc_began":"#));
    assert_eq!(read_log([text.as_str()]).unwrap(), run.log);
    assert!(amends_core::saga::read_log([text.as_str()]).is_err());
}

#[test]
fn an_absurd_start_is_named_field_by_field() {
    let mut bad = super::sketch::nested_start();
    bad.name = "Shop".into();
    bad.deadline = Millis(0);
    bad.gid = super::sketch::gid("p");
    let wrong = amends_core::tcc::begin(bad, amends_core::time::Timestamp(0)).unwrap_err();
    let fields: Vec<_> = wrong.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["name", "deadline", "parent.gid"]);
}

#[test]
fn a_repeated_start_is_compared() {
    let run = Run::begin(start());
    let with = |change: fn(&mut amends_core::tcc::Start)| {
        let mut other = start();
        change(&mut other);
        amends_core::tcc::difference(&run.tcc, &other)
    };
    assert_eq!(with(|_| {}), None);
    assert_eq!(with(|start| start.name.push('x')), Some("name"));
    assert_eq!(with(|start| start.deadline = Millis(1)), Some("deadline"));
    assert_eq!(
        with(|start| start.parent = super::sketch::nested_start().parent),
        Some("parent")
    );
}
