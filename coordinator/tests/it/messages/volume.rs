//! More than fits into memory.

use std::collections::BTreeSet;
use std::time::Duration;

use amends_coordinator::broker::BrokerStatus;
use amends_coordinator::clock::monotonic;
use amends_coordinator::messages::{NewMessage, Settlement, Verdict};
use amends_core::time::Millis;

use super::place::Place;
use super::sized;
use super::world::{Consumer, Run, World, delayed, message, patiently, subscription};

/// 100,000 as in production, where that is asked for; over RabbitMQ a debug build takes a minute for them.
fn volume(place: &Place<'_>) -> usize {
    let usual = if place.is_external() { 2_000 } else { 10_000 };
    sized(usual, 100_000)
}

#[expect(clippy::print_stdout, reason = "for whoever measures")]
async fn publish_all(run: &Run, all: usize, new: impl Fn(usize) -> NewMessage) {
    let numbers: Vec<usize> = (0..all).collect();
    let mut took = Vec::new();
    for some in numbers.chunks(250) {
        let batch = some.iter().map(|n| new(*n)).collect();
        let begun = monotonic();
        run.messages.publish(batch).await.unwrap();
        took.push(begun.elapsed());
    }
    took.sort();
    let (half, most) = (took[took.len() / 2], took[took.len() - 1]);
    println!("{all} accepted, 250 a call: half of the calls within {half:?}, all within {most:?}");
}

/// Takes everything, each once. Whoever has something meanwhile says that he lives.
async fn drain(consumer: &mut Consumer, all: usize, beside: Option<&Consumer>) {
    let mut seen = BTreeSet::new();
    while seen.len() < all {
        let batch = patiently(consumer.batch()).await;
        let settlement = |token| Settlement {
            token,
            verdict: Verdict::Done,
        };
        let settlements = batch
            .iter()
            .map(|handed| settlement(handed.token))
            .collect();
        for handed in batch {
            assert!(seen.insert(handed.message.id.clone()), "came twice");
        }
        consumer.handle.settle(settlements).await.unwrap();
        if let Some(beside) = beside {
            beside.handle.keep_alive().await.unwrap();
        }
    }
    assert!(consumer.has_nothing());
}

pub(super) async fn what_does_not_fit_into_memory_is_read_from_the_store(place: &Place<'_>) {
    let all = volume(place);
    let mut world = World::new(place);
    world.options.buffer = 600;
    world.options.poll = Duration::from_millis(50);
    let run = world.run_in_real_time("a").await;
    // It has no credit for more than one, so the rest does not fit.
    let mut idle = run.consumer(&subscription("g", "t"), 1).await;
    publish_all(&run, all, |n| message("t", &n.to_string())).await;
    let one = idle.next().await;
    let mut consumer = run.consumer(&subscription("g", "t"), 1_000).await;
    drain(&mut consumer, all - 1, Some(&idle)).await;
    idle.done(&one).await;
}

/// Accepting needs no broker; the times of the calls with one and without are printed.
pub(super) async fn a_broker_that_is_away_holds_up_nobody(place: &Place<'_>) {
    let all = sized(4_000, 100_000);
    let mut world = World::new(place);
    world.lanes = 4;
    world.options.poll = Duration::from_millis(50);
    let run = world.run_in_real_time("a").await;
    let mut consumer = run.consumer(&subscription("g", "t"), 1_000).await;
    publish_all(&run, all / 10, |n| message("t", &n.to_string())).await;
    drain(&mut consumer, all / 10, None).await;

    place.reachable(false);
    let away = async {
        while matches!(run.messages.health().status, BrokerStatus::Up) {
            tokio::task::yield_now().await;
        }
    };
    patiently(away).await;
    publish_all(&run, all, |n| message("t", &n.to_string())).await;
    let counted = async {
        loop {
            let health = run.messages.health();
            let is_down = matches!(health.status, BrokerStatus::Down(_));
            assert!(is_down, "{health:?}");
            if health.unpublished >= all || health.more_unpublished {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    patiently(counted).await;
    assert!(consumer.has_nothing());

    place.reachable(true);
    drain(&mut consumer, all, None).await;
}

pub(super) async fn many_timers_at_once(place: &Place<'_>) {
    let all = if place.is_external() {
        volume(place)
    } else {
        100_000
    };
    let world = World::new(place);
    let run = world.run("a").await;
    let mut consumer = run.consumer(&subscription("g", "t"), 1_000).await;
    publish_all(&run, all, |n| {
        let within_a_second = u64::try_from(n % 1_000).unwrap();
        delayed("t", "x", Millis(60_000 + within_a_second))
    })
    .await;
    assert!(consumer.has_nothing());
    run.pass(Duration::from_secs(61)).await;
    drain(&mut consumer, all, None).await;
    let health = run.messages.health();
    let broker = if place.is_external() {
        "rabbitmq"
    } else {
        "embedded"
    };
    assert_eq!(health.broker, broker);
}
