//! Larger sagas, one random history each, before the same auditor.

use std::rc::Rc;

use amends_core::saga::StepKind;
use amends_core::time::Millis;
use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::world::case::{Budget, Case, Step};
use crate::world::moves::Move;
use crate::world::rare::Rare;
use crate::world::state::World;

const MAX_STEPS: usize = 12;
/// No history is longer: what may go wrong is bounded by the budget.
const MAX_MOVES: usize = 2_000;

/// Compensable steps, then perhaps a pivot, then retriable ones; edges at random.
fn sagas() -> impl Strategy<Value = Vec<Step>> {
    let one = (any::<u16>(), any::<bool>(), any::<bool>(), 0..10_u8);
    let compensable = prop::collection::vec(one, 1..=MAX_STEPS - 3);
    (compensable, any::<bool>(), 0..=2_usize).prop_map(|(drawn, pivot, retriable)| {
        let mut steps: Vec<Step> = Vec::new();
        for (ix, (edges, unfenced, consumes, bare)) in drawn.into_iter().enumerate() {
            let after: Vec<usize> = (0..ix)
                .filter(|earlier| edges >> earlier & 1 == 1)
                .collect();
            let mut step = Step::new(&after);
            step = if unfenced { step.unfenced() } else { step };
            step = if consumes && ix > 0 && !after.is_empty() {
                step.consuming()
            } else {
                step
            };
            steps.push(if bare == 0 { step.without_undo() } else { step });
        }
        if pivot {
            let all: Vec<usize> = (0..steps.len()).collect();
            steps.push(Step::new(&all).of_kind(StepKind::Pivot));
        }
        let all: Vec<usize> = (0..steps.len()).collect();
        for _ in 0..retriable {
            steps.push(Step::new(&all).of_kind(StepKind::Retriable));
        }
        steps
    })
}

/// Walks one history, `choices` deciding among the moves; once they are used
/// up nothing goes wrong any more and the saga has to end.
fn walk(case: &Case, choices: &[u16]) -> Result<Rare, String> {
    let mut rare = Rare::new();
    let mut world = World::begin(&Rc::new(case.clone()))?;
    for step in 0..MAX_MOVES {
        let calm = step >= choices.len();
        if calm {
            world.left = Budget::default();
        }
        let moves = world.moves();
        if moves.is_empty() || calm && world.end().is_some() {
            break;
        }
        let chosen = choices
            .get(step)
            .map_or(0, |choice| usize::from(*choice) % moves.len());
        let what = match moves[chosen] {
            // Whatever is forced ends there and shows nothing.
            Move::Force => continue,
            what => what,
        };
        let mut next = world.clone();
        if next.make(what, &mut rare)? {
            world = next;
        } else {
            world.left.commands -= 1;
        }
    }
    world.judge_log()?;
    match world.end() {
        Some(_) => Ok(rare),
        None => Err(format!("it does not end: {:?}", world.saga)),
    }
}

proptest! {
    #![proptest_config(Config { cases: 3_000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn random_sagas_in_random_worlds(
        steps in sagas(),
        choices in prop::collection::vec(any::<u16>(), 0..120),
        deadline in prop::option::of(1..3_000_u64),
        budget in (0..4_u8, 0..8_u8, 0..3_u8),
    ) {
        let (crashes, faults, commands) = budget;
        let budget = Budget { crashes, faults, commands };
        let case = Case::with_deadline(steps, budget, deadline.map(Millis)).expect("a valid saga");
        let walked = walk(&case, &choices);
        prop_assert!(walked.is_ok(), "{}", walked.unwrap_err());
    }
}
