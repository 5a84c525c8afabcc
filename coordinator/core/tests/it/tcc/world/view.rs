//! A TCC seen in two ways: what of it must survive a crash, and all that
//! decides its future, with times counted from now.

use std::hash::{DefaultHasher, Hash, Hasher};

use amends_core::id::RecordNo;
use amends_core::tcc::{Ask, Settle, Stage, Tcc, Tried};
use amends_core::time::Timestamp;

use super::crash::key;
use super::moves::Move;
use super::state::{Sent, World};
use crate::world::explore::Explorable;
use crate::world::rare::Rare;

/// What the log tells of a TCC. A call in flight leaves no trace there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    stage: String,
    last_record: RecordNo,
    deadline: Timestamp,
    branches: Vec<(String, &'static str, String, bool, RecordNo)>,
}

pub(crate) fn remembered(tcc: &Tcc) -> Remembered {
    let stage = match tcc.stage() {
        Stage::Prepared { record, .. } => format!("prepared {record:?}"),
        other => format!("{other:?}"),
    };
    let branches = tcc.branches().iter().map(|run| {
        let tried = match run.tried {
            Tried::Pending | Tried::Calling | Tried::Waiting { .. } => "open",
            Tried::Succeeded { .. } => "succeeded",
            Tried::Refused => "refused",
            Tried::Unknown => "unknown",
        };
        let settle = match &run.settle {
            Settle::Pending | Settle::Calling | Settle::Waiting { .. } => "open".to_owned(),
            settled => format!("{settled:?}"),
        };
        let name = run.registration.name.to_string();
        (name, tried, settle, run.stuck.is_some(), run.registered)
    });
    Remembered {
        stage,
        last_record: tcc.last_record(),
        deadline: tcc.deadline(),
        branches: branches.collect(),
    }
}

/// Feeds everything to `hasher` that decides how the TCC goes on. Numbers of
/// durable records are all alike.
fn hash_future(tcc: &Tcc, now: Timestamp, durable: u64, hasher: &mut impl Hasher) {
    let number = |n: RecordNo| n.0.saturating_sub(durable);
    number(tcc.last_record()).hash(hasher);
    tcc.deadline().since(now).0.hash(hasher);
    std::mem::discriminant(tcc.stage()).hash(hasher);
    if let Some(decided) = tcc.decided() {
        (decided.verdict as u8, number(decided.record)).hash(hasher);
    }
    if let Stage::Ended { outcome, .. } = tcc.stage() {
        std::mem::discriminant(outcome).hash(hasher);
    }
    if let Stage::Prepared {
        record,
        ask,
        asked,
        heard,
    } = tcc.stage()
    {
        (number(*record), asked, heard).hash(hasher);
        std::mem::discriminant(ask).hash(hasher);
        if let Ask::Waiting { until } = ask {
            until.since(now).0.hash(hasher);
        }
    }
    for run in tcc.branches() {
        std::mem::discriminant(&run.tried).hash(hasher);
        if let Tried::Waiting { until } = run.tried {
            until.since(now).0.hash(hasher);
        }
        std::mem::discriminant(&run.settle).hash(hasher);
        if let Settle::Waiting { until } = run.settle {
            until.since(now).0.hash(hasher);
        }
        let attempts = (run.attempts, run.settle_attempts);
        let forgiven = (run.forgiven, run.settle_forgiven);
        let rest = (run.stuck.is_some(), number(run.registered));
        (attempts, forgiven, rest).hash(hasher);
    }
}

impl Explorable for World {
    type Move = Move;

    fn moves(&self) -> Vec<Move> {
        self.possible()
    }

    fn make(&mut self, what: Move, rare: &mut Rare) -> Result<bool, String> {
        self.happen(what, rare)
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for here in &self.nodes {
            here.is_some().hash(&mut hasher);
            let Some(here) = here else { continue };
            hash_future(&here.tcc, self.now, here.durable, &mut hasher);
            if self.left.crashes > 0 {
                for cut in &here.cuts {
                    hash_future(cut, self.now, here.durable, &mut hasher);
                }
            }
            for number in here.audit.numbers() {
                let number = number.map(|n| n.saturating_sub(here.durable));
                number.hash(&mut hasher);
            }
            here.audit.said_no.hash(&mut hasher);
        }
        for flight in &self.calls {
            let attempt = match &flight.sent {
                Sent::Call(call) => call.attempt,
                Sent::Tell(tell) => tell.attempt,
                Sent::Ask => 0,
            };
            let durable = self.node(flight.node).durable;
            let after = flight.after.saturating_sub(durable);
            (key(flight), attempt, flight.heard, flight.delivered, after).hash(&mut hasher);
        }
        (&self.participants, self.left).hash(&mut hasher);
        hasher.finish()
    }

    fn note(&self, rare: &mut Rare) -> Result<(), String> {
        self.judge(rare)
    }

    fn judge_last(&self) -> Result<(), String> {
        self.judge_last_world()
    }
}
