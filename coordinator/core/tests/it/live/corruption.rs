//! Logs of live sagas that were cut, doubled, swapped or bitten: a clear error or
//! a saga that makes sense, never a panic.

use amends_core::id::Generation;
use amends_core::saga::{
    Command, CorruptLog, Event, LiveCommand, Record, Saga, available_actions, decide, next_wake,
    pending_effects, read_log, replay_live, write_records,
};
use amends_core::time::Timestamp;
use proptest::prelude::*;

use super::sketch::{asks, asks_for, begun, completes, fails, said, start, unfenced_step};
use crate::sketch::{no, ok, unknown};

/// Logs with most of what can stand in one.
fn logs() -> [Vec<Record>; 2] {
    let mut good = begun(start());
    for name in ["a", "b", "c"] {
        good.command(asks(name)).unwrap();
    }
    good.answer("a", unknown());
    good.answer("b", no());
    good.answer("c", ok());
    good.sleep();
    good.answer("a", ok());
    let generation = Generation(2);
    good.command(Command::Resume { generation }).unwrap();
    good.command(asks("d")).unwrap();
    good.answer("d", ok());
    good.command(completes()).unwrap();
    let mut bad = begun(start());
    bad.command(asks("a")).unwrap();
    bad.answer("a", ok());
    bad.command(asks_for("b", unfenced_step("b"))).unwrap();
    bad.command(fails(None)).unwrap();
    bad.answer("b", ok());
    bad.answer("b", no());
    bad.command(Command::Retry).unwrap();
    bad.answer("b", ok());
    bad.answer("a", ok());
    assert!(good.saga.is_ended() && bad.saga.is_ended());
    [good.log, bad.log]
}

/// Reads a text as a log and, if it is one, uses the saga in every way.
fn use_it(text: &str) -> Result<Saga, CorruptLog> {
    let saga = replay_live(&read_log([text])?)?;
    let generation = Generation(u64::MAX);
    for now in [Timestamp(i64::MIN), Timestamp(0), Timestamp(i64::MAX)] {
        for command in [
            Command::Resume { generation },
            Command::Wake,
            Command::Retry,
            said(LiveCommand::Heartbeat),
            asks("new"),
            asks("a"),
            completes(),
            fails(Some("a")),
        ] {
            let _ = decide(&saga, command, now);
        }
    }
    let _ = (
        available_actions(&saga),
        pending_effects(&saga),
        next_wake(&saga),
    );
    Ok(saga)
}

#[test]
fn a_log_cut_anywhere_is_a_log() {
    for log in logs() {
        for keep in 1..=log.len() {
            let saga = use_it(&write_records(&log[..keep])).unwrap();
            assert_eq!(saga.last_record().0, keep as u64);
        }
    }
}

#[test]
fn what_cannot_stand_there_is_named() {
    for log in logs() {
        for at in 1..log.len() {
            let mut twice = log.clone();
            twice.insert(at + 1, log[at].clone());
            let added = matches!(log[at].event, Event::StepAdded { .. });
            let refused = use_it(&write_records(&twice));
            assert!(!added || matches!(refused, Err(CorruptLog::Invalid { .. })));
        }
        let headless = use_it(&write_records(&log[1..]));
        assert!(matches!(
            headless,
            Err(CorruptLog::Misplaced { number: 1, .. })
        ));
    }
    let [log, _] = logs();
    let mut late = log.clone();
    let step = late.remove(1);
    late.push(step);
    assert!(use_it(&write_records(&late)).is_err());
    assert_eq!(replay_live(&[]).unwrap_err(), CorruptLog::Empty);
}

proptest! {
    #[test]
    fn no_swap_or_bite_makes_it_panic(which in 0_usize..2, a in 0_usize..20, b in 0_usize..20, at in 0_usize..4_000, byte in any::<u8>()) {
        let mut log = logs()[which].clone();
        let len = log.len();
        log.swap(a % len, b % len);
        let text = write_records(&log);
        let _ = use_it(&text);
        let mut bytes = text.into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(bitten) = String::from_utf8(bytes) {
            let _ = use_it(&bitten);
        }
    }
}
