//! Small sagas in every world: all orders of up to four steps, each with all
//! answers, all orders of answers, and a crash that leaves any part of the log.
//!
//! A family is a set of cases with one budget of mishaps. What the budgets
//! leave out, the random sagas of [`crate::random_worlds`] visit now and then.

use amends_core::saga::StepKind;
use amends_core::time::Millis;

use crate::world::case::{Budget, Case, Step};
use crate::world::explore::{Explored, explore};
use crate::world::shapes::{lists, shapes};

const CRASH: Budget = Budget {
    crashes: 1,
    faults: 0,
    commands: 0,
};
const FAULT: Budget = Budget {
    crashes: 0,
    faults: 1,
    commands: 0,
};
const FAULTS: Budget = Budget {
    crashes: 0,
    faults: 2,
    commands: 0,
};
const CRASH_AND_FAULT: Budget = Budget {
    crashes: 1,
    faults: 1,
    commands: 0,
};
const CRASH_AND_FAULTS: Budget = Budget {
    crashes: 1,
    faults: 2,
    commands: 0,
};
const CRASHES: Budget = Budget {
    crashes: 2,
    faults: 1,
    commands: 0,
};
const COMMAND: Budget = Budget {
    crashes: 1,
    faults: 1,
    commands: 1,
};

/// Explores every shape of `len` steps, made into steps by `make`.
fn family(len: usize, budget: Budget, explored: &mut Explored, make: impl Fn(usize, Step) -> Step) {
    for shape in shapes(len) {
        let steps = shape.iter().enumerate();
        let steps = steps
            .map(|(ix, after)| make(ix, Step::new(after)))
            .collect();
        let case = Case::new(steps, budget).expect("a valid saga");
        must_hold(&case, explored);
    }
}

fn must_hold(case: &Case, explored: &mut Explored) {
    if let Err(wrong) = explore(case, explored) {
        panic!(
            "{}\nsteps: {:?}\nhistory: {:#?}",
            wrong.problem, case.steps, wrong.history
        );
    }
}

/// Prints what was seen and asks that it was enough.
pub(crate) fn report(name: &str, explored: &Explored, at_least: u64, rare: &[&str]) {
    #[allow(clippy::print_stdout, reason = "the number of worlds is a result")]
    {
        let (worlds, histories) = (explored.worlds, explored.histories);
        println!(
            "{name}: {worlds} worlds, {histories} histories; {:?}",
            explored.rare
        );
    }
    assert!(
        explored.worlds >= at_least,
        "{name}: only {} worlds",
        explored.worlds
    );
    for what in rare {
        assert!(
            explored.rare.contains_key(what),
            "{name}: {what:?} never happened"
        );
    }
}

#[test]
fn up_to_three_steps_with_consumer_logs() {
    let mut explored = Explored::default();
    for len in 1..=3 {
        for budget in [FAULTS, CRASH_AND_FAULT, CRASHES] {
            family(len, budget, &mut explored, |_, step| step);
        }
    }
    for len in 1..=2 {
        family(len, CRASH_AND_FAULTS, &mut explored, |_, step| step);
    }
    let rare = [
        "late do refused",
        "undone although its success was never recorded",
        "undone before it arrived",
        "answer came too late",
        "stuck",
        "cut between failure and turning back",
        "cut between failure and stuck",
        "cut between refusal and turning back",
        "cut after turning back",
        "cut before the end",
    ];
    report("up to three steps", &explored, 100_000, &rare);
}

#[test]
fn four_steps_with_consumer_logs() {
    let mut explored = Explored::default();
    for budget in [CRASH, FAULT] {
        family(4, budget, &mut explored, |_, step| step);
    }
    report("four steps", &explored, 100_000, &["late do refused"]);
}

#[test]
fn participants_without_consumer_logs() {
    let mut explored = Explored::default();
    for len in 1..=3 {
        for budget in [FAULTS, CRASH_AND_FAULT] {
            family(len, budget, &mut explored, |_, step| step.unfenced());
        }
    }
    family(2, CRASHES, &mut explored, |_, step| step.unfenced());
    family(4, CRASH, &mut explored, |ix, step| {
        if ix % 2 == 0 { step.unfenced() } else { step }
    });
    report("without consumer logs", &explored, 50_000, &["stuck"]);
}

#[test]
fn steps_that_consume_what_others_answered() {
    let mut explored = Explored::default();
    for len in 2..=3 {
        for budget in [CRASH_AND_FAULT, CRASHES] {
            family(len, budget, &mut explored, |_, step| consuming(step));
        }
    }
    family(4, CRASH, &mut explored, |_, step| consuming(step));
    report("consuming", &explored, 50_000, &["cut after turning back"]);
}

fn consuming(step: Step) -> Step {
    if step.after.is_empty() {
        step
    } else {
        step.consuming()
    }
}

#[test]
fn steps_without_an_undo_among_others() {
    let mut explored = Explored::default();
    for len in 1..=4 {
        let budget = if len < 4 { CRASH_AND_FAULT } else { CRASH };
        for bare in 0..len {
            family(len, budget, &mut explored, |ix, step| {
                if ix == bare {
                    step.without_undo()
                } else {
                    step
                }
            });
        }
    }
    report("without an undo", &explored, 50_000, &[]);
}

#[test]
fn pivots_and_retriable_steps() {
    let kinds = [StepKind::Compensable, StepKind::Pivot, StepKind::Retriable];
    let mut explored = Explored::default();
    for len in 1..=4 {
        let budgets: &[Budget] = if len < 4 {
            &[FAULTS, CRASH_AND_FAULT]
        } else {
            &[CRASH, FAULT]
        };
        for (shape, kinds) in shapes(len).iter().flat_map(|shape| {
            lists(&kinds, len)
                .into_iter()
                .map(move |kinds| (shape, kinds))
        }) {
            if kinds.iter().all(|kind| *kind == StepKind::Compensable) {
                continue;
            }
            let steps = || {
                shape
                    .iter()
                    .zip(&kinds)
                    .map(|(after, kind)| Step::new(after).of_kind(*kind))
            };
            for budget in budgets {
                for deadline in [None, Some(Millis(500))] {
                    if let Some(case) = Case::with_deadline(steps().collect(), *budget, deadline) {
                        must_hold(&case, &mut explored);
                    }
                }
            }
        }
    }
    let rare = ["deadline passed during the pivot", "stuck"];
    report("pivots and retriable steps", &explored, 50_000, &rare);
}

#[test]
fn deadlines_and_commands_at_any_moment() {
    let mut explored = Explored::default();
    for len in 1..=3 {
        let budget = if len < 3 { COMMAND } else { CRASH_AND_FAULT };
        for (shape, unfenced) in shapes(len)
            .iter()
            .flat_map(|shape| [false, true].map(move |unfenced| (shape, unfenced)))
        {
            let steps = shape.iter().map(|after| Step::new(after));
            let steps = steps.map(|step| if unfenced { step.unfenced() } else { step });
            let case = Case::with_deadline(steps.collect(), budget, Some(Millis(1_500)));
            must_hold(&case.expect("a valid saga"), &mut explored);
        }
    }
    report(
        "deadlines and commands",
        &explored,
        50_000,
        &["undone by hand"],
    );
}
