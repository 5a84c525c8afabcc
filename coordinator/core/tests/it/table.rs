//! The whole machine in one view: every state and every command, with what
//! comes of it, as checked in at `tests/golden/saga.txt`.

use std::fmt::Write as _;

use amends_core::answer::Answer;
use amends_core::id::Generation;
use amends_core::payload::Payload;
use amends_core::saga::{
    Command, Decision, Effect, Event, Fencing, Phase, Saga, StepKind, apply, available_actions,
    decide, decide_in_place, replay,
};
use amends_core::time::Millis;

use crate::golden::golden;
use crate::sketch::{Run, compile, definition, no, ok, step, step_of_kind, unknown};

fn chain() -> Run {
    Run::begin(
        &compile(vec![step("a", &[]), step("b", &["a"])]),
        Payload::null(),
    )
}

fn unfenced() -> Run {
    let mut a = step("a", &[]);
    a.fencing = Fencing::None;
    Run::begin(&compile(vec![a]), Payload::null())
}

fn past_return() -> Run {
    let steps = vec![
        step_of_kind("pay", &[], StepKind::Pivot),
        step_of_kind("mail", &["pay"], StepKind::Retriable),
    ];
    Run::begin(&compile(steps), Payload::null())
}

fn cancel(run: &mut Run) {
    let reason = "no longer wanted".to_owned();
    run.command(Command::Cancel { reason }).unwrap();
}

/// A name, how to begin, how to get there.
type State = (&'static str, fn() -> Run, fn(&mut Run));

const STATES: &[State] = &[
    ("calling", chain, |_| {}),
    ("waiting", chain, |run| run.answer("a", unknown())),
    ("waiting, due", chain, |run| {
        run.answer("a", unknown());
        run.now = run.now + Millis(10_000);
    }),
    ("postponed", chain, |run| {
        run.answer("a", Answer::InProgress { retry_after: None });
    }),
    ("last attempt", chain, |run| {
        run.answer("a", unknown());
        run.sleep();
    }),
    ("second step", chain, |run| run.answer("a", ok())),
    ("past the deadline", dated, |run| {
        run.now = run.now + Millis(10_000);
    }),
    ("undoing", chain, |run| {
        run.answer("a", ok());
        run.answer("b", no());
    }),
    ("undoing what is in flight", chain, cancel),
    ("undo waits", chain, |run| {
        cancel(run);
        run.answer("a", unknown());
    }),
    ("undo stuck", chain, |run| {
        run.answer("a", ok());
        run.answer("b", no());
        run.answer("a", no());
    }),
    ("unfenced, turned back", unfenced, cancel),
    ("unfenced, quiet awaited", unfenced, |run| {
        cancel(run);
        run.answer("a", unknown());
    }),
    ("pivot calling", past_return, |_| {}),
    ("pivot stuck", past_return, |run| {
        run.answer("pay", unknown());
        run.sleep();
        run.answer("pay", unknown());
    }),
    ("retriable calling", past_return, |run| {
        run.answer("pay", ok());
    }),
    ("retriable stuck", past_return, |run| {
        run.answer("pay", ok());
        run.answer("mail", no());
    }),
    ("succeeded", past_return, |run| {
        run.answer("pay", ok());
        run.answer("mail", ok());
    }),
    ("compensated", chain, |run| run.answer("a", no())),
    ("forced", chain, |run| {
        let (operator, reason) = ("kim".into(), "test".into());
        run.command(Command::Force { operator, reason }).unwrap();
    }),
];

fn dated() -> Run {
    let mut saga = definition(vec![step("a", &[])]);
    saga.deadline = Some(Millis(500));
    let compiled = amends_core::saga::CompiledSaga::compile(saga).unwrap();
    Run::begin(&std::sync::Arc::new(compiled), Payload::null())
}

fn commands(saga: &Saga) -> Vec<(String, Command)> {
    let by = |reason: &str| ("kim".to_owned(), reason.to_owned());
    let mut all = vec![
        (
            "resume".into(),
            Command::Resume {
                generation: Generation(2),
            },
        ),
        ("wake".into(), Command::Wake),
        (
            "cancel".into(),
            Command::Cancel {
                reason: "why".into(),
            },
        ),
        ("retry".into(), Command::Retry),
    ];
    let first = saga.definition().steps()[0].name.to_string();
    for (step, reason) in [(first.as_str(), "why"), (first.as_str(), ""), ("z", "why")] {
        let (operator, reason) = by(reason);
        let what = format!("mark undone {step} {reason:?}");
        all.push((
            what,
            Command::MarkUndone {
                step: step.into(),
                operator,
                reason,
            },
        ));
    }
    for reason in ["why", " "] {
        let (operator, reason) = by(reason);
        all.push((
            format!("force {reason:?}"),
            Command::Force { operator, reason },
        ));
    }
    for (step, run) in saga.steps().iter().enumerate() {
        for (phase, now) in [(Phase::Do, run.attempts), (Phase::Undo, run.undo_attempts)] {
            for (what, answer) in [
                ("succeeded", ok()),
                ("refused", no()),
                ("in progress", Answer::InProgress { retry_after: None }),
                ("unknown", unknown()),
            ] {
                let name = &saga.definition().steps()[step].name;
                let what = format!("{phase:?} {name} {what}");
                all.push((
                    what,
                    Command::Answered {
                        step,
                        phase,
                        attempt: now,
                        answer,
                        took: None,
                    },
                ));
            }
            let stale = Command::Answered {
                step,
                phase,
                attempt: now + 1,
                answer: ok(),
                took: None,
            };
            all.push((format!("{phase:?} step {step}, other attempt"), stale));
        }
    }
    all
}

fn outcome(decision: &Decision) -> String {
    let records = decision.records.iter().map(|record| {
        let step = record
            .event
            .step()
            .map(|step| format!(" {step}"))
            .unwrap_or_default();
        let doubt = match &record.event {
            Event::TurnedBack { in_doubt, .. } => format!(" in doubt {in_doubt:?}"),
            _ => String::new(),
        };
        let noise = if record.is_stored() { "" } else { "~" };
        format!("{noise}{}{step}{doubt}", record.event.kind())
    });
    let effects = decision.effects.iter().map(|effect| match effect {
        Effect::Accept { after } => format!("accept after {}", after.0),
        Effect::Call { after, call } => {
            format!(
                "{:?} {} #{} after {}",
                call.phase, call.name, call.attempt, after.0
            )
        }
        // How long is up to the jitter.
        Effect::Wake { .. } => "wake".to_owned(),
        Effect::Finish { after } => format!("finish after {}", after.0),
    });
    let join = |parts: Vec<String>| parts.join(", ");
    format!("{} ; {}", join(records.collect()), join(effects.collect()))
}

#[test]
fn every_state_and_every_command() {
    let mut found = String::new();
    for (name, begin, reach) in STATES {
        let mut run = begin();
        reach(&mut run);
        let saga = &run.saga;
        writeln!(found, "== {name}: {}", saga.public_state().as_str()).unwrap();
        for action in available_actions(saga) {
            let step = action
                .step
                .map(|step| format!(" {step}"))
                .unwrap_or_default();
            let why = action.disabled.map_or("yes", |why| why.code());
            writeln!(found, "may {:?}{step}: {why}", action.action).unwrap();
        }
        for (what, command) in commands(saga) {
            // Only a saga that was read from its log is ever resumed.
            let told = replay(saga.definition(), &run.log).unwrap();
            let from = if what == "resume" { &told } else { saga };
            let mut after = from.clone();
            let in_place = decide_in_place(&mut after, command.clone(), run.now);
            let mut applied = from.clone();
            for record in in_place.iter().flat_map(|decision| &decision.records) {
                apply(&mut applied, record);
            }
            let (after, applied) = (format!("{after:?}"), format!("{applied:?}"));
            assert_eq!(
                after, applied,
                "{name}, {what}: what was decided is what it became"
            );
            let comes = match decide(from, command, run.now) {
                Ok(decision) => outcome(&decision),
                Err(rejected) => rejected.code().to_owned(),
            };
            writeln!(found, "{what} -> {comes}").unwrap();
        }
    }
    golden("saga.txt", &found);
}
