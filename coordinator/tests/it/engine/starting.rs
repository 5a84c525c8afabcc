//! One id, one transaction; and the limits of what is taken on.

use std::sync::Arc;

use amends_coordinator::engine::{EngineError, Start};
use amends_core::payload::Payload;
use amends_core::saga::PublicState;
use amends_core::time::Millis;

use super::script::{Reply, ok};
use super::world::{Run, World, chain, start};

/// The same start is answered again; any other content is named.
async fn check_again(run: &Run, when: &str) {
    let first = start("g", &chain(&["a"]));
    let again = run.engine.start(first.clone()).await.unwrap();
    assert!(!again.created, "{when}");
    assert_eq!(again.view.transaction.gid().as_str(), "g");
    let definition = Start {
        definition: chain(&["other"]),
        ..first.clone()
    };
    let input = Start {
        input: Payload::json(&serde_json::json!(1)),
        ..first.clone()
    };
    let deadline = Start {
        deadline: Some(Millis(5_000)),
        ..first
    };
    for (other, expected) in [
        (definition, "definition"),
        (input, "input"),
        (deadline, "deadline"),
    ] {
        match run.engine.start(other).await {
            Err(EngineError::AlreadyExists { gid, difference }) => {
                assert_eq!((gid.as_str(), difference), ("g", expected), "{when}");
            }
            other => panic!("{when}, {expected}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_id_is_one_transaction_as_long_as_it_is_kept() {
    let world = World::new();
    world
        .script
        .rule(|asked| (asked.key == "g do a").then_some(Reply::Held));
    let run = world.run("a");
    assert!(run.start("g", &chain(&["a"])).await.created);
    world.script.called("g do a", 1).await;
    check_again(&run, "live").await;
    world.script.release("g do a", ok());
    assert_eq!(run.ended("g").await, PublicState::Succeeded);
    check_again(&run, "ended").await;
    run.stop().await;
    let next = world.recovered("b").await;
    check_again(&next, "ended in an earlier run").await;
    assert_eq!(world.script.keys(), ["g do a"]);
}

/// The definition's deadline counts as the start's.
#[tokio::test]
async fn a_deadline_that_is_the_definitions_is_no_difference() {
    let world = World::new();
    let run = world.run("a");
    let mut definition = chain(&["a"]).definition().clone();
    definition.deadline = Some(Millis(60_000));
    let saga = Arc::new(amends_core::saga::CompiledSaga::compile(definition).unwrap());
    assert!(run.start("g", &saga).await.created);
    run.ended("g").await;
    let same = Start {
        deadline: Some(Millis(60_000)),
        ..start("g", &saga)
    };
    assert!(!run.engine.start(same).await.unwrap().created);
}

#[tokio::test]
async fn of_starts_at_the_same_time_one_begins() {
    let mut world = World::new();
    world.options.shards = 2;
    let run = world.run("a");
    let saga = chain(&["a", "b"]);
    let starting: Vec<_> = (0..16).map(|_| run.starting("g", &saga)).collect();
    let mut created = 0;
    for one in starting {
        created += usize::from(one.await.unwrap().unwrap().created);
    }
    assert_eq!(created, 1);
    assert_eq!(run.ended("g").await, PublicState::Succeeded);
    assert_eq!(world.script.keys(), ["g do a", "g do b"]);
}

#[tokio::test]
async fn what_is_too_much_is_turned_away_until_there_is_room() {
    let mut world = World::new();
    world.options.max_live = 2;
    world.script.rule(|_| Some(Reply::Held));
    let run = world.run("a");
    let saga = chain(&["a"]);
    run.start("one", &saga).await;
    run.start("two", &saga).await;
    match run.engine.start(start("three", &saga)).await {
        Err(EngineError::Overloaded { retry_after }) => assert!(!retry_after.is_zero()),
        other => panic!("{other:?}"),
    }
    world.script.called("one do a", 1).await;
    world.script.release("one do a", ok());
    run.ended("one").await;
    assert_eq!(run.engine.live_count(), 1);
    run.start("three", &saga).await;
}

/// What waits for a shard is bounded too.
#[tokio::test]
async fn a_full_queue_turns_starts_away() {
    let mut world = World::new();
    world.options.queue = 1;
    let run = world.run("a");
    let saga = chain(&["a"]);
    run.start("first", &saga).await;
    // All of these reach the queue before the shard runs again.
    let starts = (0..50).map(|n| run.engine.start(start(&format!("g{n}"), &saga)));
    let results = futures_util::future::join_all(starts).await;
    let (taken, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert!(!taken.is_empty() && !refused.is_empty());
    for one in refused {
        assert!(
            matches!(one, Err(EngineError::Overloaded { .. })),
            "{one:?}"
        );
    }
}
