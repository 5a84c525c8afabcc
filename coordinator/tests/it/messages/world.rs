//! Messages over a place, a clock that only the test moves, and consumers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use amends_coordinator::broker::ExternalBroker;
use amends_coordinator::clock::{Clock, SystemClock};
use amends_coordinator::config::Migrate;
use amends_coordinator::messages::{
    ConsumerHandle, Deliver, Deliveries, Handed, Join, MessageOptions, MessageParts, Messages,
    NewMessage, Settled, Settlement, Verdict,
};
use amends_coordinator::store::messages::{MessageStore, StoredDelivery};
use amends_core::message::{
    Filter, GroupName, Headers, MessageId, MessageKey, MessageState, Mode, OrderKey, RetrySchedule,
    Subscription, Tag, Topic,
};
use amends_core::payload::Payload;
use amends_core::time::{Millis, Timestamp};
use tokio::task::JoinSet;

use super::place::Place;

/// How long something that must happen may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A clock that stands still until it is moved.
pub(super) struct TestClock {
    passed: AtomicI64,
    origin: Instant,
}

const BEGINNING: i64 = 1_000_000;

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(BEGINNING + self.passed.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Instant {
        let passed = u64::try_from(self.passed.load(Ordering::SeqCst)).unwrap();
        self.origin + Duration::from_millis(passed)
    }
}

pub(super) struct World<'a> {
    place: &'a Place<'a>,
    pub(super) clock: Arc<TestClock>,
    pub(super) options: MessageOptions,
    /// Of an external broker; with one, everything comes in the order in which it was published.
    pub(super) lanes: u32,
}

impl<'a> World<'a> {
    pub(super) fn new(place: &'a Place<'a>) -> Self {
        let clock = TestClock {
            passed: AtomicI64::new(0),
            origin: amends_coordinator::clock::monotonic(),
        };
        Self {
            place,
            clock: Arc::new(clock),
            options: MessageOptions::default(),
            lanes: 1,
        }
    }

    pub(super) async fn run(&self, incarnation: &str) -> Run {
        self.run_by(incarnation, self.clock.clone()).await
    }

    /// The store, once the last task of a run that was killed has let go of its file.
    async fn open(&self, incarnation: &str) -> Arc<dyn MessageStore> {
        loop {
            let store = self.place.store;
            match store.try_open(incarnation, Migrate::Auto).await {
                Ok(stores) => return stores.messages,
                Err(error) if error.code() == "STORE_LOCKED" => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// A run by the machine's clock.
    pub(super) async fn run_in_real_time(&self, incarnation: &str) -> Run {
        self.run_by(incarnation, Arc::new(SystemClock)).await
    }

    async fn run_by(&self, incarnation: &str, clock: Arc<dyn Clock>) -> Run {
        let broker = self.place.broker(self.lanes).await;
        self.run_over(incarnation, clock, broker).await
    }

    /// A run by the clock of the test over a broker of the test.
    pub(super) async fn run_with(&self, incarnation: &str, broker: Arc<dyn ExternalBroker>) -> Run {
        self.run_over(incarnation, self.clock.clone(), Some(broker))
            .await
    }

    async fn run_over(
        &self,
        incarnation: &str,
        clock: Arc<dyn Clock>,
        broker: Option<Arc<dyn ExternalBroker>>,
    ) -> Run {
        let store = patiently(self.open(incarnation)).await;
        let open = Arc::downgrade(&store);
        let parts = MessageParts {
            store,
            broker,
            clock,
            options: self.options.clone(),
        };
        let (messages, tasks) = Messages::start(parts).await.unwrap();
        while messages.adopt(500).await.unwrap() > 0 {}
        Run {
            messages,
            tasks,
            open,
            clock: self.clock.clone(),
        }
    }
}

/// A run of the messages' part of a coordinator.
pub(super) struct Run {
    pub(super) messages: Messages,
    tasks: JoinSet<()>,
    /// A store takes one coordinator at a time.
    open: Weak<dyn MessageStore>,
    clock: Arc<TestClock>,
}

impl Run {
    pub(super) async fn publish(&self, new: NewMessage) -> MessageId {
        let accepted = self.messages.publish(vec![new]).await.unwrap();
        accepted.into_iter().next().unwrap().id
    }

    pub(super) async fn consumer(&self, subscription: &Subscription, credit: u32) -> Consumer {
        self.instance(subscription, "i", credit).await
    }

    pub(super) async fn instance(
        &self,
        subscription: &Subscription,
        instance: &str,
        credit: u32,
    ) -> Consumer {
        let join = Join {
            subscription: subscription.clone(),
            instance_id: instance.to_owned(),
            credit,
        };
        let (handle, deliveries) = self.messages.consume(join).await.unwrap();
        Consumer {
            handle,
            deliveries,
            handed: Vec::new(),
        }
    }

    /// Time passes, and everybody hears of it.
    pub(super) async fn pass(&self, span: Duration) {
        let millis = i64::try_from(span.as_millis()).unwrap();
        self.clock.passed.fetch_add(millis, Ordering::SeqCst);
        self.messages.look().await;
    }

    pub(super) async fn delivery(&self, id: &MessageId, group: &str) -> Option<StoredDelivery> {
        let view = self.messages.get(id).await.unwrap();
        let of = |row: &StoredDelivery| row.group.as_str() == group;
        view.deliveries.into_iter().find(of)
    }

    /// Waits until a row of a group says what it should.
    pub(super) async fn until(
        &self,
        id: &MessageId,
        group: &str,
        holds: impl Fn(&StoredDelivery) -> bool,
    ) -> StoredDelivery {
        let wait = async {
            loop {
                if let Some(row) = self.delivery(id, group).await
                    && holds(&row)
                {
                    return row;
                }
                tokio::task::yield_now().await;
            }
        };
        patiently(wait).await
    }

    /// Waits until a message stands so.
    pub(super) async fn until_state(&self, id: &MessageId, state: MessageState) {
        let wait = async {
            while self.messages.get(id).await.unwrap().stored.state != state {
                tokio::task::yield_now().await;
            }
        };
        patiently(wait).await;
    }

    /// Stops in order.
    pub(super) async fn stop(self) {
        self.messages.stop().await;
        self.crash().await;
    }

    /// Ends as by `kill -9`, as far as one process can show it.
    pub(super) async fn crash(mut self) {
        drop(self.messages);
        self.tasks.shutdown().await;
        let closed = async {
            while self.open.strong_count() > 0 {
                tokio::task::yield_now().await;
            }
        };
        patiently(closed).await;
    }
}

pub(super) async fn patiently<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what)
        .await
        .expect("it happens in time")
}

/// A consumer. Dropping it is what a cut connection is.
pub(super) struct Consumer {
    pub(super) handle: ConsumerHandle,
    deliveries: Deliveries,
    handed: Vec<Handed>,
}

impl Consumer {
    /// The next message.
    pub(super) async fn next(&mut self) -> Handed {
        if self.handed.is_empty() {
            self.handed = patiently(self.deliveries.next()).await.unwrap();
            self.handed.reverse();
        }
        self.handed.pop().unwrap()
    }

    /// Whether nothing has come up to now.
    pub(super) fn has_nothing(&mut self) -> bool {
        use futures_util::FutureExt as _;
        match self.deliveries.next().now_or_never() {
            None => self.handed.is_empty(),
            Some(handed) => {
                self.handed.extend(handed.unwrap());
                self.handed.is_empty()
            }
        }
    }

    /// Whatever comes, in batches.
    pub(super) async fn batch(&mut self) -> Vec<Handed> {
        self.deliveries.next().await.unwrap()
    }

    pub(super) async fn settle(&self, handed: &Handed, verdict: Verdict) -> Settled {
        let settlement = Settlement {
            token: handed.token,
            verdict,
        };
        let settling = self.handle.settle(vec![settlement]);
        patiently(settling).await.unwrap()
    }

    pub(super) async fn done(&self, handed: &Handed) {
        let settled = self.settle(handed, Verdict::Done).await;
        assert_eq!(settled.counted, [handed.token]);
    }

    pub(super) async fn again(&self, handed: &Handed, error: &str) {
        let settled = self.settle(handed, again(error)).await;
        assert_eq!(settled.counted, [handed.token]);
    }

    /// Takes and settles messages until there were so many.
    pub(super) async fn drain(&mut self, count: usize) -> Vec<Handed> {
        let mut all = Vec::new();
        while all.len() < count {
            let handed = self.next().await;
            self.done(&handed).await;
            all.push(handed);
        }
        all
    }
}

pub(super) fn again(error: &str) -> Verdict {
    Verdict::Again {
        after: None,
        error: error.to_owned(),
    }
}

pub(super) fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

pub(super) fn group(name: &str) -> GroupName {
    GroupName::new(name).unwrap()
}

pub(super) fn id(text: &str) -> MessageId {
    MessageId::new(text).unwrap()
}

pub(super) fn message(to: &str, body: &str) -> NewMessage {
    NewMessage {
        id: None,
        topic: topic(to),
        tag: Tag::new("").unwrap(),
        key: MessageKey::new("").unwrap(),
        order_key: None,
        headers: Headers::trusted(BTreeMap::new()),
        payload: Payload::new("text/plain", body.to_owned().into()),
        deliver: Deliver::AtOnce,
    }
}

pub(super) fn named(name: &str, to: &str, body: &str) -> NewMessage {
    NewMessage {
        id: Some(id(name)),
        ..message(to, body)
    }
}

pub(super) fn keyed(to: &str, key: &str, body: &str) -> NewMessage {
    NewMessage {
        order_key: Some(OrderKey::new(key).unwrap()),
        ..message(to, body)
    }
}

pub(super) fn delayed(to: &str, body: &str, after: Millis) -> NewMessage {
    NewMessage {
        deliver: Deliver::After(after),
        ..message(to, body)
    }
}

pub(super) fn body(handed: &Handed) -> String {
    String::from_utf8(handed.message.payload.data().to_vec()).unwrap()
}

/// Three attempts, one and two seconds apart.
pub(super) fn subscription(name: &str, to: &str) -> Subscription {
    Subscription {
        group: group(name),
        topic: topic(to),
        filter: Filter::All,
        mode: Mode::Clustering,
        retry: RetrySchedule::new(3, vec![Millis(1_000), Millis(2_000)]).unwrap(),
    }
}
