//! TCCs under a parent: short stories, and small families in every world.

use amends_core::answer::Answer;
use amends_core::id::RecordNo;
use amends_core::public_state::PublicState;
use amends_core::tcc::{Command, Effect, Rejected, Standing, Verdict, begin_cancelled, replay};
use amends_core::time::Timestamp;

use super::sketch::{Run, branch, gid, nested_branch, nested_start, ok, start};
use super::small_worlds::{budget, must_hold};
use super::world::case::{Case, Kind};
use crate::small_worlds::report;
use crate::world::explore::Explored;

const ALL: RecordNo = RecordNo(u64::MAX);

fn code(result: Result<(), Rejected>) -> &'static str {
    result.err().map_or("", |rejected| rejected.code())
}

fn prepared() -> Run {
    let mut run = Run::begin(nested_start());
    run.register(branch("a")).unwrap();
    run.answer("a", ok());
    run.command(Command::Confirm).unwrap();
    run
}

#[test]
fn its_callers_confirm_only_prepares_it_and_asks_the_parent() {
    let mut run = prepared();
    assert_eq!(run.tcc.public_state(), PublicState::Prepared);
    assert!(run.calls.is_empty());
    let asks = |effect: &Effect| matches!(effect, Effect::AskParent { after, .. } if *after == RecordNo(4));
    assert!(run.last.effects.iter().any(asks), "once that is durable");
    run.command(Command::Confirm).unwrap();
    assert_eq!(code(run.cancel()), "DECIDED_BY_PARENT");
    assert_eq!(code(run.register(branch("b"))), "DECIDED_BY_PARENT");
    run.now = run.tcc.deadline() + amends_core::time::Millis(1);
    run.command(Command::Wake).unwrap();
    assert_eq!(
        run.tcc.public_state(),
        PublicState::Prepared,
        "its own deadline counts no more"
    );
    run.command(Command::ParentSaid(Standing::Confirm)).unwrap();
    assert_eq!(run.under_way(), ["confirm a"]);
    run.command(Command::ParentSaid(Standing::Confirm)).unwrap();
    assert_eq!(
        code(run.command(Command::ParentSaid(Standing::Cancel))),
        "ALREADY_CONFIRMED"
    );
    run.answer("a", ok());
    assert_eq!(run.tcc.public_state(), PublicState::Succeeded);
}

#[test]
fn a_parent_that_has_not_decided_or_is_not_there_is_asked_again() {
    let mut run = prepared();
    for standing in [Standing::Undecided, Standing::Unreachable] {
        run.command(Command::ParentSaid(standing)).unwrap();
        assert_eq!(
            code(run.command(Command::ParentSaid(standing))),
            "ANSWER_STALE"
        );
        run.sleep();
        let asks = |effect: &Effect| matches!(effect, Effect::AskParent { .. });
        assert!(run.last.effects.iter().any(asks));
    }
    run.command(Command::ParentSaid(Standing::Undecided))
        .unwrap();
    run.command(Command::Retry).unwrap();
    assert_eq!(
        run.log.len(),
        5,
        "asking leaves no record, only the operator's retry does"
    );
    let told = replay(&run.log).unwrap();
    assert_eq!(told.public_state(), PublicState::Prepared);
}

#[test]
fn before_it_is_prepared_it_can_cancel_and_cannot_be_confirmed() {
    let mut run = Run::begin(nested_start());
    run.register(branch("a")).unwrap();
    assert_eq!(
        code(run.command(Command::ParentSaid(Standing::Confirm))),
        "NOT_PREPARED"
    );
    run.command(Command::ParentSaid(Standing::Cancel)).unwrap();
    assert_eq!(run.tcc.cause().unwrap().code, "PARENT_CANCELLED");
    run.answer("a", ok());
    let told = |verdict| run.tcc.answer_to_parent(verdict, ALL);
    assert_eq!(told(Verdict::Cancel), ok());
    assert!(matches!(told(Verdict::Confirm), Answer::Refused(no) if no.code == "NESTED_CANCELLED"));
    let early = run.tcc.answer_to_parent(Verdict::Cancel, RecordNo(3));
    assert!(
        matches!(early, Answer::InProgress { .. }),
        "not durable yet"
    );
}

#[test]
fn a_parent_counts_only_the_vote_of_its_own_child() {
    let mut run = Run::begin(start());
    run.register(nested_branch("pay", "c")).unwrap();
    let vote = |branch: &str, child: &str| Command::Vote {
        branch: branch.into(),
        child: gid(child),
    };
    assert_eq!(code(run.report("pay", ok())), "TRY_NOT_REPORTABLE");
    assert_eq!(code(run.command(vote("pay", "x"))), "NOT_THIS_CHILD");
    assert_eq!(code(run.command(vote("z", "c"))), "BRANCH_UNKNOWN");
    assert_eq!(code(run.command(Command::Confirm)), "TRIES_OPEN");
    run.command(vote("pay", "c")).unwrap();
    run.command(vote("pay", "c")).unwrap();
    assert_eq!(run.log.len(), 3);
    let standing = |run: &Run, durable| run.tcc.standing("pay", &gid("c"), durable);
    assert_eq!(standing(&run, ALL), Standing::Undecided);
    run.command(Command::Confirm).unwrap();
    assert_eq!(
        standing(&run, RecordNo(3)),
        Standing::Undecided,
        "not durable yet"
    );
    assert_eq!(standing(&run, RecordNo(4)), Standing::Confirm);
    assert_eq!(run.tcc.standing("pay", &gid("x"), ALL), Standing::Cancel);
    assert_eq!(run.tells.len(), 1);
    assert_eq!(run.tells[0].verdict, Verdict::Confirm);
    assert_eq!(
        code(run.register(nested_branch("self", "g"))),
        "ALREADY_CONFIRMED"
    );
}

#[test]
fn a_parent_that_was_ended_by_hand_keeps_what_it_had_decided() {
    let force = || Command::Force {
        operator: "kim".into(),
        reason: "why".into(),
    };
    let mut run = Run::begin(start());
    assert_eq!(
        code(run.register(nested_branch("self", "g"))),
        "BRANCH_INVALID"
    );
    run.register(nested_branch("pay", "c")).unwrap();
    run.command(force()).unwrap();
    assert_eq!(run.tcc.standing("pay", &gid("c"), ALL), Standing::Cancel);
    let mut run = Run::begin(start());
    run.register(nested_branch("pay", "c")).unwrap();
    run.command(Command::Vote {
        branch: "pay".into(),
        child: gid("c"),
    })
    .unwrap();
    run.command(Command::Confirm).unwrap();
    run.command(force()).unwrap();
    assert_eq!(run.tcc.standing("pay", &gid("c"), ALL), Standing::Confirm);
}

#[test]
fn a_child_that_was_cancelled_before_it_began_cannot_begin() {
    let parent = nested_start().parent.unwrap();
    let (tcc, decision) = begin_cancelled(gid("g"), parent, Timestamp(5));
    assert_eq!(tcc.public_state(), PublicState::Compensated);
    assert_eq!(decision.records.len(), 3);
    let told = replay(&decision.records).unwrap();
    assert_eq!(told.answer_to_parent(Verdict::Cancel, ALL), ok());
    // Beginning it late is answered with that, whatever its name and deadline are …
    assert_eq!(amends_core::tcc::difference(&tcc, &nested_start()), None);
    // … but the place is kept for this child only.
    let mut other = nested_start();
    other.parent = None;
    assert!(amends_core::tcc::difference(&tcc, &other).is_some());
}

#[test]
fn families_of_two_in_every_world() {
    use Kind::{Caller, Coordinator, Nested};
    let mut explored = Explored::default();
    let alone = [vec![], vec![Coordinator], vec![Caller]];
    for child in alone {
        for budget in [budget(1, 1, 0), budget(0, 2, 0), budget(0, 0, 1)] {
            let case = Case::new(vec![vec![Nested(1)], child.clone()], budget);
            must_hold(&case, &mut explored);
        }
    }
    for root in [vec![Coordinator, Nested(1)], vec![Nested(1), Caller]] {
        for budget in [budget(1, 0, 0), budget(0, 1, 0)] {
            let case = Case::new(vec![root.clone(), vec![Caller]], budget);
            must_hold(&case, &mut explored);
        }
    }
    let rare = [
        "prepared",
        "late call",
        "cut before prepared",
        "cut before the confirm",
        "cut before the cancel",
        "cancelled before it was tried",
    ];
    report("TCC, families of two", &explored, 50_000, &rare);
}

#[test]
fn families_of_three_in_every_world() {
    use Kind::{Caller, Nested};
    let mut explored = Explored::default();
    for (nodes, budget) in [
        (
            vec![vec![Nested(1)], vec![Nested(2)], vec![Caller]],
            budget(1, 0, 0),
        ),
        (
            vec![vec![Nested(1), Nested(2)], vec![], vec![Caller]],
            budget(0, 1, 0),
        ),
        (vec![vec![Nested(1)], vec![Caller]], budget(2, 1, 0)),
    ] {
        must_hold(&Case::new(nodes, budget), &mut explored);
    }
    report("TCC, families of three", &explored, 50_000, &["prepared"]);
}
