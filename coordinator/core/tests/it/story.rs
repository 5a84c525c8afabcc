//! The rules of the machine, one short story each.

use amends_core::answer::{Answer, Failure};
use amends_core::id::{Generation, RecordNo};
use amends_core::payload::Payload;
use amends_core::saga::{Command, Fencing, PublicState, StepKind, read_log, replay, write_records};
use amends_core::time::Millis;
use serde_json::json;

use crate::sketch::{Run, compile, definition, no, ok, step, step_of_kind, unknown};

fn order() -> Vec<amends_core::saga::StepDefinition> {
    vec![
        step("stock", &[]),
        step("coupon", &[]),
        step("money", &["stock", "coupon"]),
    ]
}

#[test]
fn parallel_steps_run_together_and_the_rest_follows() {
    let mut run = Run::begin(&compile(order()), Payload::null());
    assert_eq!(run.under_way(), ["do coupon", "do stock"]);
    run.answer("stock", ok());
    assert_eq!(run.under_way(), ["do coupon"]);
    run.answer("coupon", ok());
    assert_eq!(run.under_way(), ["do money"]);
    assert_eq!(
        run.after("money"),
        RecordNo(1),
        "only the beginning must be durable"
    );
    run.answer("money", ok());
    assert_eq!(run.saga.public_state(), PublicState::Succeeded);
}

#[test]
fn a_refusal_undoes_in_reverse_order_and_spares_the_refused_step() {
    let mut run = Run::begin(
        &compile(vec![step("a", &[]), step("b", &["a"]), step("c", &["b"])]),
        Payload::null(),
    );
    run.answer("a", Answer::Succeeded(Payload::json(&json!({"n": 1}))));
    run.answer("b", ok());
    run.answer("c", no());
    assert_eq!(run.under_way(), ["undo b"]);
    assert_eq!(
        run.after("b"),
        run.saga.last_record(),
        "an undo waits for the decision to turn back"
    );
    run.answer("b", ok());
    assert_eq!(run.under_way(), ["undo a"]);
    assert_eq!(run.calls[0].output, Some(Payload::json(&json!({"n": 1}))));
    run.answer("a", ok());
    assert_eq!(run.saga.public_state(), PublicState::Compensated);
    assert_eq!(run.saga.cause().unwrap().failure.code, "NO");
}

#[test]
fn a_step_whose_attempts_prove_nothing_is_undone_too() {
    let mut run = Run::begin(&compile(vec![step("a", &[])]), Payload::null());
    run.answer("a", unknown());
    run.sleep();
    assert_eq!(run.calls[0].attempt, 2);
    run.answer("a", unknown());
    assert_eq!(run.under_way(), ["undo a"]);
    run.answer("a", ok());
    assert_eq!(run.saga.public_state(), PublicState::Compensated);
}

#[test]
fn an_undo_that_fails_is_stuck_but_the_others_go_on_and_it_is_tried_for_ever() {
    let steps = vec![step("a", &[]), step("b", &[]), step("c", &["a", "b"])];
    let mut run = Run::begin(&compile(steps), Payload::null());
    run.answer("a", ok());
    run.answer("b", ok());
    run.answer("c", no());
    run.answer("b", no());
    assert_eq!(run.saga.public_state(), PublicState::Stuck);
    run.answer("a", ok());
    assert_eq!(run.saga.public_state(), PublicState::Stuck);
    for _ in 0..100 {
        run.sleep();
        run.answer("b", unknown());
    }
    assert!(run.log.len() < 60, "the log is bounded: {}", run.log.len());
    run.sleep();
    run.answer("b", ok());
    assert_eq!(run.saga.public_state(), PublicState::Compensated);
}

#[test]
fn a_stuck_undo_can_be_settled_by_hand_with_a_reason() {
    let mut run = Run::begin(
        &compile(vec![step("a", &[]), step("b", &["a"])]),
        Payload::null(),
    );
    run.answer("a", ok());
    run.answer("b", no());
    run.answer("a", no());
    let by_hand = |reason: &str| Command::MarkUndone {
        step: "a".into(),
        operator: "kim".into(),
        reason: reason.into(),
    };
    assert_eq!(
        run.command(by_hand(" ")).unwrap_err().code(),
        "REASON_MISSING"
    );
    run.command(by_hand("paid back in cash")).unwrap();
    assert_eq!(run.saga.public_state(), PublicState::Compensated);
}

#[test]
fn past_the_pivot_there_is_only_forward() {
    let steps = vec![
        step("a", &[]),
        step_of_kind("pay", &["a"], StepKind::Pivot),
        step_of_kind("mail", &["pay"], StepKind::Retriable),
    ];
    let mut run = Run::begin(&compile(steps), Payload::null());
    run.answer("a", ok());
    assert_eq!(
        run.after("pay"),
        run.saga.last_record(),
        "the pivot waits for everything before it to be durable"
    );
    let cancel = Command::Cancel {
        reason: "changed my mind".into(),
    };
    assert_eq!(
        run.command(cancel.clone()).unwrap_err().code(),
        "PAST_POINT_OF_NO_RETURN"
    );
    run.answer("pay", unknown());
    run.sleep();
    run.answer("pay", unknown());
    assert_eq!(
        run.saga.public_state(),
        PublicState::Stuck,
        "its outcome must become known"
    );
    run.sleep();
    run.answer("pay", ok());
    assert_eq!(run.saga.public_state(), PublicState::Running);
    run.answer("mail", no());
    assert_eq!(run.saga.public_state(), PublicState::Stuck);
    run.sleep();
    run.answer("mail", ok());
    assert_eq!(run.saga.public_state(), PublicState::Succeeded);
}

#[test]
fn a_refused_pivot_turns_back() {
    let steps = vec![step("a", &[]), step_of_kind("pay", &["a"], StepKind::Pivot)];
    let mut run = Run::begin(&compile(steps), Payload::null());
    run.answer("a", ok());
    run.answer("pay", no());
    assert_eq!(run.under_way(), ["undo a"]);
}

#[test]
fn cancelling_undoes_a_fenced_step_at_once_and_waits_for_an_unfenced_one() {
    for (fencing, expected) in [(Fencing::ConsumerLog, "undo a"), (Fencing::None, "do a")] {
        let mut a = step("a", &[]);
        a.fencing = fencing;
        let mut run = Run::begin(&compile(vec![a]), Payload::null());
        run.command(Command::Cancel {
            reason: "no longer wanted".into(),
        })
        .unwrap();
        assert_eq!(run.under_way(), [expected]);
        run.answer("a", ok());
        if fencing == Fencing::None {
            assert_eq!(run.under_way(), ["undo a"]);
            run.answer("a", ok());
        }
        assert_eq!(run.saga.public_state(), PublicState::Compensated);
    }
}

#[test]
fn a_late_refusal_spares_the_undo() {
    let mut a = step("a", &[]);
    a.fencing = Fencing::None;
    let mut run = Run::begin(&compile(vec![a]), Payload::null());
    run.command(Command::Cancel {
        reason: String::new(),
    })
    .unwrap();
    run.answer("a", no());
    assert_eq!(run.saga.public_state(), PublicState::Compensated);
    assert!(run.calls.is_empty());
}

#[test]
fn the_deadline_turns_back_even_when_nothing_else_happens() {
    let mut saga = definition(vec![step("a", &[])]);
    saga.deadline = Some(Millis(500));
    let compiled = std::sync::Arc::new(amends_core::saga::CompiledSaga::compile(saga).unwrap());
    let mut run = Run::begin(&compiled, Payload::null());
    run.sleep();
    assert_eq!(run.saga.cause().unwrap().failure.code, "DEADLINE_EXCEEDED");
    assert_eq!(run.under_way(), ["undo a"]);
}

#[test]
fn in_progress_asks_again_and_is_no_attempt() {
    let mut run = Run::begin(&compile(vec![step("a", &[])]), Payload::null());
    for _ in 0..10 {
        run.answer(
            "a",
            Answer::InProgress {
                retry_after: Some(Millis(50)),
            },
        );
        run.sleep();
        assert_eq!(run.calls[0].attempt, 1);
    }
    run.answer("a", ok());
    assert_eq!(run.saga.public_state(), PublicState::Succeeded);
}

#[test]
fn a_step_that_consumes_a_result_waits_for_it_to_be_durable() {
    let mut b = step("b", &["a"]);
    b.input = Some(Payload::json(
        &json!({"price": {"$ref": "$.steps.a.price"}, "gid": {"$ref": "$.gid"}}),
    ));
    let mut run = Run::begin(&compile(vec![step("a", &[]), b]), Payload::null());
    run.answer("a", Answer::Succeeded(Payload::json(&json!({"price": 5}))));
    assert_eq!(run.after("b"), RecordNo(2));
    assert_eq!(
        run.calls[0].input,
        Payload::json(&json!({"price": 5, "gid": "g"}))
    );
}

#[test]
fn an_input_that_names_nothing_fails_without_a_call() {
    let mut b = step("b", &["a"]);
    b.input = Some(Payload::json(&json!({"$ref": "$.steps.a.price"})));
    let mut run = Run::begin(&compile(vec![step("a", &[]), b]), Payload::null());
    run.answer("a", ok());
    assert_eq!(run.under_way(), ["undo a"]);
    assert_eq!(
        run.saga.cause().unwrap().failure.code,
        "REFERENCE_UNRESOLVED"
    );
}

#[test]
fn a_step_in_flight_is_undone_although_its_call_left_no_record() {
    // `b` was called, `a` refused, then the coordinator died: the log alone must tell of `b`.
    let compiled = compile(vec![step("a", &[]), step("b", &[])]);
    let mut run = Run::begin(&compiled, Payload::null());
    run.answer("a", no());
    let rows = write_records(&run.log);
    let mut saga = replay(&compiled, &read_log([rows.as_str()]).unwrap()).unwrap();
    let decision = amends_core::saga::decide(
        &saga,
        Command::Resume {
            generation: Generation(2),
        },
        run.now,
    )
    .unwrap();
    decision
        .records
        .iter()
        .for_each(|r| amends_core::saga::apply(&mut saga, r));
    assert!(matches!(
        saga.steps()[1].undo,
        amends_core::saga::Undo::Calling
    ));
    assert_eq!(saga.generation(), Generation(2));
}

#[test]
fn force_ends_everything_and_later_answers_are_stale() {
    let mut run = Run::begin(&compile(order()), Payload::null());
    run.command(Command::Force {
        operator: "kim".into(),
        reason: "test data".into(),
    })
    .unwrap();
    assert_eq!(run.saga.public_state(), PublicState::Forced);
    assert_eq!(
        run.command(Command::Wake).unwrap_err().code(),
        "TRANSACTION_ENDED"
    );
}

#[test]
fn failures_keep_their_code() {
    let failure = Failure::new("OUT_OF_STOCK", "0 left");
    let mut run = Run::begin(&compile(vec![step("a", &[])]), Payload::null());
    run.answer("a", Answer::Refused(failure.clone()));
    assert_eq!(run.saga.cause().unwrap().failure, failure);
    assert_eq!(
        run.saga.public_state(),
        PublicState::Compensated,
        "nothing was done, nothing is undone"
    );
}

#[test]
fn a_step_that_is_in_progress_for_weeks_keeps_a_bounded_log() {
    let mut run = Run::begin(&compile(vec![step("a", &[])]), Payload::null());
    for _ in 0..1_000 {
        run.answer("a", Answer::InProgress { retry_after: None });
        run.sleep();
    }
    assert!(run.log.len() < 60, "{} records", run.log.len());
}

#[test]
fn an_operators_retry_gives_a_fresh_budget() {
    let mut run = Run::begin(&compile(vec![step("a", &[])]), Payload::null());
    for _ in 0..5 {
        run.answer("a", unknown());
        run.command(Command::Retry).unwrap();
        assert_eq!(
            run.under_way(),
            ["do a"],
            "an impatient operator does not turn it back"
        );
    }
    run.answer("a", unknown());
    run.sleep();
    run.answer("a", unknown());
    assert_eq!(run.under_way(), ["undo a"]);
}
