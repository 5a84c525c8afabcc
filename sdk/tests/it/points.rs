//! A service that awards points for orders that were paid. What it does wrong
//! is part of the message, so that one service serves all tests.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends::proto;
use amends::{
    Conn, Database, Message, Participant, RunningParticipant, Service, ServiceBuilder, ServiceDef,
    StepError, StepResult, Subscription, args, reject,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::broker::Broker;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Then {
    Succeed,
    Refuse,
    Fail,
    /// Fails at the first attempt.
    FailOnce,
    Panic,
    NotYet,
    /// Waits for the test to open the gate.
    Wait,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Paid {
    pub(crate) order: String,
    pub(crate) then: Then,
}

/// The service, and what the test looks at.
#[derive(Clone)]
pub(crate) struct Points {
    pub(crate) watch: Arc<Watch>,
    subscriptions: Vec<Subscription>,
}

pub(crate) struct Watch {
    pub(crate) runs: AtomicU32,
    pub(crate) arrived: Semaphore,
    pub(crate) gate: Semaphore,
    /// Order keys whose handler runs, and how often two of one ran at once.
    running: Mutex<HashMap<String, u32>>,
    pub(crate) overlaps: AtomicU32,
    pub(crate) order: Mutex<Vec<String>>,
}

impl Points {
    pub(crate) async fn with_tables(database: &Database, subscriptions: &[Subscription]) -> Self {
        let mut conn = database.begin().await.unwrap();
        conn.execute_text(
            "create table awards (msg_id varchar(128) not null, topic varchar(128) not null)",
        )
        .await
        .unwrap();
        conn.commit().await.unwrap();
        Self {
            subscriptions: subscriptions.to_vec(),
            watch: Arc::new(Watch {
                runs: AtomicU32::new(0),
                arrived: Semaphore::new(0),
                gate: Semaphore::new(0),
                running: Mutex::default(),
                overlaps: AtomicU32::new(0),
                order: Mutex::default(),
            }),
        }
    }

    pub(crate) async fn start(&self, database: &Database, broker: &Broker) -> RunningParticipant {
        let builder = Participant::builder(database.clone()).service(self.clone());
        builder.coordinator(broker.url()).start().await.unwrap()
    }

    pub(crate) fn runs(&self) -> u32 {
        self.watch.runs.load(Ordering::SeqCst)
    }

    async fn award(&self, conn: &mut Conn, msg: Message<Paid>) -> StepResult<()> {
        self.watch.runs.fetch_add(1, Ordering::SeqCst);
        let key = msg.order_key.clone();
        if !key.is_empty() {
            *self
                .watch
                .running
                .lock()
                .unwrap()
                .entry(key.clone())
                .or_default() += 1;
        }
        conn.execute(
            "insert into awards values (?, ?)",
            args![&msg.id, &msg.topic],
        )
        .await?;
        tokio::task::yield_now().await;
        if !key.is_empty() {
            let mut running = self.watch.running.lock().unwrap();
            let mine = running.entry(key).or_default();
            self.watch.overlaps.fetch_add(*mine - 1, Ordering::SeqCst);
            *mine -= 1;
        }
        match msg.body.then {
            Then::FailOnce if msg.attempt > 1 => {}
            Then::Succeed => {}
            Then::Refuse => reject!("NO_ACCOUNT", "for {}", msg.body.order),
            Then::Fail | Then::FailOnce => return Err(StepError::unknown("the lamp went out")),
            Then::Panic => panic!("the lamp fell over"),
            Then::NotYet => {
                return Err(StepError::InProgress {
                    retry_after: Some(Duration::from_secs(7)),
                });
            }
            Then::Wait => {
                self.watch.arrived.add_permits(1);
                self.watch.gate.acquire().await?.forget();
            }
        }
        self.watch.order.lock().unwrap().push(msg.body.order);
        Ok(())
    }
}

impl Service for Points {
    const NAME: &'static str = "points";

    fn define(self: Arc<Self>) -> ServiceDef {
        let subscriptions = self.subscriptions.clone();
        let mut builder = ServiceBuilder::new(Self::NAME, self);
        for subscription in subscriptions {
            builder = builder.on_message(subscription, |points, conn, msg| {
                Box::pin(points.award(conn, msg))
            });
        }
        builder.build()
    }
}

/// A message that an order was paid.
pub(crate) fn paid(id: &str, then: Then) -> proto::Message {
    let body = Paid {
        order: id.to_owned(),
        then,
    };
    proto::Message {
        id: id.to_owned(),
        topic: "payTopic".to_owned(),
        tag: "pay_success".to_owned(),
        payload: Some(proto::Payload {
            content_type: "application/json".to_owned(),
            data: serde_json::to_vec(&body).unwrap().into(),
        }),
        ..proto::Message::default()
    }
}

/// How many awards are committed.
pub(crate) async fn awards(database: &Database, and: &str) -> i64 {
    let mut conn = database.begin().await.unwrap();
    let sql = format!("select count(*) from awards where 1 = 1 {and}");
    conn.fetch_one(&sql, args![]).await.unwrap().at(0).unwrap()
}
