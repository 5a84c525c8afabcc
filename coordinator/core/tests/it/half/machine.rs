//! The machine, command by command.

use amends_core::message::half::{
    AfterLastCheck, Check, CheckLog, CheckPolicy, Command, DecidedBy, Half, HalfState,
    MAX_CHECK_LOG, MAX_CHECK_TEXT_BYTES, Nothing, Record, Standing, Verdict,
};
use amends_core::time::{Millis, Timestamp};

const NOW: Timestamp = Timestamp(100);
const POLICY: CheckPolicy = CheckPolicy {
    interval: Millis(30),
    max_checks: 2,
    after_last: AfterLastCheck::Keep,
};

fn check(verdict: Option<Verdict>, counted: bool) -> Check {
    Check {
        at: NOW,
        instance: "i".to_owned(),
        verdict,
        error: String::new(),
        counted,
    }
}

fn after(half: &Half, command: Command) -> Half {
    let record = half.take(command, NOW, &POLICY).unwrap();
    let mut next = half.clone();
    next.apply(record);
    next
}

#[test]
fn every_state_takes_every_command() {
    use Command::{AskNow, Checked, Decide};
    use Verdict::{Commit, Rollback};
    let prepared = Half::prepared(Timestamp(6));
    let by = DecidedBy::Producer;
    let committed = after(&prepared, Decide(Commit, by));
    let rolled_back = after(&prepared, Decide(Rollback, by));
    let once = after(&prepared, Checked(check(None, true)));
    let stuck = after(&once, Checked(check(None, true)));
    let commands = [
        Decide(Commit, by),
        Decide(Rollback, by),
        AskNow,
        Checked(check(Some(Commit), true)),
        Checked(check(None, true)),
        Checked(check(None, false)),
    ];
    let table = [&prepared, &once, &stuck, &committed, &rolled_back].map(|half| {
        let outcomes = commands
            .clone()
            .map(|command| match half.take(command, NOW, &POLICY) {
                Err(nothing) => format!("{nothing:?}"),
                Ok(record) => {
                    let mut next = half.clone();
                    next.apply(record);
                    format!("{} {}", next.state().as_str(), next.checks)
                }
            });
        outcomes.join(" | ")
    });
    insta::assert_snapshot!(table.join("\n"), @"
    COMMITTED 0 | ROLLED_BACK 0 | PREPARED 0 | COMMITTED 1 | PREPARED 1 | PREPARED 0
    COMMITTED 1 | ROLLED_BACK 1 | PREPARED 1 | COMMITTED 2 | STUCK 2 | PREPARED 1
    COMMITTED 2 | ROLLED_BACK 2 | PREPARED 2 | COMMITTED 3 | Late | Late
    Known | Opposite(Commit) | Opposite(Commit) | Late | Late | Late
    Opposite(Rollback) | Known | Opposite(Rollback) | Late | Late | Late
    ");
}

#[test]
fn the_next_check_is_an_interval_away_and_the_last_one_decides_where_configured() {
    let half = Half::prepared(Timestamp(6));
    let next = after(&half, Command::Checked(check(None, true)));
    let check_at = Timestamp(130);
    assert_eq!(next.standing, Standing::Prepared { check_at });
    let discard = CheckPolicy {
        after_last: AfterLastCheck::Discard,
        ..POLICY
    };
    let last = next.take(Command::Checked(check(None, true)), NOW, &discard);
    let Ok(Record::Decided { verdict, by, .. }) = last else {
        panic!("{last:?}");
    };
    assert_eq!((verdict, by), (Verdict::Rollback, DecidedBy::Discarded));
    assert_eq!(verdict.state(), HalfState::RolledBack);
    let late = next.take(Command::Checked(check(None, false)), NOW, &discard);
    assert!(!matches!(late, Err(Nothing::Late)), "it costs nothing");
}

#[test]
fn the_log_of_checks_is_bounded() {
    let mut log = CheckLog::default();
    for n in 0..100 {
        log.note(Check {
            at: Timestamp(n),
            error: "ö".repeat(1_000),
            ..check(None, true)
        });
    }
    assert_eq!(log.checks().len(), MAX_CHECK_LOG);
    assert_eq!(log.checks().last().unwrap().at, Timestamp(99));
    assert!(
        log.checks()
            .iter()
            .all(|it| it.error.len() <= MAX_CHECK_TEXT_BYTES)
    );
    // An outage drives out nothing.
    let before = log.checks()[1..].to_vec();
    for n in 100..200 {
        log.note(Check {
            at: Timestamp(n),
            ..check(None, false)
        });
    }
    assert_eq!(log.checks().last().unwrap().at, Timestamp(199));
    assert_eq!(log.checks()[..MAX_CHECK_LOG - 1], before);
}
