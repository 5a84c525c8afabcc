//! A broker that takes no messages for a while, although it is there.

use std::collections::BTreeSet;
use std::time::Duration;

use amends_coordinator::broker::BrokerStatus;
use amends_coordinator::messages::{Settlement, Verdict};
use tokio::time::{Instant, timeout_at};

use super::place::Place;
use super::world::{Consumer, PATIENCE, Run, World, message, patiently, subscription};
use crate::rabbitmq::server::Node;

/// Messages of a call, and calls while the alarm is on.
const BATCH: usize = 10;
const CALLS: usize = 200;

fn is_blocked(run: &Run) -> bool {
    matches!(run.messages.health().status, BrokerStatus::Blocked(why) if why.contains("memory"))
}

async fn publish(run: &Run, accepted: &mut BTreeSet<String>) {
    let new = (0..BATCH).map(|_| message("t", "x"));
    let new = run.messages.publish(new.collect()).await.unwrap();
    accepted.extend(new.into_iter().map(|it| it.id.to_string()));
}

/// Takes what comes until there is so much, or that time has come. What was on its way when the alarm came may
/// come twice: nobody knew whether it had arrived.
async fn take(
    consumer: &mut Consumer,
    seen: &mut BTreeSet<String>,
    in_doubt: &BTreeSet<String>,
    all: usize,
    until: Instant,
) {
    while seen.len() < all {
        let Ok(batch) = timeout_at(until, consumer.batch()).await else {
            return;
        };
        let done = batch.iter().map(|handed| Settlement {
            token: handed.token,
            verdict: Verdict::Done,
        });
        consumer.handle.settle(done.collect()).await.unwrap();
        for handed in batch {
            let id = handed.message.id.to_string();
            let is_doubtful = in_doubt.contains(&id);
            assert!(seen.insert(id) || is_doubtful, "came twice");
        }
    }
}

/// The alarm lasts 30 s with `AMENDS_TEST_FULL_SIZE=1`, else two.
pub(super) async fn a_broker_short_of_memory_holds_up_nobody(place: &Place<'_>, node: &Node) {
    let lasts = match std::env::var_os("AMENDS_TEST_FULL_SIZE") {
        Some(_) => Duration::from_secs(30),
        None => Duration::from_secs(2),
    };
    let mut world = World::new(place);
    world.lanes = 4;
    world.options.poll = Duration::from_millis(50);
    let run = world.run_in_real_time("a").await;
    let mut consumer = run.consumer(&subscription("g", "t"), 1_000).await;
    let (mut accepted, mut seen) = (BTreeSet::new(), BTreeSet::new());

    node.control(&["set_vm_memory_high_watermark", "absolute", "1"])
        .await;
    // The server blocks a connection when something is published on it.
    patiently(async {
        while !is_blocked(&run) {
            publish(&run, &mut accepted).await;
        }
    })
    .await;
    let in_doubt = accepted.clone();
    let until = Instant::from_std(amends_coordinator::clock::monotonic()) + lasts;
    for _ in 0..CALLS {
        publish(&run, &mut accepted).await;
    }
    // What was on its way when the alarm came may still arrive; what was accepted since then does not.
    let all = accepted.len();
    take(&mut consumer, &mut seen, &in_doubt, all, until).await;
    assert!(is_blocked(&run), "{:?}", run.messages.health());
    let open = all - seen.len();
    assert!(open >= BATCH * CALLS, "{open} of {all}");
    assert!(run.messages.health().unpublished >= BATCH * CALLS);

    node.control(&["set_vm_memory_high_watermark", "0.6"]).await;
    let until = Instant::from_std(amends_coordinator::clock::monotonic()) + PATIENCE;
    take(&mut consumer, &mut seen, &in_doubt, all, until).await;
    assert_eq!(seen, accepted);
    assert_eq!(run.messages.health().status, BrokerStatus::Up);
    run.stop().await;
}
