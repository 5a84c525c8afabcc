//! The auditor is worth something only if it catches what it is there for:
//! each planted bug must be found, and found for what it is.

use crate::world::case::{Budget, Case, Step};
use crate::world::explore::{Explored, explore};
use crate::world::planted::Bug;

fn caught(bug: Bug, expected: &str) {
    let chain = vec![Step::new(&[]), Step::new(&[0]).consuming(), Step::new(&[1])];
    let side_by_side = vec![Step::new(&[]), Step::new(&[])];
    let unfenced = vec![Step::new(&[]).unfenced(), Step::new(&[]).unfenced()];
    let budget = Budget {
        crashes: 1,
        faults: 2,
        commands: 0,
    };
    let mut found = Vec::new();
    for steps in [chain, side_by_side, unfenced] {
        let case = Case::new(steps, budget).expect("a valid saga");
        let sound = explore(&case, &mut Explored::default());
        assert!(sound.is_ok(), "without the bug: {sound:?}");
        if let Err(wrong) = explore(&case.with_bug(bug), &mut Explored::default()) {
            assert!(
                !wrong.history.is_empty() || bug.shows_at_once(),
                "{wrong:?}"
            );
            found.push(wrong.problem);
        }
    }
    let matches = found.iter().any(|problem| problem.contains(expected));
    assert!(matches, "{bug:?}: expected {expected:?}, found {found:?}");
}

#[test]
fn turning_back_that_forgets_what_was_in_flight() {
    caught(Bug::DropInDoubt, "ended as Compensated, but");
}

#[test]
fn effects_that_wait_for_nothing() {
    caught(Bug::AfterZero, "before the saga is durable");
}

#[test]
fn effects_that_wait_only_for_the_beginning() {
    caught(Bug::AfterBegin, "before turning back is durable");
    caught(Bug::AfterBegin, "which may be forgotten");
}

#[test]
fn an_undo_that_is_left_out() {
    caught(Bug::SkipUndo, "ended as Compensated, but");
}

#[test]
fn undos_in_forward_order() {
    caught(Bug::UndoForwards, "was undone before");
}

#[test]
fn a_step_called_after_turning_back() {
    caught(Bug::DoAfterTurnBack, "after the saga turned back");
}

#[test]
fn a_lost_answer_taken_for_a_refusal() {
    caught(Bug::LostIsRefused, "ended as Compensated, but");
}

#[test]
fn a_missing_consumer_log_taken_for_one() {
    caught(Bug::NoFence, "may still be running");
}

#[test]
fn a_saga_that_stops_half_way() {
    caught(Bug::NoUndo, "nothing can happen");
}

#[test]
fn a_step_that_does_not_wait_for_the_ones_before() {
    caught(Bug::DoTooEarly, "is not in effect");
}
