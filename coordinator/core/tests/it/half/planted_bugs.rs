//! Each weakness that half messages have elsewhere, planted: it must be found, and
//! found for what it is.

use super::small_worlds::{CASE, TRUTHS};
use super::world::{Bug, Case, World};
use crate::world::explore::{Explored, walk_from};

fn caught(bug: Bug, expected: &str) {
    let mut found = Vec::new();
    for truth in TRUTHS {
        let case = Case {
            truth,
            verdicts: 2,
            crashes: 1,
            faults: 1,
            bug,
            ..CASE
        };
        if let Err(wrong) = walk_from(World::begin(case), &mut Explored::default()) {
            assert!(!wrong.history.is_empty(), "{wrong:?}");
            found.push(wrong.problem);
        }
    }
    let matches = found.iter().any(|problem| problem.contains(expected));
    assert!(matches, "{bug:?}: expected {expected:?}, found {found:?}");
}

#[test]
fn a_second_commit_that_delivers_again() {
    caught(Bug::SecondCommitDelivers, "visible twice");
}

#[test]
fn a_commit_after_a_rollback_that_delivers() {
    caught(Bug::LastVerdictWins, "did not stand");
}

#[test]
fn checks_that_go_on_after_the_verdict() {
    caught(Bug::ChecksGoOn, "did not stand");
}

#[test]
fn a_check_that_nobody_was_asked() {
    caught(Bug::CountsUnasked, "counts that nobody was asked");
}

#[test]
fn a_crash_between_verdict_and_visibility() {
    caught(Bug::TwoWrites, "committed, and never visible");
}

#[test]
fn notes_of_a_coordinator_that_was_taken_over_from() {
    caught(Bug::NoGeneration, "a check was forgotten");
}
