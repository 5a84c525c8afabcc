//! Larger families, one random history each, before the same auditor.

use std::rc::Rc;

use proptest::prelude::*;
use proptest::test_runner::Config;

use super::world::case::{Budget, Case, Kind};
use super::world::moves::Move;
use super::world::state::World;
use crate::world::explore::Explorable as _;
use crate::world::rare::Rare;

const MAX_BRANCHES: usize = 6;
/// No history is longer: what may go wrong is bounded by the budget.
const MAX_MOVES: usize = 2_000;

/// Up to three TCCs, each but the first under the one before or under the first.
fn families() -> impl Strategy<Value = Vec<Vec<Kind>>> {
    let one = prop::collection::vec(any::<bool>(), 0..=MAX_BRANCHES);
    let nodes = prop::collection::vec(one, 1..=3);
    (nodes, any::<bool>(), any::<u8>()).prop_map(|(drawn, deep, at)| {
        let kind = |own| if own { Kind::Caller } else { Kind::Coordinator };
        let kinds = |drawn: Vec<bool>| drawn.into_iter().map(kind).collect();
        let mut nodes: Vec<Vec<Kind>> = drawn.into_iter().map(kinds).collect();
        for child in 1..nodes.len() {
            let parent = if deep { child - 1 } else { 0 };
            let at = usize::from(at) % (nodes[parent].len() + 1);
            nodes[parent].insert(at, Kind::Nested(child));
        }
        nodes
    })
}

/// Walks one history, `choices` deciding among the moves; once they are used
/// up nothing goes wrong any more and everything has to end.
fn walk(case: &Case, choices: &[u16]) -> Result<(), String> {
    let mut rare = Rare::new();
    let mut world = World::begin(&Rc::new(case.clone()))?;
    for step in 0..MAX_MOVES {
        let calm = step >= choices.len();
        if calm {
            world.left = Budget::default();
        }
        let moves = world.moves();
        if moves.is_empty() {
            break;
        }
        let chosen = choices
            .get(step)
            .map_or(step, |choice| usize::from(*choice))
            % moves.len();
        let mut next = world.clone();
        if !matches!(moves[chosen], Move::Force { .. }) && next.make(moves[chosen], &mut rare)? {
            next.judge(&mut rare)?;
            world = next;
        }
    }
    world.judge_last_world()
}

proptest! {
    #![proptest_config(Config { cases: 3_000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn random_families_in_random_worlds(
        nodes in families(),
        choices in prop::collection::vec(any::<u16>(), 0..150),
        budget in (0..4_u8, 0..8_u8, 0..3_u8),
    ) {
        let (crashes, faults, commands) = budget;
        let budget = Budget { crashes, faults, commands };
        let walked = walk(&Case::new(nodes, budget), &choices);
        prop_assert!(walked.is_ok(), "{}", walked.unwrap_err());
    }
}
