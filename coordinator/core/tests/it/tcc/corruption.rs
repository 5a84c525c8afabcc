//! Logs that were cut, doubled, swapped or bitten: a clear error or a TCC that
//! makes sense, never a panic.

use amends_core::id::Generation;
use amends_core::tcc::{
    Command, CorruptLog, Outcome, Record, Settle, Stage, Standing, Tcc, Tried, Verdict,
    available_actions, decide, next_wake, pending_effects, read_log, replay, write_records,
};
use amends_core::time::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::Config;

use super::sketch::{
    Run, branch, gid, nested_branch, nested_start, no, ok, own_branch, start, unknown,
};

/// Logs with most of what can stand in one.
fn logs() -> [Vec<Record>; 2] {
    let mut run = Run::begin(start());
    run.register(branch("a")).unwrap();
    run.register(own_branch("b")).unwrap();
    run.register(nested_branch("c", "c")).unwrap();
    run.answer("a", unknown());
    run.sleep();
    run.answer("a", ok());
    run.report("b", unknown()).unwrap();
    run.report("b", no()).unwrap();
    resume(&mut run);
    run.cancel().unwrap();
    run.answer("a", no());
    run.command(Command::Retry).unwrap();
    run.answer("a", ok());
    let tell = run.tells.remove(0);
    run.command(Command::Answered {
        branch: tell.branch,
        phase: tell.verdict.phase(),
        attempt: tell.attempt,
        answer: ok(),
        took: None,
    })
    .unwrap();
    assert!(run.tcc.is_ended());
    let mut child = Run::begin(nested_start());
    child.register(branch("a")).unwrap();
    child.answer("a", ok());
    child.command(Command::Confirm).unwrap();
    resume(&mut child);
    child
        .command(Command::ParentSaid(Standing::Confirm))
        .unwrap();
    child.answer("a", unknown());
    child.sleep();
    child.answer("a", ok());
    assert!(child.tcc.is_ended());
    [run.log, child.log]
}

fn resume(run: &mut Run) {
    let generation = Generation(2);
    run.command(Command::Resume { generation }).unwrap();
}

/// Reads a text as a log and, if it is one, uses the TCC in every way.
fn use_it(text: &str) -> Result<Tcc, CorruptLog> {
    let tcc = replay(&read_log([text])?)?;
    makes_sense(&tcc);
    let generation = Generation(u64::MAX);
    for now in [Timestamp(i64::MIN), Timestamp(0), Timestamp(i64::MAX)] {
        for command in [
            Command::Resume { generation },
            Command::Wake,
            Command::Retry,
            Command::Confirm,
            Command::ParentSaid(Standing::Confirm),
            Command::ParentSaid(Standing::Undecided),
            Command::Register(Box::new(branch("new"))),
        ] {
            let _ = decide(&tcc, command, now);
        }
    }
    let last = tcc.last_record();
    let _ = (
        available_actions(&tcc),
        pending_effects(&tcc),
        next_wake(&tcc),
        tcc.standing("a", &gid("c"), last),
        tcc.answer_to_parent(Verdict::Confirm, last),
    );
    Ok(tcc)
}

fn makes_sense(tcc: &Tcc) {
    let branches = tcc.branches();
    let settled = |settle: &Settle| matches!(settle, Settle::NotNeeded | Settle::Done(_));
    match tcc.stage() {
        Stage::Trying | Stage::Prepared { .. } => {
            let untouched = |run: &amends_core::tcc::Branch| run.settle == Settle::NotNeeded;
            assert!(branches.iter().all(untouched), "{branches:?}");
        }
        Stage::Settling(decided) if decided.verdict == Verdict::Confirm => {
            assert!(tcc.open_tries().is_empty(), "{branches:?}");
        }
        Stage::Ended { outcome, .. } if !matches!(outcome, Outcome::Forced { .. }) => {
            assert!(
                branches.iter().all(|run| settled(&run.settle)),
                "{branches:?}"
            );
            let left = |run: &amends_core::tcc::Branch| {
                run.settle == Settle::NotNeeded && run.tried != Tried::Refused
            };
            assert!(!branches.iter().any(left), "{branches:?}");
        }
        Stage::Settling(_) | Stage::Ended { .. } => {}
    }
}

#[test]
fn a_log_cut_anywhere_is_a_log() {
    for log in logs() {
        for keep in 1..=log.len() {
            let tcc = use_it(&write_records(&log[..keep])).unwrap();
            assert_eq!(tcc.last_record().0, keep as u64);
            let rows = [write_records(&log[..keep]), write_records(&log[keep..])];
            let split = read_log(rows.iter().map(String::as_str)).unwrap();
            assert_eq!(split, log);
        }
    }
}

#[test]
fn doubled_missing_and_swapped_records_never_lead_astray() {
    for log in logs() {
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
}

#[test]
fn records_of_another_tcc_never_lead_astray() {
    let [one, other] = logs();
    for at in 1..one.len() {
        for from in 0..other.len() {
            let mut mixed = one[..at].to_vec();
            mixed.extend_from_slice(&other[from..]);
            let _ = use_it(&write_records(&mixed));
        }
    }
}

#[test]
fn each_kind_of_corruption_is_named() {
    let [log, _] = logs();
    let text = write_records(&log);
    let with = |from: &str, to: &str| {
        assert!(text.contains(from), "{from} is not in {text}");
        use_it(&text.replacen(from, to, 1)).unwrap_err().to_string()
    };
    let other_event = with("cancel_decided", "cancel_decoded");
    assert!(
        other_event.starts_with("record 1 cannot be read: unknown variant"),
        "{other_event}"
    );
    assert_eq!(
        with("{\"v\":1,", "{\"v\":7,"),
        "record 1 has version 7, known is up to 1"
    );
    assert_eq!(
        with(
            "try_succeeded\":{\"branch\":\"a\"",
            "try_succeeded\":{\"branch\":\"z\""
        ),
        "record 6 is about branch \"z\", which was not registered"
    );
    let absurd = with("\"timeout\":1000", "\"timeout\":0");
    assert!(
        absurd.starts_with("record 2 holds timeout is 0ns"),
        "{absurd}"
    );
    let itself = with(
        "{\"nested\":{\"gid\":\"c\"}}",
        "{\"nested\":{\"gid\":\"g\"}}",
    );
    assert_eq!(
        itself,
        "record 4 holds a transaction cannot be a branch of itself"
    );
    assert_eq!(use_it("[]").unwrap_err(), CorruptLog::Empty);
    let kind = "registered";
    assert_eq!(
        use_it(&write_records(&log[1..])).unwrap_err(),
        CorruptLog::Misplaced { number: 1, kind }
    );
    let mut late = log.clone();
    late.push(log[1].clone());
    let number = late.len();
    assert_eq!(
        use_it(&write_records(&late)).unwrap_err(),
        CorruptLog::Misplaced { number, kind }
    );
}

proptest! {
    #![proptest_config(Config { cases: 2_000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn bitten_logs_are_errors_or_tccs(
        which in 0..2_usize,
        bites in prop::collection::vec((any::<u16>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = write_records(&logs()[which]).into_bytes();
        for (at, byte) in bites {
            let at = usize::from(at) % bytes.len();
            bytes[at] = byte;
        }
        let _ = use_it(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn changed_digits_are_errors_or_tccs(
        which in 0..2_usize,
        bites in prop::collection::vec((any::<u16>(), 0..10_u8), 1..4),
    ) {
        let mut bytes = write_records(&logs()[which]).into_bytes();
        let digits: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at].is_ascii_digit()).collect();
        for (at, digit) in bites {
            bytes[digits[usize::from(at) % digits.len()]] = b'0' + digit;
        }
        let _ = use_it(&String::from_utf8_lossy(&bytes));
    }
}
