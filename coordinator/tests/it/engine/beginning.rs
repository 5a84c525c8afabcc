//! What must be durable before what.

use amends_coordinator::store::memory::Fault;
use amends_core::payload::Payload;
use amends_core::saga::PublicState;
use serde_json::json;

use super::script::{Reply, no, ok};
use super::world::{World, chain, saga, step};
use amends_core::answer::Answer;

#[tokio::test]
async fn nothing_is_said_or_called_before_the_beginning_is_durable() {
    let world = World::new();
    let run = world.run("a");
    let (fault, mut hold) = Fault::hang();
    world.store.faults().next_append(fault);
    let starting = run.starting("g", &chain(&["a", "b"]));
    assert!(hold.reached().await);
    run.poke().await;
    assert!(!starting.is_finished());
    assert_eq!(world.script.keys(), [""; 0]);
    hold.release();
    assert!(starting.await.unwrap().unwrap().created);
    assert_eq!(run.ended("g").await, PublicState::Succeeded);
    assert_eq!(world.script.keys(), ["g do a", "g do b"]);
}

#[tokio::test]
async fn a_compensation_waits_for_the_decision() {
    let world = World::new();
    world.script.rule(|asked| match asked.key {
        "g do b" => Some(Reply::Held),
        _ => None,
    });
    let run = world.run("a");
    run.start("g", &chain(&["a", "b"])).await;
    world.script.called("g do b", 1).await;
    let (fault, mut hold) = Fault::hang();
    world.store.faults().next_append(fault);
    world.script.release("g do b", no());
    assert!(hold.reached().await);
    run.poke().await;
    assert_eq!(world.script.count("g undo a"), 0);
    hold.release();
    assert_eq!(run.ended("g").await, PublicState::Compensated);
    assert_eq!(world.script.keys(), ["g do a", "g do b", "g undo a"]);
}

#[tokio::test]
async fn a_step_that_consumes_waits_and_one_that_only_follows_does_not() {
    let world = World::new();
    world.script.rule(|asked| match asked.key {
        "g do a" => Some(Reply::Held),
        _ => None,
    });
    let mut consumer = step("consumer", &["a"]);
    consumer.input = Some(Payload::json(&json!({"n": {"$ref": "$.steps.a.n"}})));
    let run = world.run("a");
    run.start(
        "g",
        &saga(vec![step("a", &[]), step("follower", &["a"]), consumer]),
    )
    .await;
    world.script.called("g do a", 1).await;
    let (fault, mut hold) = Fault::hang();
    world.store.faults().next_append(fault);
    let answer = Answer::Succeeded(Payload::json(&json!({"n": 7})));
    world.script.release("g do a", answer);
    assert!(hold.reached().await);
    world.script.called("g do follower", 1).await;
    assert_eq!(world.script.count("g do consumer"), 0);
    hold.release();
    assert_eq!(run.ended("g").await, PublicState::Succeeded);
    let sent = world.script.last("g do consumer").input;
    assert_eq!(sent.to_value(), Some(json!({"n": 7})));
}

#[tokio::test]
async fn a_short_saga_costs_two_writes() {
    let world = World::new();
    let run = world.run("a");
    run.start("g", &chain(&["a", "b", "c", "d"])).await;
    assert_eq!(run.ended("g").await, PublicState::Succeeded);
    assert_eq!(world.store.written(), (2, 2));
}

#[tokio::test]
async fn records_that_nobody_waits_for_are_written_after_a_while() {
    let mut world = World::new();
    world.options.flush_after = std::time::Duration::from_millis(1);
    world.script.rule(|asked| match asked.key {
        "g do b" => Some(Reply::Held),
        _ => None,
    });
    let run = world.run("a");
    let (fault, mut hold) = Fault::hang();
    run.start("g", &chain(&["a", "b"])).await;
    world.store.faults().next_append(fault);
    assert!(
        hold.reached().await,
        "the result of a, although b does not answer"
    );
    hold.release();
    world.script.called("g do b", 1).await;
    world.script.release("g do b", ok());
    assert_eq!(run.ended("g").await, PublicState::Succeeded);
}
