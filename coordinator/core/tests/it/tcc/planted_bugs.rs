//! The auditor is worth something only if it catches what it is there for:
//! each planted bug must be found, and found for what it is.

use std::rc::Rc;

use super::small_worlds::budget;
use super::world::case::{Case, Kind};
use super::world::planted::Bug;
use super::world::state::World;
use crate::world::explore::{Explored, walk_from};

fn caught(bug: Bug, expected: &str) {
    use Kind::{Caller, Coordinator, Nested};
    let families = [
        vec![vec![Coordinator]],
        vec![vec![Caller]],
        vec![vec![Coordinator, Coordinator]],
        vec![vec![Nested(1)], vec![Coordinator]],
    ];
    let mut found = Vec::new();
    for nodes in families {
        let case = Case::new(nodes, budget(1, 1, 0));
        let first = World::begin(&Rc::new(case.with_bug(bug)));
        if let Err(wrong) = walk_from(first, &mut Explored::default()) {
            assert!(!wrong.history.is_empty(), "{wrong:?}");
            found.push(wrong.problem);
        }
    }
    let matches = found.iter().any(|problem| problem.contains(expected));
    assert!(matches, "{bug:?}: expected {expected:?}, found {found:?}");
}

#[test]
fn calls_that_wait_only_for_the_beginning() {
    caught(
        Bug::AfterBegin,
        "is tried before its registration is durable",
    );
    caught(Bug::AfterBegin, "before that decision is durable");
}

#[test]
fn a_try_in_doubt_that_is_not_cancelled() {
    caught(Bug::ForgetUnknown, "ended as Compensated, but");
}

#[test]
fn a_lost_answer_taken_for_a_refusal() {
    caught(Bug::LostIsRefused, "ended as Compensated, but");
}

#[test]
fn a_lost_answer_taken_for_a_success() {
    caught(Bug::LostIsSuccess, "confirmed, but nothing is held");
}

#[test]
fn a_caller_that_reports_what_it_does_not_know() {
    caught(Bug::CallerGuesses, "confirmed, but nothing is held");
}

#[test]
fn a_confirm_that_is_left_out() {
    caught(Bug::SkipConfirm, "ended as Succeeded, but");
}

#[test]
fn one_branch_cancelled_while_the_other_is_confirmed() {
    caught(Bug::MixUp, "ended as Succeeded, but");
}

#[test]
fn a_decision_that_nobody_carries_out() {
    caught(Bug::NoSettle, "nothing can happen, but");
}

#[test]
fn a_refusal_that_is_quietly_retried() {
    caught(Bug::RetryRefused, "called again after it had refused");
}

#[test]
fn a_decision_told_to_a_child_before_it_is_durable() {
    caught(Bug::TellTooEarly, "although its parent did not, durably");
}

#[test]
fn a_prepared_child_that_cancels_by_itself() {
    caught(Bug::CancelPrepared, "cancels although its parent did not");
}

#[test]
fn a_deadline_that_counts_after_the_confirm() {
    caught(Bug::DeadlineAfterConfirm, "it decided twice");
}
