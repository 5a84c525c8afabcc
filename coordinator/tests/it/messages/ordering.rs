//! Messages with order keys.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use amends_coordinator::messages::{Handed, Settlement, Verdict};
use amends_core::message::{RetrySchedule, Subscription};
use amends_core::time::Millis;

use super::place::Place;
use super::sized;
use super::world::{Consumer, Run, World, body, keyed, patiently, subscription};

/// Fails at once and for ever short; never dead.
fn eager() -> Subscription {
    Subscription {
        retry: RetrySchedule::new(64, vec![Millis(1)]).unwrap(),
        ..subscription("g", "t")
    }
}

/// What consumers saw of each key.
#[derive(Default)]
struct Ledger {
    /// The next number of each key.
    next: BTreeMap<String, usize>,
    /// Keys that somebody has now.
    held: BTreeSet<String>,
    ended: usize,
    /// Whether what has ended may come once more, as after a cut connection to a broker.
    repeats: bool,
}

impl Ledger {
    fn key(handed: &Handed) -> String {
        let key = handed.message.order_key.as_ref();
        key.unwrap().as_str().to_owned()
    }

    fn number(handed: &Handed) -> usize {
        body(handed).parse().unwrap()
    }

    fn took(&mut self, handed: &Handed) {
        let key = Self::key(handed);
        let next = *self.next.entry(key.clone()).or_default();
        let number = Self::number(handed);
        let is_repeated = self.repeats && number < next;
        assert!(
            number == next || is_repeated,
            "{number} of key {key}, not {next}"
        );
        assert!(self.held.insert(key), "two of one key at once");
    }

    fn gave_back(&mut self, handed: &Handed) {
        assert!(self.held.remove(&Self::key(handed)));
    }

    fn ended(&mut self, handed: &Handed) {
        self.gave_back(handed);
        let next = self.next.entry(Self::key(handed)).or_default();
        // What comes once more is known to the consumer log.
        if Self::number(handed) == *next {
            *next += 1;
            self.ended += 1;
        }
    }
}

async fn publish_all(run: &Run, keys: usize, each: usize) {
    let numbered = (0..each).flat_map(|n| (0..keys).map(move |key| (key, n)));
    let new: Vec<_> = numbered
        .map(|(key, n)| keyed("t", &format!("k{key}"), &n.to_string()))
        .collect();
    for batch in new.chunks(200) {
        run.messages.publish(batch.to_vec()).await.unwrap();
    }
}

/// Every seventh attempt fails.
fn fails(attempt: usize) -> bool {
    attempt.is_multiple_of(7)
}

/// Consumers take batches in turns until all messages have ended.
async fn consume_all(consumers: &mut [Consumer], ledger: &mut Ledger, all: usize) {
    let mut attempt = 0;
    while ledger.ended < all {
        // Each has its turn: what nobody took out of a consumer's hands for 30 s is given to another.
        consumers.rotate_left(1);
        let batches = consumers.iter_mut().map(|it| Box::pin(it.batch()));
        let (batch, who, rest) = patiently(futures_util::future::select_all(batches)).await;
        drop(rest);
        for handed in &batch {
            ledger.took(handed);
        }
        let mut settlements = Vec::new();
        for handed in &batch {
            attempt += 1;
            let verdict = if fails(attempt) {
                ledger.gave_back(handed);
                super::world::again("the seventh")
            } else {
                ledger.ended(handed);
                Verdict::Done
            };
            settlements.push(Settlement {
                token: handed.token,
                verdict,
            });
        }
        let settled = consumers[who].handle.settle(settlements).await.unwrap();
        assert!(settled.stale.is_empty());
    }
}

/// The full size (1,000 keys with 100 messages each) takes 40 s and more in a debug build: it
/// is played with `AMENDS_TEST_FULL_SIZE=1`.
pub(super) async fn keys_keep_their_order_through_failures(place: &Place<'_>) {
    let (keys, each) = (sized(100, 1_000), sized(50, 100));
    let mut world = World::new(place);
    world.lanes = 4;
    world.options.poll = Duration::from_millis(50);
    let run = world.run_in_real_time("a").await;
    let mut consumers = Vec::new();
    for _ in 0..8 {
        consumers.push(run.consumer(&eager(), 50).await);
    }
    let mut ledger = Ledger::default();
    // At the same time: a consumer that has messages and is not heard of for 30 s loses them.
    tokio::join!(
        publish_all(&run, keys, each),
        consume_all(&mut consumers, &mut ledger, keys * each)
    );
    assert!(ledger.next.values().all(|next| *next == each));
}

/// RabbitMQ's connections are cut while messages are published, tried, retried and acknowledged.
pub(super) async fn keys_keep_their_order_over_cut_connections(place: &Place<'_>) {
    const CUTS: usize = 4;
    let (keys, each) = (sized(40, 1_000), sized(25, 100));
    let mut world = World::new(place);
    world.lanes = 4;
    world.options.poll = Duration::from_millis(50);
    let run = world.run_in_real_time("a").await;
    let mut consumers = Vec::new();
    for _ in 0..8 {
        consumers.push(run.consumer(&eager(), 10).await);
    }
    let mut ledger = Ledger {
        repeats: true,
        ..Ledger::default()
    };
    let consume = async {
        for part in 1..=CUTS {
            consume_all(&mut consumers, &mut ledger, keys * each * part / (CUTS + 1)).await;
            place.cut();
        }
        consume_all(&mut consumers, &mut ledger, keys * each).await;
    };
    tokio::join!(publish_all(&run, keys, each), consume);
    assert!(ledger.next.values().all(|next| *next == each));
}

pub(super) async fn a_dead_message_lets_its_key_go_on(place: &Place<'_>) {
    let world = World::new(place);
    let run = world.run("a").await;
    let mut consumer = run.consumer(&subscription("g", "t"), 10).await;
    for n in 0..2 {
        run.publish(keyed("t", "k", &n.to_string())).await;
    }
    run.publish(keyed("t", "other", "free")).await;
    let first = consumer.next().await;
    let free = consumer.next().await;
    assert_eq!((body(&first), body(&free)), ("0".into(), "free".into()));
    consumer.again(&first, "poison").await;
    for wait in [1, 2] {
        consumer.handle.add_credit(1).await.unwrap();
        assert!(consumer.has_nothing(), "the key is blocked");
        run.pass(Duration::from_secs(wait)).await;
        let again = consumer.next().await;
        assert_eq!(body(&again), "0");
        consumer.again(&again, "poison").await;
    }
    assert_eq!(body(&consumer.next().await), "1");
}

/// Consumers come and go, with messages in their hands and without.
pub(super) async fn keys_keep_their_order_over_consumers_that_come_and_go(place: &Place<'_>) {
    const KEYS: usize = 20;
    const EACH: usize = 40;
    let mut world = World::new(place);
    world.lanes = 4;
    world.options.poll = Duration::from_millis(50);
    let run = world.run_in_real_time("a").await;
    run.messages.subscribe(eager()).await.unwrap();
    publish_all(&run, KEYS, EACH).await;
    let mut ledger = Ledger::default();
    let mut round: usize = 0;
    while ledger.ended < KEYS * EACH {
        round += 1;
        let mut consumer = run.consumer(&eager(), 7).await;
        for _ in 0..10 {
            if ledger.ended >= KEYS * EACH {
                break;
            }
            let handed = consumer.next().await;
            ledger.took(&handed);
            if round.is_multiple_of(3) {
                // Goes away with it.
                ledger.gave_back(&handed);
                break;
            }
            ledger.ended(&handed);
            consumer.done(&handed).await;
        }
    }
    assert!(ledger.next.values().all(|next| *next == EACH));
}

pub(super) async fn keys_keep_their_order_over_a_restart(place: &Place<'_>) {
    const KEYS: usize = 5;
    const EACH: usize = 60;
    let mut world = World::new(place);
    world.lanes = 4;
    let mut ledger = Ledger::default();
    let run = world.run("a").await;
    let mut consumer = run.consumer(&subscription("g", "t"), 10).await;
    publish_all(&run, KEYS, EACH).await;
    let mut blocked = None;
    while ledger.ended < 50 || blocked.is_none() {
        let handed = consumer.next().await;
        ledger.took(&handed);
        if blocked.is_none() {
            ledger.gave_back(&handed);
            consumer.again(&handed, "blocks its key").await;
            blocked = Some(Ledger::key(&handed));
        } else {
            ledger.ended(&handed);
            consumer.done(&handed).await;
        }
    }
    run.stop().await;
    let next = world.run("b").await;
    let mut consumer = next.consumer(&subscription("g", "t"), 10).await;
    while ledger.ended < (KEYS - 1) * EACH {
        let handed = consumer.next().await;
        assert_ne!(Some(Ledger::key(&handed)), blocked);
        ledger.took(&handed);
        ledger.ended(&handed);
        consumer.done(&handed).await;
    }
    next.pass(Duration::from_secs(1)).await;
    while ledger.ended < KEYS * EACH {
        let handed = consumer.next().await;
        ledger.took(&handed);
        ledger.ended(&handed);
        consumer.done(&handed).await;
    }
    assert!(ledger.next.values().all(|next| *next == EACH));
}
