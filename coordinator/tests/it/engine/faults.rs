//! A store that fails, for a moment or for a while.

use amends_coordinator::clock::runtime_now;
use amends_coordinator::engine::{Command, EngineError};
use amends_coordinator::store::memory::Fault;
use amends_core::saga::PublicState;

use super::script::{Reply, no, ok};
use super::world::{World, chain, gid, start};

/// The failing saga writes at least the beginning, the decision and the end.
#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_repeated_and_nothing_is_done_twice() {
    let mut world = World::new();
    world.options.flush_after = std::time::Duration::ZERO;
    world.script.rule(|asked| match asked.key {
        "bad do c" => Some(Reply::Now(no())),
        _ => None,
    });
    let run = world.run("a");
    let saga = chain(&["a", "b", "c"]);
    for (id, state) in [
        ("good", PublicState::Succeeded),
        ("bad", PublicState::Compensated),
    ] {
        // Each fault is used up by one try; the try after it is the repetition.
        for _ in 0..2 {
            world.store.faults().next_append(Fault::FailAfterCommit);
        }
        run.start(id, &saga).await;
        world.store.faults().next_append(Fault::FailAfterCommit);
        assert_eq!(run.ended(id).await, state);
    }
    world.store.faults().clear();
    let mut calls = world.script.keys();
    let all = calls.len();
    calls.sort();
    calls.dedup();
    assert_eq!(calls.len(), all, "something was called twice");
    assert_eq!(all, 3 + 5);
}

#[tokio::test]
async fn a_store_that_is_away_loses_nothing_and_is_reported() {
    let world = World::new();
    let run = world.run("a");
    let healthy = run.engine.store_healthy();
    assert!(*healthy.borrow());
    let (fault, mut hold) = Fault::hang();
    let faults = world.store.faults();
    faults.next_append(Fault::FailBefore);
    faults.next_append(Fault::Unusable);
    faults.next_append(fault);
    let starting = run.starting("g", &chain(&["a"]));
    assert!(hold.reached().await);
    assert!(!*healthy.borrow());
    assert_eq!(world.script.keys(), [""; 0]);
    hold.release();
    assert!(starting.await.unwrap().unwrap().created);
    assert!(*healthy.borrow());
    assert_eq!(run.ended("g").await, PublicState::Succeeded);
}

/// Nobody is told of an end that a crash could take back, nor kept waiting for it.
#[tokio::test]
async fn an_end_counts_once_it_is_durable() {
    let world = World::new();
    world
        .script
        .rule(|asked| (asked.key == "g do a").then_some(Reply::Held));
    let run = world.run("a");
    run.start("g", &chain(&["a"])).await;
    world.script.called("g do a", 1).await;
    let (fault, mut hold) = Fault::hang();
    world.store.faults().next_append(fault);
    world.script.release("g do a", ok());
    assert!(hold.reached().await);
    let seen = run.engine.get(&gid("g")).await.unwrap();
    assert_eq!(seen.transaction.public_state(), PublicState::Running);
    let waited = run.engine.wait(&gid("g"), runtime_now()).await.unwrap();
    assert_eq!(waited.transaction.public_state(), PublicState::Running);
    let late = run.engine.command(&gid("g"), Command::Retry).await;
    assert!(matches!(late, Err(EngineError::Rejected(_))), "{late:?}");
    let again = run.starting("g", &chain(&["a"]));
    run.poke().await;
    assert!(!again.is_finished(), "its answer would tell of the end");
    hold.release();
    assert_eq!(run.ended("g").await, PublicState::Succeeded);
    assert!(!again.await.unwrap().unwrap().created);
}

#[tokio::test]
async fn what_was_ended_by_force_makes_no_call_any_more() {
    let world = World::new();
    let run = world.run("a");
    let (fault, mut hold) = Fault::hang();
    world.store.faults().next_append(fault);
    let starting = run.starting("g", &chain(&["a"]));
    assert!(hold.reached().await);
    let (engine, id) = (run.engine.clone(), gid("g"));
    let force = Command::Force {
        operator: "olga".to_owned(),
        reason: "a mistake".to_owned(),
    };
    let forcing = tokio::spawn(async move { engine.command(&id, force).await });
    // It is in the shard's queue behind this.
    tokio::task::yield_now().await;
    run.poke().await;
    hold.release();
    starting.await.unwrap().unwrap();
    forcing.await.unwrap().unwrap();
    assert_eq!(run.ended("g").await, PublicState::Forced);
    run.stop().await;
    assert_eq!(world.script.keys(), [""; 0]);
}

#[tokio::test]
async fn stopping_writes_everything_and_refuses_what_comes_later() {
    let world = World::new();
    world
        .script
        .rule(|asked| (asked.key == "g do b").then_some(Reply::Held));
    let run = world.run("a");
    let saga = chain(&["a", "b"]);
    run.start("g", &saga).await;
    world.script.called("g do b", 1).await;
    assert_eq!(
        world.stored("g").await.last.0,
        1,
        "nobody waits for the result of a"
    );
    let engine = run.engine.clone();
    run.engine.stop().await;
    assert_eq!(world.stored("g").await.last.0, 2);
    for refused in [
        engine.start(start("late", &saga)).await.map(drop),
        engine.get(&gid("g")).await.map(drop),
        engine.command(&gid("g"), Command::Retry).await.map(drop),
        engine.wait(&gid("g"), runtime_now()).await.map(drop),
    ] {
        assert!(matches!(refused, Err(EngineError::Stopping)), "{refused:?}");
    }
    drop(engine);
    run.stop().await;
    let next = world.recovered("b").await;
    world.script.called("g do b", 2).await;
    assert_eq!(world.script.count("g do a"), 1);
    world.script.release("g do b", ok());
    world.script.release("g do b", ok());
    assert_eq!(next.ended("g").await, PublicState::Succeeded);
}
