//! Rules that an earlier version of the machine broke, one short story each.

use std::sync::Arc;

use amends_core::answer::Failure;
use amends_core::id::{Generation, StepName};
use amends_core::payload::Payload;
use amends_core::saga::{
    Command, CompiledSaga, Effect, Event, Fencing, Phase, PublicState, Record, StepDefinition,
    StepKind, available_actions, pending_effects, read_log, replay, write_records,
};
use amends_core::time::Millis;

use crate::sketch::{Run, compile, no, ok, step, step_of_kind, unknown};

fn unfenced(name: &str) -> StepDefinition {
    StepDefinition {
        fencing: Fencing::None,
        ..step(name, &[])
    }
}

fn restart(run: &mut Run, definition: &Arc<CompiledSaga>) {
    let rows = write_records(&run.log);
    run.saga = replay(definition, &read_log([rows.as_str()]).unwrap()).unwrap();
    run.calls.clear();
    let generation = Generation(2);
    run.command(Command::Resume { generation }).unwrap();
}

#[test]
fn an_undo_waits_for_later_steps_behind_one_that_has_no_undo() {
    let mut look = step("look", &["a"]);
    look.compensation = None;
    let steps = vec![
        step("a", &[]),
        look,
        step("c", &["look"]),
        step("d", &["c"]),
    ];
    let mut run = Run::begin(&compile(steps), Payload::null());
    for name in ["a", "look", "c"] {
        run.answer(name, ok());
    }
    run.answer("d", no());
    assert_eq!(run.under_way(), ["undo c"]);
    run.answer("c", ok());
    assert_eq!(run.under_way(), ["undo a"]);
}

#[test]
fn without_a_consumer_log_an_undo_waits_until_a_lost_call_has_timed_out() {
    let mut run = Run::begin(&compile(vec![unfenced("a")]), Payload::null());
    run.answer("a", unknown());
    run.sleep();
    let lost = run.now;
    run.answer("a", unknown());
    assert!(
        run.under_way().is_empty(),
        "a lost call may still run there"
    );
    run.sleep();
    assert_eq!(run.now, lost + Millis(1_000));
    assert_eq!(run.under_way(), ["undo a"]);
}

#[test]
fn without_a_consumer_log_a_success_after_a_restart_does_not_end_the_calls_before_it() {
    let definition = compile(vec![unfenced("a"), step("b", &[])]);
    let mut run = Run::begin(&definition, Payload::null());
    restart(&mut run, &definition);
    let restarted = run.now;
    run.answer("a", ok());
    run.answer("b", no());
    assert!(
        run.under_way().is_empty(),
        "the first call of a may still run"
    );
    run.sleep();
    assert_eq!(run.now, restarted + Millis(1_000));
    assert_eq!(run.under_way(), ["undo a"]);
}

#[test]
fn a_stuck_pivot_that_is_refused_after_all_is_stuck_no_longer() {
    let steps = vec![step("a", &[]), step_of_kind("pay", &["a"], StepKind::Pivot)];
    let mut run = Run::begin(&compile(steps), Payload::null());
    run.answer("a", ok());
    run.answer("pay", unknown());
    run.sleep();
    run.answer("pay", unknown());
    assert_eq!(run.saga.public_state(), PublicState::Stuck);
    run.sleep();
    run.answer("pay", no());
    assert_eq!(run.saga.public_state(), PublicState::Compensating);
}

#[test]
fn a_log_alone_names_the_step_past_which_there_is_no_return() {
    let steps = vec![
        step_of_kind("pay", &[], StepKind::Pivot),
        step_of_kind("mail", &["pay"], StepKind::Retriable),
    ];
    let definition = compile(steps);
    let mut run = Run::begin(&definition, Payload::null());
    run.answer("pay", ok());
    let rows = write_records(&run.log);
    let saga = replay(&definition, &read_log([rows.as_str()]).unwrap()).unwrap();
    let reason = available_actions(&saga)[0].disabled.clone().unwrap();
    assert!(reason.to_string().contains("\"pay\""), "{reason}");
}

#[test]
fn a_step_is_not_called_again_while_its_undo_goes_on() {
    let mut run = Run::begin(&compile(vec![step("a", &[])]), Payload::null());
    let reason = String::new();
    run.command(Command::Cancel { reason }).unwrap();
    run.answer("a", unknown());
    let calls = pending_effects(&run.saga).into_iter();
    let calls: Vec<_> = calls
        .filter(|effect| matches!(effect, Effect::Call { .. }))
        .collect();
    assert_eq!(calls, [], "the undo waits for its next attempt");
}

#[test]
fn attempts_do_not_run_over() {
    let definition = compile(vec![step("a", &[])]);
    let mut run = Run::begin(&definition, Payload::null());
    let reason = String::new();
    run.command(Command::Cancel { reason }).unwrap();
    let at = run.now;
    run.log.push(Record::new(
        at,
        Event::AttemptFailed {
            step: StepName::new("a").unwrap(),
            phase: Phase::Undo,
            attempt: u32::MAX,
            failure: Failure::new("GARBAGE", ""),
            retry_at: None,
        },
    ));
    restart(&mut run, &definition);
    assert_eq!(run.under_way(), ["undo a"]);
}
