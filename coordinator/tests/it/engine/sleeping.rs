//! Leaving memory to wait, and coming back.

use std::time::Duration;

use amends_coordinator::clock::runtime_now;
use amends_coordinator::engine::Command;
use amends_coordinator::worker::Next;
use amends_core::saga::PublicState;
use amends_core::time::Millis;

use super::script::{Reply, later, ok};
use super::world::{LONG, Run, World, chain, gid};

/// A world in which the first call of `a` asks to come again after the longest time.
fn sleepy() -> World {
    let mut world = World::new();
    world.options.evict_after = Millis(60_000);
    world.script.rule(|asked| {
        let asks_later = asked.key.ends_with(" do a") && asked.nth == 1;
        asks_later.then(|| Reply::Now(later(LONG)))
    });
    world
}

async fn asleep(world: &World, run: &Run, id: &str) {
    run.start(id, &chain(&["a"])).await;
    run.asleep(id).await;
    assert!(world.stored(id).await.summary.wake_at.is_some());
}

#[tokio::test]
async fn one_that_waits_long_leaves_memory_and_comes_back_when_due() {
    let world = sleepy();
    let run = world.run("a");
    asleep(&world, &run, "g").await;
    assert_eq!(run.engine.live_count(), 0);
    run.wake().await;
    assert_eq!(run.engine.live_count(), 0, "not due yet");
    world.pass(LONG, &run).await;
    run.wake().await;
    assert_eq!(run.ended("g").await, PublicState::Succeeded);
    assert_eq!(world.script.count("g do a"), 2);
    assert_eq!(world.stored("g").await.summary.wake_at, None);
}

#[tokio::test]
async fn one_that_waits_briefly_stays() {
    let mut world = sleepy();
    world.options.evict_after = Millis::from(LONG) + Millis(1);
    let run = world.run("a");
    run.start("g", &chain(&["a"])).await;
    world.script.called("g do a", 1).await;
    run.poke().await;
    assert_eq!(run.engine.live_count(), 1);
    world.pass(LONG, &run).await;
    assert_eq!(run.ended("g").await, PublicState::Succeeded);
}

/// Who waits for the end is not told anything else when it falls asleep.
#[tokio::test]
async fn waiting_outlives_a_sleep() {
    let world = sleepy();
    world
        .script
        .rule(|asked| (asked.nth == 1).then_some(Reply::Held));
    let run = world.run("a");
    run.start("g", &chain(&["a"])).await;
    world.script.called("g do a", 1).await;
    let (engine, id) = (run.engine.clone(), gid("g"));
    let waiting = tokio::spawn(async move { engine.wait(&id, runtime_now() + LONG).await });
    tokio::task::yield_now().await;
    world.script.release("g do a", later(LONG));
    run.asleep("g").await;
    world.pass(LONG, &run).await;
    run.wake().await;
    let view = waiting.await.unwrap().unwrap();
    assert_eq!(view.transaction.public_state(), PublicState::Succeeded);
}

/// Without new records only the summary is written.
#[tokio::test]
async fn one_that_was_woken_for_nothing_goes_back_to_sleep() {
    let world = sleepy();
    let run = world.run("a");
    asleep(&world, &run, "g").await;
    let before = world.stored("g").await;
    let nonsense = Command::MarkDone {
        branch: "nonsense".to_owned(),
        operator: String::new(),
        reason: "none".to_owned(),
    };
    run.engine.command(&gid("g"), nonsense).await.unwrap_err();
    run.asleep("g").await;
    let after = world.stored("g").await;
    assert_eq!((after.last, after.summary), (before.last, before.summary));
    assert_eq!(after.log, before.log);
    world.pass(LONG, &run).await;
    run.wake().await;
    assert_eq!(run.ended("g").await, PublicState::Succeeded);
}

/// A row read before its transaction went on is not the present.
#[tokio::test]
async fn what_was_read_before_the_end_is_not_begun_anew() {
    let world = sleepy();
    let run = world.run("a");
    asleep(&world, &run, "g").await;
    let reading = run.engine.reading();
    let old = world.stored("g").await;
    run.engine.command(&gid("g"), Command::Retry).await.unwrap();
    assert_eq!(run.ended("g").await, PublicState::Succeeded);
    // By what was read, the next call is due.
    world.pass(LONG, &run).await;
    run.engine.load(old, &reading).await.unwrap();
    assert_eq!(run.engine.live_count(), 0);
    run.stop().await;
    assert_eq!(world.script.count("g do a"), 2);
}

/// Those that are back but get no answer do not stand in the way of others.
#[tokio::test]
async fn a_participant_that_hangs_keeps_no_other_from_waking() {
    let world = sleepy();
    let run = world.run("a");
    // One more than is brought back at a time; all of the same wake-up time, so
    // the order among them is that of their ids.
    for n in 0..=500 {
        asleep(&world, &run, &format!("g{n:03}")).await;
    }
    world.script.rule(|_| Some(Reply::Held));
    world.pass(LONG, &run).await;
    assert!(matches!(run.wake().await, Next::After(_)));
    world.script.called("g499 do a", 2).await;
    // What is written by now was begun before this.
    run.start("other", &chain(&["b"])).await;
    run.wake().await;
    world.script.called("g500 do a", 2).await;
    world.script.release("g500 do a", ok());
    assert_eq!(run.ended("g500").await, PublicState::Succeeded);
}

#[tokio::test]
async fn ten_thousand_sleepers_need_little_memory_and_all_come_back() {
    const SLEEPERS: usize = 10_000;
    const AT_ONCE: usize = 200;
    let mut world = sleepy();
    world.options.shards = 2;
    world.options.max_live = 1_000;
    let run = world.run("a");
    let saga = chain(&["a"]);
    let ids: Vec<_> = (0..SLEEPERS).map(|n| format!("g{n}")).collect();
    for some in ids.chunks(AT_ONCE) {
        let begun = some.iter().map(|id| run.start(id, &saga));
        futures_util::future::join_all(begun).await;
        futures_util::future::join_all(some.iter().map(|id| run.asleep(id))).await;
    }
    assert_eq!(run.engine.live_count(), 0);
    let next = world.run("b");
    next.recover().await;
    assert_eq!(
        next.engine.live_count(),
        0,
        "sleeping ones are taken over asleep"
    );
    world.pass(LONG - Duration::from_secs(1), &next).await;
    for some in ids.chunks(AT_ONCE) {
        next.wake().await;
        assert!(next.engine.live_count() <= 1_500);
        futures_util::future::join_all(some.iter().map(|id| next.change(id, 0))).await;
    }
    for id in &ids {
        while next
            .engine
            .get(&gid(id))
            .await
            .unwrap()
            .transaction
            .public_state()
            == PublicState::Running
        {
            world.pass(Duration::from_secs(1), &next).await;
            next.wake().await;
            if next.change(id, 0).await.is_some() {
                assert_eq!(next.ended(id).await, PublicState::Succeeded);
            }
        }
    }
    assert_eq!(world.script.keys().len(), 2 * SLEEPERS);
}
