//! A saga seen in two ways: what of it must survive a crash, and all that
//! decides its future, with times counted from now.

use std::hash::{Hash, Hasher};

use amends_core::id::RecordNo;
use amends_core::saga::{Direction, Forward, Outcome, Saga, Undo};
use amends_core::time::Timestamp;

/// What the log tells of a saga. A call in flight leaves no trace there, so it
/// looks as if it was still to be made, or, on the way back, as in doubt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    direction: Direction,
    last_record: RecordNo,
    deadline: Option<Timestamp>,
    steps: Vec<(&'static str, String, bool, RecordNo)>,
}

pub(crate) fn remembered(saga: &Saga) -> Remembered {
    // What was in flight when an operator ended it is not in the log either.
    let forward = match saga.direction() {
        Direction::Forward => true,
        Direction::Ended { outcome, .. } => matches!(outcome, Outcome::Forced { .. }),
        Direction::Back { .. } => false,
    };
    let steps = saga.steps().iter().map(|run| {
        let did = match &run.forward {
            Forward::Pending | Forward::Calling | Forward::Waiting { .. } | Forward::Unknown
                if forward =>
            {
                "open"
            }
            Forward::Calling | Forward::Unknown => "in doubt",
            Forward::Pending => "pending",
            Forward::Waiting { .. } => "waiting",
            Forward::Succeeded { .. } => "succeeded",
            Forward::Refused => "refused",
            Forward::Skipped => "skipped",
        };
        let undone = match &run.undo {
            Undo::Pending | Undo::Calling | Undo::Waiting { .. } => "open".to_owned(),
            settled => format!("{settled:?}"),
        };
        (did, undone, run.stuck.is_some(), run.recorded)
    });
    Remembered {
        direction: saga.direction().clone(),
        last_record: saga.last_record(),
        deadline: saga.deadline(),
        steps: steps.collect(),
    }
}

/// Feeds everything to `hasher` that decides how the saga goes on. Numbers of
/// durable records are all alike.
pub(crate) fn hash_future(saga: &Saga, now: Timestamp, durable: u64, hasher: &mut impl Hasher) {
    let number = |n: RecordNo| n.0.saturating_sub(durable);
    number(saga.last_record()).hash(hasher);
    saga.deadline().map(|at| at.since(now).0).hash(hasher);
    std::mem::discriminant(saga.direction()).hash(hasher);
    if let Direction::Back { decided, .. } = saga.direction() {
        number(*decided).hash(hasher);
    }
    for run in saga.steps() {
        std::mem::discriminant(&run.forward).hash(hasher);
        if let Forward::Waiting { until } = run.forward {
            until.since(now).0.hash(hasher);
        }
        std::mem::discriminant(&run.undo).hash(hasher);
        if let Undo::Waiting { until } = run.undo {
            until.since(now).0.hash(hasher);
        }
        let numbers = (run.attempts, run.undo_attempts, number(run.recorded));
        let doubts = (run.may_have_run, run.stuck.is_some());
        (numbers, doubts, run.quiet_at.since(now).0).hash(hasher);
    }
}
