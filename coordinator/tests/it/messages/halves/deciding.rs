//! Verdicts: one stands, and what is delivered follows it.

use std::time::Duration;

use amends_coordinator::clock::monotonic;
use amends_coordinator::messages::{MessagesError, NewMessage};
use amends_core::message::MessageState;
use amends_core::message::half::{HalfState, Verdict};
use amends_core::time::Millis;
use futures_util::FutureExt as _;

use super::scene::{Producer, live};
use crate::messages::place::Place;
use crate::messages::sized;
use crate::messages::world::{World, body, delayed, id, keyed, message, named, subscription};

const RACES: usize = 1_000;

pub(crate) async fn of_two_verdicts_at_once_one_stands(place: &Place<'_>) {
    use Verdict::{Commit, Rollback};
    let (world, producer) = (World::new(place), Producer::new());
    let live = live(&world, "a", &producer).await;
    let mut consumer = live.run.consumer(&subscription("g", "t"), 100).await;
    let mut committed = Vec::new();
    for race in 0..RACES {
        let name = format!("h{race}");
        live.prepare(&name, vec![named(&name, "t", &name)]).await;
        let (first, second) = match race % 3 {
            0 => (Commit, Rollback),
            1 => (Rollback, Commit),
            _ => (Commit, Commit),
        };
        let (one, two) = tokio::join!(live.decide(&name, first), live.decide(&name, second));
        let mut wins = 0;
        for (verdict, told) in [(first, &one), (second, &two)] {
            let stored = live.get(&name).await.state();
            match told {
                Ok((state, changed)) => {
                    assert_eq!((*state, stored), (verdict.state(), verdict.state()));
                    wins += usize::from(*changed);
                }
                Err(MessagesError::HalfDecided {
                    verdict: stands, ..
                }) => {
                    assert_ne!(*stands, verdict);
                    assert_eq!(stored, stands.state());
                }
                Err(other) => panic!("{name}: {other}"),
            }
        }
        // Also of two that say the same at the same moment.
        assert_eq!(wins, 1, "{name}: {one:?} {two:?}");
        if live.get(&name).await.state() == HalfState::Committed {
            committed.push(name);
        }
    }
    let mut delivered: Vec<_> = consumer
        .drain(committed.len())
        .await
        .iter()
        .map(body)
        .collect();
    delivered.sort_unstable();
    committed.sort_unstable();
    assert_eq!(delivered, committed);
    let last = live.run.publish(message("t", "last")).await;
    assert_eq!(consumer.next().await.message.id, last, "nothing came twice");
}

/// Several messages, some later, some in order; all delays count from the commit.
pub(crate) async fn delays_begin_and_order_holds_with_the_commit(place: &Place<'_>) {
    let (world, producer) = (World::new(place), Producer::new());
    let live = live(&world, "a", &producer).await;
    let mut consumer = live.run.consumer(&subscription("g", "t"), 100).await;
    live.prepare("first", vec![keyed("t", "k", "1"), keyed("t", "k", "2")])
        .await;
    live.prepare("second", vec![keyed("t", "k", "3")]).await;
    let later = delayed("t", "later", Millis::from_secs(10));
    let now = message("t", "now");
    live.prepare("mixed", vec![later, now]).await;
    live.pass(Duration::from_secs(4)).await;
    for name in ["mixed", "second", "first"] {
        live.decide(name, Verdict::Commit).await.unwrap();
    }
    // In the order of the commits, and of the call.
    let mut came = Vec::new();
    for _ in 0..4 {
        let handed = consumer.next().await;
        came.push(body(&handed));
        consumer.done(&handed).await;
    }
    let ordered: Vec<_> = came.iter().filter(|it| *it != "now").collect();
    assert_eq!(ordered, ["3", "1", "2"]);
    live.pass(Duration::from_millis(9_999)).await;
    assert!(consumer.has_nothing(), "ten seconds after the commit");
    live.pass(Duration::from_millis(1)).await;
    assert_eq!(body(&consumer.next().await), "later");
}

/// The verdict is the visibility: in the store they are one row, so whatever a
/// crash leaves, both are there or neither. With a broker outside, the groups have
/// no rows to look at.
pub(crate) async fn a_verdict_is_visible_or_not_given(place: &Place<'_>) {
    let (world, producer) = (World::new(place), Producer::new());
    let mut names = Vec::new();
    for round in 0..20 {
        let first = live(&world, &format!("a{round:02}"), &producer).await;
        first.run.consumer(&subscription("g", "t"), 1).await;
        let name = format!("h{round}");
        first.prepare(&name, vec![named(&name, "t", &name)]).await;
        // Given up at another moment each time.
        let mut deciding = Box::pin(first.decide(&name, Verdict::Commit));
        for _ in 0..round {
            if (&mut deciding).now_or_never().is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(deciding);
        first.crash().await;
        names.push(name);
    }
    let last = live(&world, "b", &producer).await;
    for name in &names {
        let state = last.get(name).await.state();
        let message = last.run.messages.get(&id(name)).await.unwrap();
        let ready = message.deliveries.len();
        match state {
            HalfState::Committed => assert_eq!(
                (message.stored.state, ready),
                (MessageState::Published, 1),
                "{name}"
            ),
            HalfState::Prepared => assert_eq!(
                (message.stored.state, ready),
                (MessageState::Prepared, 0),
                "{name}"
            ),
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// What has ended goes with its retention, and leaves nothing in any table. With a
/// broker outside, nobody waits until it is noted that a message is published.
#[expect(clippy::print_stdout, reason = "for whoever measures")]
pub(crate) async fn nothing_grows_when_all_has_ended(place: &Place<'_>) {
    let pairs = sized(600, 100_000);
    let (world, producer) = (World::new(place), Producer::new());
    let live = live(&world, "a", &producer).await;
    let mut consumer = live.run.consumer(&subscription("g", "t"), 100).await;
    let messages = |n: usize| -> Vec<NewMessage> { vec![message("t", "x"); n % 3 + 1] };
    let mut expected = 0;
    let begun = monotonic();
    for n in 0..pairs {
        let name = format!("h{n}");
        live.prepare(&name, messages(n)).await;
        let verdict = match n % 4 {
            0 => Verdict::Rollback,
            _ => {
                expected += n % 3 + 1;
                Verdict::Commit
            }
        };
        live.decide(&name, verdict).await.unwrap();
    }
    println!(
        "{pairs} decided one after the other in {:?}",
        begun.elapsed()
    );
    consumer.drain(expected).await;
    // Writes what is known of the deliveries.
    live.run.messages.stop().await;
    live.pass(Duration::from_secs(60)).await;
    let now = live.run.messages.clock().now();
    let begun = monotonic();
    while live.run.messages.remove(now, 500).await.unwrap() > 0 {}
    println!("{expected} delivered and removed in {:?}", begun.elapsed());
    let all = amends_coordinator::store::messages::HalfFilter {
        limit: 1,
        ..Default::default()
    };
    assert!(live.halves.list(&all).await.unwrap().is_empty());
    assert!(live.halves.backlogs().await.unwrap().is_empty());
    assert_eq!(place.store.rows_of_messages().await, 0);
}
