//! Logs that were cut, doubled, swapped or bitten: a clear error or a saga that
//! makes sense, never a panic.

use std::sync::Arc;

use amends_core::id::Generation;
use amends_core::payload::Payload;
use amends_core::saga::{
    Command, CompiledSaga, CorruptLog, Direction, Forward, Outcome, Record, Saga, Undo,
    available_actions, decide, next_wake, pending_effects, read_log, replay, write_records,
};
use amends_core::time::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::sketch::{Run, compile, no, ok, step, unknown};

fn compiled() -> Arc<CompiledSaga> {
    compile(vec![step("a", &[]), step("b", &["a"]), step("c", &["b"])])
}

/// A log with most of what can stand in one.
fn log() -> Vec<Record> {
    let mut run = Run::begin(&compiled(), Payload::null());
    run.answer("a", unknown());
    run.sleep();
    run.answer("a", ok());
    run.answer("b", ok());
    run.command(Command::Resume {
        generation: Generation(2),
    })
    .unwrap();
    run.answer("c", no());
    run.answer("b", no());
    run.command(Command::Retry).unwrap();
    run.answer("b", ok());
    run.answer("a", ok());
    assert!(run.saga.is_ended());
    run.log
}

/// Reads a text as a log and, if it is one, uses the saga in every way.
fn use_it(text: &str) -> Result<Saga, CorruptLog> {
    let saga = replay(&compiled(), &read_log([text])?)?;
    makes_sense(&saga);
    let generation = Generation(u64::MAX);
    for command in [
        Command::Resume { generation },
        Command::Wake,
        Command::Retry,
    ] {
        let _ = decide(&saga, command, Timestamp(i64::MAX));
    }
    let _ = (
        available_actions(&saga),
        pending_effects(&saga),
        next_wake(&saga),
    );
    Ok(saga)
}

fn makes_sense(saga: &Saga) {
    let settled = |undo: &Undo| matches!(undo, Undo::NotNeeded | Undo::Done(_));
    let steps = saga.steps();
    match saga.direction() {
        Direction::Ended {
            outcome: Outcome::Compensated,
            ..
        } => {
            assert!(steps.iter().all(|run| settled(&run.undo)), "{steps:?}");
        }
        Direction::Ended {
            outcome: Outcome::Succeeded { .. },
            ..
        } => {
            let done = |forward: &Forward| matches!(forward, Forward::Succeeded { .. });
            assert!(steps.iter().all(|run| done(&run.forward)), "{steps:?}");
        }
        Direction::Forward => {
            assert!(
                steps.iter().all(|run| run.undo == Undo::NotNeeded),
                "{steps:?}"
            );
        }
        _ => {}
    }
}

#[test]
fn a_log_cut_anywhere_is_a_log() {
    let log = log();
    for keep in 1..=log.len() {
        let saga = use_it(&write_records(&log[..keep])).unwrap();
        assert_eq!(saga.last_record().0, keep as u64);
    }
}

#[test]
fn rows_may_be_split_anywhere() {
    let log = log();
    let whole = use_it(&write_records(&log)).unwrap();
    for at in 1..log.len() {
        let rows = [write_records(&log[..at]), write_records(&log[at..])];
        let split = read_log(rows.iter().map(String::as_str)).unwrap();
        let saga = replay(&compiled(), &split).unwrap();
        assert_eq!(
            (saga.steps(), saga.direction()),
            (whole.steps(), whole.direction())
        );
    }
}

#[test]
fn doubled_missing_and_swapped_records_never_lead_astray() {
    let log = log();
    for one in 0..log.len() {
        let mut doubled = log.clone();
        doubled.insert(one, log[one].clone());
        let _ = use_it(&write_records(&doubled));
        let mut missing = log.clone();
        missing.remove(one);
        let _ = use_it(&write_records(&missing));
        for other in 0..one {
            let mut swapped = log.clone();
            swapped.swap(one, other);
            let _ = use_it(&write_records(&swapped));
        }
    }
}

#[test]
fn each_kind_of_corruption_is_named() {
    let text = write_records(&log());
    let with = |from: &str, to: &str| {
        assert!(text.contains(from), "{from} is not in {text}");
        use_it(&text.replacen(from, to, 1)).unwrap_err().to_string()
    };
    let unknown_event = with("turned_back", "turned_around");
    assert!(
        unknown_event.starts_with("record 1 cannot be read: unknown variant"),
        "{unknown_event}"
    );
    assert_eq!(
        with("{\"v\":1,", "{\"v\":7,"),
        "record 1 has version 7, known is up to 1"
    );
    let other_step = with(
        "step_refused\":{\"step\":\"c\"",
        "step_refused\":{\"step\":\"z\"",
    );
    assert!(
        other_step.contains("about step \"z\", which the definition does not have"),
        "{other_step}"
    );
    let hash = compiled().hash().0.to_string();
    assert!(with(&hash, "00").starts_with("the log belongs to definition 00, given was"));
    assert_eq!(use_it("[]").unwrap_err(), CorruptLog::Empty);
    assert!(matches!(
        use_it("{}").unwrap_err(),
        CorruptLog::Unreadable { number: 1, .. }
    ));
    let mut late = log();
    late.push(late[1].clone());
    let number = late.len();
    let kind = "attempt_failed";
    assert_eq!(
        use_it(&write_records(&late)).unwrap_err(),
        CorruptLog::Misplaced { number, kind }
    );
    let headless = write_records(&log()[1..]);
    assert_eq!(
        use_it(&headless).unwrap_err(),
        CorruptLog::Misplaced { number: 1, kind }
    );
}

proptest! {
    #![proptest_config(Config { cases: 2_000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn bitten_logs_are_errors_or_sagas(bites in prop::collection::vec((any::<u16>(), any::<u8>()), 1..4)) {
        let mut bytes = write_records(&log()).into_bytes();
        for (at, byte) in bites {
            let at = usize::from(at) % bytes.len();
            bytes[at] = byte;
        }
        let _ = use_it(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn changed_digits_are_errors_or_sagas(bites in prop::collection::vec((any::<u16>(), 0..10_u8), 1..4)) {
        let mut bytes = write_records(&log()).into_bytes();
        let digits: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at].is_ascii_digit()).collect();
        for (at, digit) in bites {
            bytes[digits[usize::from(at) % digits.len()]] = b'0' + digit;
        }
        let _ = use_it(&String::from_utf8_lossy(&bytes));
    }
}
