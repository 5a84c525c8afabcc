//! Small programs in every world: up to three steps, one after the other, at the
//! same time and mixed, with all answers, a crash that leaves any part of the log, and a
//! caller that fails, is cancelled, falls silent or dies anywhere.

use std::rc::Rc;

use super::world::caller::Program;
use super::world::state::{Budget, World};
use crate::small_worlds::report;
use crate::world::explore::{Explored, walk_from};

const CRASH: Budget = Budget {
    crashes: 1,
    faults: 0,
    commands: 0,
    deaths: 0,
};
const CRASH_AND_COMMAND: Budget = Budget {
    commands: 1,
    ..CRASH
};
const FAULT: Budget = Budget {
    crashes: 0,
    faults: 2,
    commands: 1,
    deaths: 0,
};
const CRASH_AND_DEATH: Budget = Budget { deaths: 1, ..CRASH };
const EVERYTHING: Budget = Budget {
    crashes: 1,
    faults: 1,
    commands: 1,
    deaths: 1,
};

pub(crate) fn program(waves: &[&[usize]], unfenced: &[usize]) -> Rc<Program> {
    Rc::new(Program {
        waves: waves.iter().map(|wave| wave.to_vec()).collect(),
        unfenced: unfenced.to_vec(),
    })
}

fn must_hold(program: &Rc<Program>, budget: Budget, explored: &mut Explored) {
    if let Err(wrong) = walk_from(World::begin(program, budget, None), explored) {
        panic!(
            "{}\n{program:?}\nhistory: {:#?}",
            wrong.problem, wrong.history
        );
    }
}

#[test]
fn one_and_two_steps_with_everything_that_can_go_wrong() {
    let mut explored = Explored::default();
    for waves in [&[[0].as_slice()][..], &[&[0], &[1]], &[&[0, 1]]] {
        for unfenced in [&[][..], &[0]] {
            must_hold(&program(waves, unfenced), EVERYTHING, &mut explored);
        }
    }
    let rare = [
        "undone before it arrived",
        "asked for and forgotten in a crash, or too late",
        "heard before it was durable",
        "wanted to complete too late",
        "the caller was lost",
        "cancelled",
        "failed by its caller",
    ];
    report("live, one and two steps", &explored, 10_000, &rare);
}

#[test]
fn three_steps_with_a_crash_after_each_record() {
    let mut explored = Explored::default();
    // Fourteen million worlds, which take minutes without optimisation.
    let full_size = std::env::var_os("AMENDS_TEST_FULL_SIZE").is_some_and(|it| it == "1");
    for waves in [
        &[[0].as_slice(), &[1], &[2]][..],
        &[&[0, 1], &[2]],
        &[&[0], &[1, 2]],
        &[&[0, 1, 2]],
    ] {
        let budgets: &[Budget] = match full_size {
            true => &[CRASH_AND_COMMAND, CRASH_AND_DEATH],
            false => &[CRASH],
        };
        for budget in budgets {
            must_hold(&program(waves, &[]), *budget, &mut explored);
        }
    }
    let in_turn = program(&[&[0], &[1], &[2]], &[]);
    must_hold(&in_turn, CRASH_AND_DEATH, &mut explored);
    let rare = ["the caller was lost", "heard before it was durable"];
    report("live, three steps, crashes", &explored, 10_000, &rare);
}

#[test]
fn three_steps_with_lost_calls_and_answers() {
    let mut explored = Explored::default();
    for (waves, unfenced) in [
        (&[[0].as_slice(), &[1], &[2]][..], &[][..]),
        (&[&[0, 1], &[2]], &[]),
        (&[&[0], &[1, 2]], &[1]),
    ] {
        must_hold(&program(waves, unfenced), FAULT, &mut explored);
    }
    let rare = ["undone before it arrived", "a step proved nothing"];
    report("live, three steps, faults", &explored, 10_000, &rare);
}
