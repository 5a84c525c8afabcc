//! Live sagas in one view: every state and everything that a caller or anybody
//! else can say, as checked in at `tests/golden/live.txt`; their records at
//! `tests/golden/live_records.json`.

use std::fmt::Write as _;

use amends_core::answer::Answer;
use amends_core::id::Generation;
use amends_core::saga::{
    Command, Decision, Effect, LiveCommand, LiveStart, LiveStep, Phase, Record, Saga, apply,
    available_actions, decide, decide_in_place, replay_live,
};
use amends_core::time::{Millis, Timestamp};

use super::sketch::{
    asks, asks_for, begun, completes, fails, live_step, said, start, unfenced_step,
};
use crate::golden::golden;
use crate::sketch::{Run, no, ok, unknown};

fn cancel(run: &mut Run) {
    let reason = "no longer wanted".to_owned();
    run.command(Command::Cancel { reason }).unwrap();
}

fn ask(run: &mut Run, name: &str) {
    run.command(asks(name)).unwrap();
}

/// A name, how to get there.
type State = (&'static str, fn(&mut Run));

const STATES: &[State] = &[
    ("begun", |_| {}),
    ("past the deadline", |run| {
        run.now = run.now + Millis(60_000);
    }),
    ("silent for too long", |run| {
        run.now = run.now + Millis(5_000);
    }),
    ("calling", |run| ask(run, "a")),
    ("waiting", |run| {
        ask(run, "a");
        run.answer("a", unknown());
    }),
    ("succeeded so far", |run| {
        ask(run, "a");
        run.answer("a", ok());
    }),
    ("refused", |run| {
        ask(run, "a");
        run.answer("a", no());
    }),
    ("parallel, one refused", |run| {
        ask(run, "a");
        ask(run, "b");
        run.answer("b", no());
    }),
    ("no proof", |run| {
        ask(run, "a");
        run.answer("a", unknown());
        run.sleep();
        run.answer("a", unknown());
    }),
    ("unfenced, calling", |run| {
        run.command(asks_for("a", unfenced_step("a"))).unwrap();
    }),
    ("unfenced, turned back", |run| {
        run.command(asks_for("a", unfenced_step("a"))).unwrap();
        cancel(run);
    }),
    ("undoing", |run| {
        ask(run, "a");
        run.answer("a", ok());
        run.command(fails(None)).unwrap();
    }),
    ("undo stuck", |run| {
        ask(run, "a");
        run.answer("a", ok());
        cancel(run);
        run.answer("a", no());
    }),
    ("ended well", |run| {
        ask(run, "a");
        run.answer("a", ok());
        run.command(completes()).unwrap();
    }),
    ("ended well without a step", |run| {
        run.command(completes()).unwrap();
    }),
    ("compensated", |run| run.command(fails(None)).unwrap()),
    ("forced", |run| {
        let (operator, reason) = ("kim".into(), "test".into());
        run.command(Command::Force { operator, reason }).unwrap();
    }),
];

fn commands(saga: &Saga) -> Vec<(String, Command)> {
    let (operator, reason) = ("kim".to_owned(), "why".to_owned());
    let differs = LiveStep {
        timeout: Millis(2),
        ..live_step("a")
    };
    let generation = Generation(2);
    let mut all: Vec<(String, Command)> = [
        ("resume", Command::Resume { generation }),
        ("wake", Command::Wake),
        ("heartbeat", said(LiveCommand::Heartbeat)),
        ("asks for a", asks("a")),
        ("asks for another a", asks_for("a", differs)),
        ("asks for z", asks("z")),
        ("completes", completes()),
        ("fails", fails(None)),
        ("fails because of a", fails(Some("a"))),
        (
            "cancel",
            Command::Cancel {
                reason: reason.clone(),
            },
        ),
        ("retry", Command::Retry),
        ("force", Command::Force { operator, reason }),
    ]
    .into_iter()
    .map(|(what, command)| (what.to_owned(), command))
    .collect();
    for (step, run) in saga.steps().iter().enumerate() {
        for (phase, attempt) in [(Phase::Do, run.attempts), (Phase::Undo, run.undo_attempts)] {
            for (what, answer) in [
                ("succeeded", ok()),
                ("refused", no()),
                ("in progress", Answer::InProgress { retry_after: None }),
                ("unknown", unknown()),
            ] {
                let name = &saga.definition().steps()[step].name;
                let answered = Command::Answered {
                    step,
                    phase,
                    attempt,
                    answer,
                    took: None,
                };
                all.push((format!("{phase:?} {name} {what}"), answered));
            }
        }
    }
    all
}

fn outcome(decision: &Decision) -> String {
    let records = decision.records.iter().map(|record| {
        let step = record.event.step();
        let step = step.map(|step| format!(" {step}")).unwrap_or_default();
        let noise = if record.is_stored() { "" } else { "~" };
        format!("{noise}{}{step}", record.event.kind())
    });
    let effects = decision.effects.iter().map(|effect| match effect {
        Effect::Accept { after } => format!("accept after {}", after.0),
        Effect::Call { after, call } => {
            let Phase::Do = call.phase else {
                return format!("Undo {} #{} after {}", call.name, call.attempt, after.0);
            };
            format!("Do {} #{} after {}", call.name, call.attempt, after.0)
        }
        // How long is up to the jitter.
        Effect::Wake { .. } => "wake".to_owned(),
        Effect::Finish { after } => format!("finish after {}", after.0),
    });
    let join = |parts: Vec<String>| parts.join(", ");
    format!("{} ; {}", join(records.collect()), join(effects.collect()))
}

#[test]
fn every_state_and_everything_that_can_be_said() {
    let mut found = String::new();
    for (name, reach) in STATES {
        let mut run = begun(LiveStart {
            deadline: Some(Millis(60_000)),
            ..start()
        });
        reach(&mut run);
        let saga = &run.saga;
        writeln!(found, "== {name}: {}", saga.public_state().as_str()).unwrap();
        for action in available_actions(saga) {
            let why = action.disabled.map_or("yes", |why| why.code());
            let step = action.step.map(|step| format!(" {step}"));
            let step = step.unwrap_or_default();
            writeln!(found, "may {:?}{step}: {why}", action.action).unwrap();
        }
        for (what, command) in commands(saga) {
            // Only a saga that was read from its log is ever resumed.
            let told = replay_live(&run.log).unwrap();
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
    golden("live.txt", &found);
}

#[test]
fn every_record_of_its_own_is_stored_as_ever_and_comes_back() {
    let deadline = Some(Millis(60_000));
    let mut run = begun(LiveStart {
        deadline,
        ..start()
    });
    ask(&mut run, "a");
    run.answer("a", ok());
    let plain = LiveStep {
        compensation: None,
        ..unfenced_step("b")
    };
    run.command(asks_for("b", plain)).unwrap();
    let bare = LiveStart {
        key: String::new(),
        caller: String::new(),
        ..start()
    };
    run.log.extend(begun(bare).log);
    let mut found = String::new();
    for record in &run.log {
        let at = Timestamp(1_700_000_000_000);
        let record = Record::new(at, record.event.clone());
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
        found.push_str(&text);
        found.push('\n');
    }
    golden("live_records.json", &found);
}
