//! The whole machine in one view: every state and every command, with what
//! comes of it, as checked in at `tests/golden/tcc.txt`.

use std::fmt::Write as _;

use amends_core::answer::Answer;
use amends_core::id::Generation;
use amends_core::payload::Payload;
use amends_core::tcc::{
    Command, Decision, Effect, Phase, Standing, Tcc, Work, apply, available_actions, decide,
    decide_in_place, replay,
};
use amends_core::time::Millis;
use serde_json::json;

use super::sketch::{
    Run, branch, gid, nested_branch, nested_start, no, ok, own_branch, start, unknown,
};
use crate::golden::golden;

fn one() -> Run {
    Run::with(&["a"])
}

fn tried() -> Run {
    Run::tried(&["a"])
}

fn own() -> Run {
    let mut run = Run::begin(start());
    run.register(own_branch("a")).unwrap();
    run
}

fn parent() -> Run {
    let mut run = Run::begin(start());
    run.register(nested_branch("a", "c")).unwrap();
    run
}

fn child() -> Run {
    let mut run = Run::begin(nested_start());
    run.register(branch("a")).unwrap();
    run.answer("a", ok());
    run
}

fn confirm(run: &mut Run) {
    run.command(Command::Confirm).unwrap();
}

fn cancel(run: &mut Run) {
    run.cancel().unwrap();
}

fn vote(run: &mut Run) {
    let (branch, child) = ("a".to_owned(), gid("c"));
    run.command(Command::Vote { branch, child }).unwrap();
}

/// A name, how to begin, how to get there.
type State = (&'static str, fn() -> Run, fn(&mut Run));

const STATES: &[State] = &[
    ("empty", || Run::begin(start()), |_| {}),
    ("trying", one, |_| {}),
    ("try waits", one, |run| run.answer("a", unknown())),
    ("try due", one, |run| {
        run.answer("a", unknown());
        run.now = run.now + Millis(10_000);
    }),
    ("try postponed", one, |run| {
        run.answer("a", Answer::InProgress { retry_after: None });
    }),
    ("last attempt", one, |run| {
        run.answer("a", unknown());
        run.sleep();
    }),
    ("try unknown", one, |run| {
        run.answer("a", unknown());
        run.sleep();
        run.answer("a", unknown());
    }),
    ("refused", one, |run| run.answer("a", no())),
    ("tried", tried, |_| {}),
    ("tried, past the deadline", tried, |run| {
        run.now = run.tcc.deadline();
    }),
    ("tried by the caller", own, |_| {}),
    ("unknown to the caller", own, |run| {
        run.report("a", unknown()).unwrap();
    }),
    ("reported", own, |run| run.report("a", ok()).unwrap()),
    ("confirming", tried, confirm),
    ("confirm waits", tried, |run| {
        confirm(run);
        run.answer("a", unknown());
    }),
    ("confirm stuck", tried, |run| {
        confirm(run);
        run.answer("a", unknown());
        run.sleep();
        run.answer("a", unknown());
    }),
    ("confirm refused", tried, |run| {
        confirm(run);
        run.answer("a", no());
    }),
    ("cancelling a try in flight", one, cancel),
    ("cancelling a try that succeeded", tried, cancel),
    (
        "cancelling beside a refusal",
        || Run::with(&["a", "b"]),
        |run| {
            run.answer("a", no());
            cancel(run);
        },
    ),
    ("cancel refused", tried, |run| {
        cancel(run);
        run.answer("a", no());
    }),
    ("parent, trying", parent, |_| {}),
    ("parent, voted", parent, vote),
    ("parent, confirming", parent, |run| {
        vote(run);
        confirm(run);
    }),
    ("child, tried", child, |_| {}),
    ("child, prepared", child, confirm),
    ("child, to ask again", child, |run| {
        confirm(run);
        run.command(Command::ParentSaid(Standing::Undecided))
            .unwrap();
    }),
    ("child, prepared, past its deadline", child, |run| {
        confirm(run);
        run.now = run.tcc.deadline();
    }),
    ("child, confirming", child, |run| {
        confirm(run);
        run.command(Command::ParentSaid(Standing::Confirm)).unwrap();
    }),
    ("succeeded", tried, |run| {
        confirm(run);
        run.answer("a", ok());
    }),
    ("compensated", tried, |run| {
        cancel(run);
        run.answer("a", ok());
    }),
    ("forced", one, |run| {
        let (operator, reason) = ("kim".into(), "test".into());
        run.command(Command::Force { operator, reason }).unwrap();
    }),
];

fn commands(tcc: &Tcc) -> Vec<(String, Command)> {
    let reason = || "why".to_owned();
    let operator = || "kim".to_owned();
    let generation = Generation(2);
    let mut all = vec![
        ("resume".to_owned(), Command::Resume { generation }),
        ("wake".into(), Command::Wake),
        ("confirm".into(), Command::Confirm),
        ("cancel".into(), Command::Cancel { reason: reason() }),
        ("retry".into(), Command::Retry),
    ];
    let mut other = branch("a");
    if let Work::Participant { input, .. } = &mut other.work {
        *input = Payload::json(&json!(1));
    }
    for (what, registration) in [
        ("register a", branch("a")),
        ("register a, other input", other),
        ("register new", own_branch("new")),
        ("register itself", nested_branch("self", "g")),
    ] {
        all.push((what.into(), Command::Register(Box::new(registration))));
    }
    for standing in [
        Standing::Undecided,
        Standing::Unreachable,
        Standing::Confirm,
        Standing::Cancel,
    ] {
        let what = format!("parent said {standing:?}").to_lowercase();
        all.push((what, Command::ParentSaid(standing)));
    }
    for (branch, child) in [("a", "c"), ("a", "x"), ("z", "c")] {
        let (branch, child) = (branch.to_owned(), gid(child));
        let what = format!("vote {branch} by {child}");
        all.push((what, Command::Vote { branch, child }));
    }
    for (branch, reason) in [("a", "why"), ("a", ""), ("z", "why")] {
        let what = format!("mark done {branch} {reason:?}");
        let (branch, reason) = (branch.to_owned(), reason.to_owned());
        let operator = operator();
        all.push((
            what,
            Command::MarkDone {
                branch,
                operator,
                reason,
            },
        ));
    }
    for reason in ["why", " "] {
        let (operator, reason) = (operator(), reason.to_owned());
        let what = format!("force {reason:?}");
        all.push((what, Command::Force { operator, reason }));
    }
    add_answers(tcc, &mut all);
    all
}

fn add_answers(tcc: &Tcc, all: &mut Vec<(String, Command)>) {
    let answers = || {
        [
            ("succeeded", ok()),
            ("refused", no()),
            ("in progress", Answer::InProgress { retry_after: None }),
            ("unknown", unknown()),
        ]
    };
    for (what, answer) in answers() {
        let branch = "a".to_owned();
        all.push((
            format!("report a {what}"),
            Command::Report { branch, answer },
        ));
    }
    for (branch, run) in tcc.branches().iter().enumerate() {
        let name = &run.registration.name;
        for phase in [Phase::Try, Phase::Confirm, Phase::Cancel] {
            let attempt = if phase == Phase::Try {
                run.attempts
            } else {
                run.settle_attempts
            };
            let answered = |attempt, answer| Command::Answered {
                branch,
                phase,
                attempt,
                answer,
                took: None,
            };
            for (what, answer) in answers() {
                let what = format!("{phase:?} {name} {what}").to_lowercase();
                all.push((what, answered(attempt, answer)));
            }
            let what = format!("{phase:?} {name}, other attempt").to_lowercase();
            all.push((what, answered(attempt + 1, ok())));
        }
    }
}

fn outcome(decision: &Decision) -> String {
    let records = decision.records.iter().map(|record| {
        let branch = record.event.branch();
        let branch = branch.map(|name| format!(" {name}")).unwrap_or_default();
        let noise = if record.is_stored() { "" } else { "~" };
        format!("{noise}{}{branch}", record.event.kind())
    });
    let effects = decision.effects.iter().map(|effect| match effect {
        Effect::Accept { after } => format!("accept after {}", after.0),
        Effect::Call { after, call } => {
            let (name, attempt) = (&call.name, call.attempt);
            format!("{:?} {name} #{attempt} after {}", call.phase, after.0).to_lowercase()
        }
        Effect::Tell { after, tell } => {
            let (child, attempt) = (&tell.child, tell.attempt);
            format!(
                "tell {child} {:?} #{attempt} after {}",
                tell.verdict, after.0
            )
            .to_lowercase()
        }
        Effect::AskParent { after, parent } => {
            format!("ask {} {} after {}", parent.gid, parent.branch, after.0)
        }
        // How long is up to the jitter.
        Effect::Wake { .. } => "wake".to_owned(),
        Effect::Finish { after } => format!("finish after {}", after.0),
    });
    let (records, effects): (Vec<_>, Vec<_>) = (records.collect(), effects.collect());
    format!("{} ; {}", records.join(", "), effects.join(", "))
}

#[test]
fn every_state_and_every_command() {
    let mut found = String::new();
    for (name, begin, reach) in STATES {
        let mut run = begin();
        reach(&mut run);
        let tcc = &run.tcc;
        writeln!(found, "== {name}: {}", tcc.public_state().as_str()).unwrap();
        for action in available_actions(tcc) {
            let branch = action.branch.map(|name| format!(" {name}"));
            let branch = branch.unwrap_or_default();
            let why = action.disabled.map_or("yes", |why| why.code());
            writeln!(found, "may {:?}{branch}: {why}", action.action).unwrap();
        }
        for (what, command) in commands(tcc) {
            // Only a TCC that was read from its log is ever resumed.
            let told = replay(&run.log).unwrap();
            let from = if what == "resume" { &told } else { tcc };
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
            writeln!(found, "{what} -> {}", comes.trim_end()).unwrap();
        }
    }
    golden("tcc.txt", &found);
}
