//! The judges are worth something only if they catch what they are there for.

use super::small_worlds::program;
use super::world::state::{Budget, Bug, World};
use crate::world::explore::{Explored, walk_from};

fn caught(bug: Bug, expected: &str) {
    let budget = Budget {
        crashes: 1,
        faults: 1,
        commands: 0,
        deaths: 1,
    };
    let mut found = Vec::new();
    for waves in [&[[0].as_slice(), &[1]][..], &[&[0, 1]]] {
        let program = program(waves, &[]);
        let sound = World::begin(&program, budget, None);
        let sound = walk_from(sound, &mut Explored::default());
        assert!(sound.is_ok(), "without the bug: {sound:?}");
        let spoilt = World::begin(&program, budget, Some(bug));
        if let Err(wrong) = walk_from(spoilt, &mut Explored::default()) {
            assert!(!wrong.history.is_empty(), "{wrong:?}");
            found.push(wrong.problem);
        }
    }
    let matches = found.iter().any(|problem| problem.contains(expected));
    assert!(matches, "{bug:?}: expected {expected:?}, found {found:?}");
}

#[test]
fn a_step_called_before_it_is_durable() {
    caught(Bug::AfterBegin, "is called before it is durable");
}

#[test]
fn an_order_that_was_not_kept() {
    caught(Bug::NoOrder, "which was asked for after it");
}

#[test]
fn turning_back_that_forgets_what_was_in_flight() {
    caught(Bug::DropInDoubt, "s0 was undone before s1");
}

#[test]
fn an_end_told_too_early() {
    caught(Bug::EndTooEarly, "told ");
}

#[test]
fn a_caller_that_nobody_misses() {
    caught(Bug::NoLease, "nothing can happen, but");
}
