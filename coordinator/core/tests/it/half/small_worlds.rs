//! Every order of verdicts, checks, answers, crashes and time.

use amends_core::message::half::{AfterLastCheck, Verdict};

use super::world::{Bug, Case, World};
use crate::small_worlds::report;
use crate::world::explore::{Explored, walk_from};

pub(super) const CASE: Case = Case {
    truth: Some(Verdict::Commit),
    after_last: AfterLastCheck::Keep,
    verdicts: 0,
    operators: 0,
    crashes: 0,
    faults: 0,
    bug: Bug::None,
};

/// All that is known of the local transaction.
pub(super) const TRUTHS: [Option<Verdict>; 3] =
    [Some(Verdict::Commit), Some(Verdict::Rollback), None];

fn must_hold(case: Case, explored: &mut Explored) {
    if let Err(wrong) = walk_from(World::begin(case), explored) {
        panic!("{}\n{case:?}\nhistory: {:#?}", wrong.problem, wrong.history);
    }
}

#[test]
fn in_all_orders() {
    let mut explored = Explored::default();
    for truth in TRUTHS {
        for after_last in [AfterLastCheck::Keep, AfterLastCheck::Discard] {
            for (verdicts, operators, crashes, faults) in [
                (2, 0, 1, 1),
                (1, 1, 1, 1),
                (0, 1, 2, 1),
                (2, 1, 1, 0),
                (3, 0, 0, 0),
            ] {
                let case = Case {
                    truth,
                    after_last,
                    verdicts,
                    operators,
                    crashes,
                    faults,
                    ..CASE
                };
                must_hold(case, &mut explored);
            }
        }
    }
    let seen = [
        "a check came after the verdict",
        "a check came too late",
        "a verdict was repeated",
        "discarded",
        "stuck",
        "the opposite was refused",
    ];
    report("half messages", &explored, 10_000, &seen);
}
