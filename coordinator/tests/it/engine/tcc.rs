//! TCCs through the engine: decisions, restarts, stuck branches, parents and children.

use std::time::Duration;

use amends_coordinator::clock::runtime_now;
use amends_coordinator::engine::{Command, EngineError, View};
use amends_coordinator::store::memory::Fault;
use amends_core::answer::{Answer, Failure};
use amends_core::id::StepName;
use amends_core::payload::Payload;
use amends_core::public_state::{Kind, PublicState};
use amends_core::retry::RetryPolicy;
use amends_core::target::Target;
use amends_core::tcc::{self, Parent, Registration, Start, TriedBy, Work};
use amends_core::time::Millis;
use futures_util::FutureExt as _;

use super::script::{PATIENCE, Reply, no, unknown};
use super::world::{Run, World, gid};

const DEADLINE: Duration = Duration::from_secs(60);

fn begin(id: &str, parent: Option<(&str, &str)>) -> Start {
    Start {
        gid: gid(id),
        name: "pay".to_owned(),
        deadline: Millis::from(DEADLINE),
        parent: parent.map(|(parent, branch)| Parent {
            gid: gid(parent),
            branch: StepName::new(branch).unwrap(),
        }),
    }
}

fn branch(name: &str, tried_by: TriedBy) -> Registration {
    let target = Target::parse(&format!("shop/{name}")).unwrap();
    let retry = RetryPolicy {
        max_attempts: 2,
        initial_backoff: Millis(1),
        max_backoff: Millis(1),
        multiplier: 1.0,
    };
    Registration {
        name: StepName::new(name).unwrap(),
        work: Work::Participant {
            r#try: target.clone(),
            confirm: target.clone(),
            cancel: target,
            tried_by,
            input: Payload::null(),
        },
        timeout: Millis(1_000),
        retry,
        settle_retry: retry,
    }
}

fn cancel() -> Command {
    Command::Cancel {
        reason: "changed my mind".to_owned(),
    }
}

fn confirm() -> Command {
    Command::Tcc(tcc::Command::Confirm)
}

async fn tried(run: &Run, id: &str, names: &[&str]) {
    for name in names {
        let registration = branch(name, TriedBy::Coordinator);
        let until = runtime_now() + PATIENCE;
        let tried = run.engine.try_branch(&gid(id), registration, until).await;
        let view = tried.unwrap();
        let ended = view.transaction.tcc().unwrap();
        assert!(ended.position(name).is_some());
    }
}

async fn confirmed(run: &Run, id: &str) -> Result<View, EngineError> {
    run.engine
        .confirm_tcc(&gid(id), runtime_now() + PATIENCE)
        .await
}

fn code(outcome: Result<View, EngineError>) -> String {
    match outcome {
        Ok(view) => view.transaction.public_state().as_str().to_owned(),
        Err(error) => error.code().to_owned(),
    }
}

/// Waits until a transaction is in this state.
async fn state(run: &Run, id: &str, wanted: PublicState) {
    let until = runtime_now() + PATIENCE;
    let is_there = |view: &View| view.transaction.public_state() == wanted;
    let view = run.engine.wait_until(&gid(id), until, is_there).await;
    assert_eq!(view.unwrap().transaction.public_state(), wanted, "{id}");
}

#[tokio::test]
async fn everything_is_confirmed_and_a_repeat_gets_the_stored_answer() {
    let world = World::new();
    let run = world.run("a");
    assert!(
        run.engine
            .begin_tcc(begin("t", None))
            .await
            .unwrap()
            .created
    );
    let again = run.engine.begin_tcc(begin("t", None)).await.unwrap();
    assert!(!again.created);
    tried(&run, "t", &["balance", "points", "balance"]).await;
    confirmed(&run, "t").await.unwrap();
    assert_eq!(run.ended("t").await, PublicState::Succeeded);
    let mut calls = world.script.keys();
    calls[2..].sort();
    let expected = [
        "t try balance",
        "t try points",
        "t confirm balance",
        "t confirm points",
    ];
    assert_eq!(calls, expected);
    let stored = world.stored("t").await;
    assert_eq!(
        (stored.summary.kind, stored.summary.definition),
        (Kind::Tcc, None)
    );
    assert_eq!(code(confirmed(&run, "t").await), "SUCCEEDED");
    let late = run.engine.command(&gid("t"), cancel()).await;
    assert_eq!(code(late), "ALREADY_CONFIRMED");
    let retry = run.engine.command(&gid("t"), Command::Retry).await;
    assert_eq!(code(retry), "TRANSACTION_ENDED");
    let other = Start {
        name: "other".to_owned(),
        ..begin("t", None)
    };
    let other = run.engine.begin_tcc(other).await;
    assert_eq!(other.unwrap_err().code(), "GID_REUSED");
    assert_eq!(run.engine.live_count(), 0);
}

#[tokio::test]
async fn what_was_refused_is_not_cancelled_and_what_may_have_run_is() {
    let world = World::new();
    let run = world.run("a");
    world.script.rule(|asked| match asked.key {
        "t try refused" => Some(Reply::Now(no())),
        "t try unknown" => Some(Reply::Now(unknown())),
        _ => None,
    });
    run.engine.begin_tcc(begin("t", None)).await.unwrap();
    tried(&run, "t", &["held", "refused"]).await;
    let registration = branch("unknown", TriedBy::Coordinator);
    let register = tcc::Command::Register(Box::new(registration));
    let registered = run.engine.command(&gid("t"), Command::Tcc(register)).await;
    registered.unwrap();
    let by_caller = tcc::Command::Register(Box::new(branch("own", TriedBy::Caller)));
    let own = run.engine.command(&gid("t"), Command::Tcc(by_caller)).await;
    own.unwrap();
    world.pass(Duration::from_secs(1), &run).await;
    world.script.called("t try unknown", 2).await;
    assert_eq!(code(confirmed(&run, "t").await), "TRIES_OPEN");
    run.engine.command(&gid("t"), cancel()).await.unwrap();
    assert_eq!(run.ended("t").await, PublicState::Compensated);
    for (name, times) in [("held", 1), ("refused", 0), ("unknown", 1), ("own", 1)] {
        assert_eq!(
            world.script.count(&format!("t cancel {name}")),
            times,
            "{name}"
        );
    }
    let again = run.engine.command(&gid("t"), cancel()).await;
    assert_eq!(code(again), "COMPENSATED");
    assert_eq!(code(confirmed(&run, "t").await), "ALREADY_CANCELLED");
}

/// A crash could take the decision back, and with it the reason.
#[tokio::test]
async fn who_comes_too_late_is_told_once_the_decision_is_durable() {
    let world = World::new();
    let run = world.run("a");
    run.engine.begin_tcc(begin("t", None)).await.unwrap();
    tried(&run, "t", &["held"]).await;
    let (fault, mut hold) = Fault::hang();
    world.store.faults().next_append(fault);
    let id = gid("t");
    let mut cancelling = Box::pin(run.engine.command(&id, cancel()));
    assert!((&mut cancelling).now_or_never().is_none());
    assert!(hold.reached().await);
    let mut confirming = Box::pin(run.engine.command(&id, confirm()));
    // Commands are taken in order, so once this one is, the confirm was refused.
    assert!((&mut confirming).now_or_never().is_none());
    run.engine.next_change(&id, 0).await.unwrap();
    assert!((&mut confirming).now_or_never().is_none());
    hold.release();
    assert_eq!(code(confirming.await), "ALREADY_CANCELLED");
    cancelling.await.unwrap();
    assert_eq!(run.ended("t").await, PublicState::Compensated);
}

#[tokio::test]
async fn a_deadline_counts_over_a_restart() {
    let world = World::new();
    let run = world.run("a");
    run.engine.begin_tcc(begin("t", None)).await.unwrap();
    tried(&run, "t", &["held"]).await;
    drop(run);
    let next = world.recovered("b").await;
    // Its first call left no record, so it is made again.
    world.script.called("t try held", 2).await;
    world.pass(DEADLINE, &next).await;
    assert_eq!(next.ended("t").await, PublicState::Compensated);
    assert_eq!(world.script.count("t cancel held"), 1);
}

#[tokio::test]
async fn a_decision_is_carried_out_after_a_restart() {
    for (decision, phase, end) in [
        (confirm(), "confirm", PublicState::Succeeded),
        (cancel(), "cancel", PublicState::Compensated),
    ] {
        let world = World::new();
        world.script.rule(move |asked| {
            let held = asked.key == format!("t {phase} slow") && asked.nth == 1;
            held.then_some(Reply::Held)
        });
        let run = world.run("a");
        run.engine.begin_tcc(begin("t", None)).await.unwrap();
        tried(&run, "t", &["slow", "fast"]).await;
        run.engine.command(&gid("t"), decision).await.unwrap();
        world.script.called(&format!("t {phase} slow"), 1).await;
        drop(run);
        let next = world.recovered("b").await;
        assert_eq!(next.ended("t").await, end);
        assert_eq!(world.script.count(&format!("t {phase} slow")), 2);
    }
}

#[tokio::test]
async fn a_broken_promise_sleeps_until_an_operator_retries() {
    let world = World::new();
    let run = world.run("a");
    world.script.rule(|asked| {
        let first = asked.key == "t confirm b" && asked.nth == 1;
        first.then(|| Reply::Now(no()))
    });
    run.engine.begin_tcc(begin("t", None)).await.unwrap();
    tried(&run, "t", &["a", "b"]).await;
    confirmed(&run, "t").await.unwrap();
    state(&run, "t", PublicState::Stuck).await;
    run.asleep("t").await;
    assert_eq!(world.stored("t").await.summary.state, PublicState::Stuck);
    drop(run);
    let next = world.recovered("b").await;
    next.engine
        .command(&gid("t"), Command::Retry)
        .await
        .unwrap();
    assert_eq!(next.ended("t").await, PublicState::Succeeded);
    assert_eq!(world.script.count("t confirm b"), 2);
    assert_eq!(world.script.count("t confirm a"), 1);
}

#[tokio::test]
async fn a_caller_that_takes_its_time_finds_it_in_memory_or_not() {
    let world = World::new();
    let run = world.run("a");
    let long = Start {
        deadline: Millis::from_secs(3_600),
        ..begin("t", None)
    };
    run.engine.begin_tcc(long).await.unwrap();
    tried(&run, "t", &["a"]).await;
    assert_eq!(run.engine.live_count(), 1, "its caller is still at it");
    world.pass(Duration::from_secs(31), &run).await;
    run.asleep("t").await;
    tried(&run, "t", &["b"]).await;
    confirmed(&run, "t").await.unwrap();
    assert_eq!(run.ended("t").await, PublicState::Succeeded);
}

#[tokio::test]
async fn a_child_ends_as_its_parent_decides() {
    for (decision, end) in [
        (confirm(), PublicState::Succeeded),
        (cancel(), PublicState::Compensated),
    ] {
        let world = World::new();
        let run = world.run("a");
        run.engine.begin_tcc(begin("p", None)).await.unwrap();
        let child = || begin("c", Some(("p", "sub")));
        run.engine.begin_tcc(child()).await.unwrap();
        tried(&run, "p", &["own"]).await;
        tried(&run, "c", &["part"]).await;
        assert_eq!(
            code(run.engine.command(&gid("p"), confirm()).await),
            "TRIES_OPEN"
        );
        // Once this is answered, the parent knows.
        assert_eq!(code(confirmed(&run, "c").await), "PREPARED");
        run.engine.command(&gid("p"), decision).await.unwrap();
        assert_eq!((run.ended("p").await, run.ended("c").await), (end, end));
        let again = run.engine.begin_tcc(child()).await.unwrap();
        assert!(!again.created, "also after the parent has ended");
    }
}

#[tokio::test]
async fn a_child_that_was_cancelled_before_it_began_cannot_begin() {
    let world = World::new();
    let run = world.run("a");
    run.engine.begin_tcc(begin("p", None)).await.unwrap();
    let nested = Registration {
        work: Work::Nested { gid: gid("c") },
        ..branch("sub", TriedBy::Caller)
    };
    let register = Command::Tcc(tcc::Command::Register(Box::new(nested)));
    run.engine.command(&gid("p"), register).await.unwrap();
    run.engine.command(&gid("p"), cancel()).await.unwrap();
    assert_eq!(run.ended("p").await, PublicState::Compensated);
    assert_eq!(run.ended("c").await, PublicState::Compensated);
    let late = run.engine.begin_tcc(begin("c", Some(("p", "sub")))).await;
    let late = late.unwrap();
    assert!(!late.created);
    assert_eq!(
        late.view.transaction.public_state(),
        PublicState::Compensated
    );
    // Its place is kept for that parent's child only.
    let other = run.engine.begin_tcc(begin("c", None)).await.unwrap_err();
    assert_eq!(other.code(), "GID_REUSED");
}

#[tokio::test]
async fn a_prepared_child_asks_again_after_a_restart() {
    let world = World::new();
    let run = world.run("a");
    run.engine.begin_tcc(begin("p", None)).await.unwrap();
    run.engine
        .begin_tcc(begin("c", Some(("p", "sub"))))
        .await
        .unwrap();
    tried(&run, "c", &["part"]).await;
    confirmed(&run, "c").await.unwrap();
    drop(run);
    let next = world.recovered("b").await;
    confirmed(&next, "p").await.unwrap();
    assert_eq!(next.ended("p").await, PublicState::Succeeded);
    assert_eq!(next.ended("c").await, PublicState::Succeeded);
}

#[tokio::test]
async fn what_only_a_tcc_understands_is_refused_by_a_saga() {
    let world = World::new();
    world.script.rule(|_| Some(Reply::Held));
    let run = world.run("a");
    run.start("s", &super::world::chain(&["a"])).await;
    assert_eq!(code(confirmed(&run, "s").await), "NOT_A_TCC");
    world
        .script
        .release("s do a", Answer::Refused(Failure::new("NO", "")));
    run.ended("s").await;
    assert_eq!(code(confirmed(&run, "s").await), "NOT_A_TCC");
    let taken = run.engine.begin_tcc(begin("s", None)).await;
    assert_eq!(taken.unwrap_err().code(), "GID_REUSED");
}
