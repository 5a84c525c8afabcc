//! The rules of live sagas, one short story each.

use amends_core::answer::{Answer, Failure};
use amends_core::id::{Generation, RecordNo};
use amends_core::payload::Payload;
use amends_core::saga::{
    Command, Direction, LiveCommand, LiveStart, LiveStep, Outcome, PublicState, read_log,
    replay_live, write_records,
};
use amends_core::time::Millis;
use serde_json::json;

use super::sketch::{
    LEASE, asks, asks_for, begun, code, completes, fails, live_step, said, start, steps,
    unfenced_step,
};
use crate::sketch::{Run, no, ok, unknown};

fn cause(run: &Run) -> &str {
    run.saga.cause().map_or("", |cause| &cause.failure.code)
}

#[test]
fn a_step_is_recorded_before_it_is_called_and_goes_as_it_is() {
    let mut run = begun(start());
    assert_eq!(run.saga.public_state(), PublicState::Running);
    run.command(asks("a")).unwrap();
    assert_eq!(run.under_way(), ["do a"]);
    assert_eq!(run.after("a"), RecordNo(2), "the record that brought it");
    assert_eq!(run.calls[0].input, live_step("a").input);
    run.answer("a", Answer::Succeeded(Payload::json(&json!({"n": 1}))));
    assert_eq!(
        run.saga.public_state(),
        PublicState::Running,
        "what comes next is open"
    );
    run.command(asks("b")).unwrap();
    assert_eq!(run.after("b"), RecordNo(4));
    run.answer("b", ok());
    run.command(completes()).unwrap();
    let Direction::Ended { outcome, .. } = run.saga.direction() else {
        panic!("it has not ended: {:?}", run.saga);
    };
    let output = Payload::json(&json!("done"));
    assert_eq!(*outcome, Outcome::Succeeded { output });
}

#[test]
fn undoing_goes_in_the_reverse_of_what_happened_and_parallel_steps_together() {
    let mut run = begun(start());
    run.command(asks("a")).unwrap();
    run.answer("a", ok());
    run.command(asks("b")).unwrap();
    run.command(asks("c")).unwrap();
    run.answer("b", ok());
    run.answer("c", ok());
    run.command(asks("d")).unwrap();
    run.answer("d", ok());
    run.command(fails(Some("d"))).unwrap();
    assert_eq!(run.under_way(), ["undo d"]);
    run.answer("d", ok());
    assert_eq!(run.under_way(), ["undo b", "undo c"]);
    run.answer("c", ok());
    run.answer("b", ok());
    assert_eq!(run.under_way(), ["undo a"]);
    run.answer("a", ok());
    assert_eq!(run.saga.public_state(), PublicState::Compensated);
    assert_eq!(cause(&run), "TOO_DEAR");
    let after = |ix: usize| &run.saga.definition().definition().steps[ix].after;
    assert_eq!(after(3), &["b", "c"], "the nearest only");
}

#[test]
fn a_refusal_is_for_the_caller_to_deal_with() {
    let mut run = begun(start());
    run.command(asks("near")).unwrap();
    run.answer("near", no());
    assert_eq!(run.saga.public_state(), PublicState::Running);
    run.command(asks("far")).unwrap();
    run.answer("far", ok());
    run.command(completes()).unwrap();
    assert_eq!(run.saga.public_state(), PublicState::Succeeded);
    assert_eq!(steps(&run.saga), ["near: Refused", "far: Succeeded"]);
}

#[test]
fn of_parallel_steps_one_is_refused_and_the_others_are_undone_whatever_became_of_them() {
    let mut run = begun(start());
    for name in ["a", "b", "c"] {
        run.command(asks(name)).unwrap();
    }
    run.answer("a", ok());
    run.answer("b", no());
    run.command(fails(Some("b"))).unwrap();
    let mut undone = run.under_way();
    undone.retain(|call| call.starts_with("undo"));
    assert_eq!(
        undone,
        ["undo a", "undo c"],
        "b refused, so nothing of it remains"
    );
    assert_eq!(
        run.saga.cause().unwrap().step.as_ref().unwrap().as_str(),
        "b"
    );
}

#[test]
fn a_step_that_proves_nothing_turns_everything_back() {
    let mut run = begun(start());
    run.command(asks("a")).unwrap();
    run.answer("a", unknown());
    run.sleep();
    run.answer("a", unknown());
    assert_eq!(run.under_way(), ["undo a"]);
    assert_eq!(code(run.command(asks("b"))), "LIVE_SAGA_TURNED_BACK");
    run.answer("a", ok());
    assert_eq!(code(run.command(asks("b"))), "LIVE_SAGA_TURNED_BACK");
    assert_eq!(code(run.command(completes())), "LIVE_SAGA_TURNED_BACK");
    assert_eq!(code(run.command(fails(None))), "ok", "as it was asked for");
}

#[test]
fn a_step_that_is_asked_for_again_is_not_called_again() {
    let mut run = begun(start());
    run.command(asks("a")).unwrap();
    run.command(asks("a")).unwrap();
    assert_eq!(run.log.len(), 2);
    run.answer("a", ok());
    run.command(asks("a")).unwrap();
    assert_eq!(run.under_way(), [""; 0]);
    for (other, what) in [
        (
            LiveStep {
                input: Payload::null(),
                ..live_step("a")
            },
            "input",
        ),
        (
            LiveStep {
                compensation: None,
                ..live_step("a")
            },
            "compensation",
        ),
        (
            LiveStep {
                timeout: Millis(7),
                ..live_step("a")
            },
            "timeout",
        ),
        (live_step("b"), "target"),
        (unfenced_step("a"), "fencing"),
    ] {
        let rejected = run.command(asks_for("a", other)).unwrap_err();
        assert_eq!(rejected.code(), "STEP_DIFFERS");
        assert!(rejected.to_string().ends_with(what), "{rejected}");
    }
}

#[test]
fn it_cannot_complete_while_a_step_is_open() {
    let mut run = begun(start());
    run.command(asks("a")).unwrap();
    run.command(asks("b")).unwrap();
    run.answer("a", ok());
    let rejected = run.command(completes()).unwrap_err();
    assert_eq!(rejected.code(), "STEPS_OPEN");
    assert!(rejected.to_string().contains("\"b\""), "{rejected}");
    run.answer("b", ok());
    run.command(completes()).unwrap();
    run.command(completes()).unwrap();
    let other = LiveCommand::Complete {
        output: Payload::null(),
    };
    run.command(said(other)).unwrap();
    let Direction::Ended { outcome, .. } = run.saga.direction() else {
        panic!("it has not ended");
    };
    let first = Payload::json(&json!("done"));
    assert_eq!(
        *outcome,
        Outcome::Succeeded { output: first },
        "the first result stays"
    );
    assert_eq!(code(run.command(fails(None))), "TRANSACTION_ENDED");
    assert_eq!(code(run.command(asks("c"))), "TRANSACTION_ENDED");
}

#[test]
fn a_silent_caller_is_given_up_and_one_that_is_heard_is_not() {
    let mut run = begun(start());
    run.command(asks("a")).unwrap();
    run.answer("a", ok());
    let half = Millis(LEASE.0 / 2);
    for _ in 0..4 {
        run.now = run.now + half;
        run.command(said(LiveCommand::Heartbeat)).unwrap();
        run.command(Command::Wake).unwrap();
    }
    assert_eq!(run.log.len(), 3, "heartbeats are not stored");
    run.sleep();
    assert_eq!(cause(&run), "CALLER_LOST");
    assert_eq!(run.under_way(), ["undo a"]);
    let late = run.command(said(LiveCommand::Heartbeat));
    assert_eq!(code(late), "LIVE_SAGA_TURNED_BACK");
}

#[test]
fn after_a_restart_the_caller_has_its_lease_anew() {
    let mut run = begun(start());
    run.command(asks("a")).unwrap();
    run.now = run.now + Millis(3 * LEASE.0);
    let log = read_log([write_records(&run.log).as_str()]).unwrap();
    run.saga = replay_live(&log).unwrap();
    run.calls.clear();
    run.command(Command::Resume {
        generation: Generation(2),
    })
    .unwrap();
    assert_eq!(run.under_way(), ["do a"], "called again");
    assert_eq!(run.saga.live().unwrap().lease_until(), run.now + LEASE);
    run.answer("a", ok());
    run.sleep();
    assert_eq!(cause(&run), "CALLER_LOST");
}

#[test]
fn what_was_open_at_a_restart_may_be_what_a_later_step_rests_on() {
    let mut run = begun(start());
    run.command(asks("a")).unwrap();
    run.command(asks("b")).unwrap();
    // Both are done, and the caller has heard it; the coordinator dies before it has written that down.
    let log = read_log([write_records(&run.log).as_str()]).unwrap();
    run.saga = replay_live(&log).unwrap();
    run.calls.clear();
    run.command(Command::Resume {
        generation: Generation(2),
    })
    .unwrap();
    run.command(asks("c")).unwrap();
    assert_eq!(
        run.under_way(),
        ["do a", "do b", "do c"],
        "it need not wait"
    );
    for name in ["a", "b", "c"] {
        run.answer(name, ok());
    }
    run.command(fails(None)).unwrap();
    assert_eq!(run.under_way(), ["undo c"]);
}

#[test]
fn the_deadline_and_an_operator_turn_it_back_too() {
    let mut run = begun(LiveStart {
        deadline: Some(Millis(700)),
        ..start()
    });
    run.command(asks("a")).unwrap();
    run.answer("a", ok());
    run.now = run.now + Millis(700);
    assert_eq!(code(run.command(asks("b"))), "DEADLINE_PASSED");
    assert_eq!(code(run.command(completes())), "DEADLINE_PASSED");
    run.command(Command::Wake).unwrap();
    assert_eq!(cause(&run), "DEADLINE_EXCEEDED");
    let mut run = begun(start());
    run.command(asks("a")).unwrap();
    let reason = "the customer called".to_owned();
    run.command(Command::Cancel { reason }).unwrap();
    assert!(run.under_way().contains(&"undo a".to_owned()));
    assert_eq!(code(run.command(asks("b"))), "LIVE_SAGA_TURNED_BACK");
    let (operator, reason) = ("kim".to_owned(), "by hand".to_owned());
    run.command(Command::Force { operator, reason }).unwrap();
    assert_eq!(code(run.command(asks("b"))), "TRANSACTION_ENDED");
}

#[test]
fn a_failure_that_names_an_unknown_step_counts_all_the_same() {
    let mut run = begun(start());
    run.command(fails(Some("never-asked-for"))).unwrap();
    assert_eq!(run.saga.public_state(), PublicState::Compensated);
    assert_eq!(run.saga.cause().unwrap().step, None);
}

#[test]
fn rules_are_checked() {
    let mut run = begun(start());
    let endless = LiveStep {
        timeout: Millis(0),
        ..live_step("a")
    };
    assert_eq!(code(run.command(asks_for("a", endless))), "STEP_INVALID");
    for n in 0..256 {
        run.command(asks(&format!("s{n}"))).unwrap();
    }
    assert_eq!(code(run.command(asks("one-more"))), "TOO_MANY_STEPS");
    for (start, field) in [
        (
            LiveStart {
                lease: Millis(99),
                ..start()
            },
            "lease",
        ),
        (
            LiveStart {
                lease: Millis::from_secs(3_601),
                ..start()
            },
            "lease",
        ),
        (
            LiveStart {
                deadline: Some(Millis(0)),
                ..start()
            },
            "deadline",
        ),
        (
            LiveStart {
                name: "No Name".into(),
                ..start()
            },
            "name",
        ),
        (
            LiveStart {
                key: "x".repeat(129),
                ..start()
            },
            "key",
        ),
        (
            LiveStart {
                caller: "a\nb".into(),
                ..start()
            },
            "caller",
        ),
    ] {
        let wrong = start.check();
        assert_eq!(
            wrong.iter().map(|it| it.field.as_str()).collect::<Vec<_>>(),
            [field]
        );
    }
}

#[test]
fn another_start_with_the_same_id_is_told_what_differs() {
    let run = begun(start());
    let same = LiveStart {
        caller: "caller-2".into(),
        ..start()
    };
    assert_eq!(
        same.difference(&run.saga),
        None,
        "who calls is a question of its own"
    );
    for (other, what) in [
        (
            LiveStart {
                name: "other".into(),
                ..start()
            },
            "name",
        ),
        (
            LiveStart {
                key: "4712".into(),
                ..start()
            },
            "key",
        ),
        (
            LiveStart {
                lease: Millis(1_000),
                ..start()
            },
            "lease",
        ),
        (
            LiveStart {
                deadline: Some(Millis(9)),
                ..start()
            },
            "deadline",
        ),
    ] {
        assert_eq!(other.difference(&run.saga), Some(what));
    }
}

#[test]
fn sagas_that_run_from_a_definition_know_no_caller() {
    let compiled = crate::sketch::compile(vec![crate::sketch::step("a", &[])]);
    let mut run = Run::begin(&compiled, Payload::null());
    for command in [asks("b"), completes(), fails(None)] {
        assert_eq!(code(run.command(command)), "NOT_A_LIVE_SAGA");
    }
    run.answer("a", Answer::Refused(Failure::new("NO", "no")));
    assert_eq!(code(run.command(completes())), "NOT_A_LIVE_SAGA");
}
