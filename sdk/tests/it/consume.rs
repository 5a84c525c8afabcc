//! Messages that reach handlers of a participant: twice, at once, out of
//! reach, failing, unreadable; and what remains in the database.
//!
//! Two defences can be taken out to see these tests fail:
//! - the consumer log: in `local` of `consumer_log/message.rs` go on when the
//!   row is not new (`if !new.await? && false`) and commit in place of `finish`;
//! - settling after the commit: in `begin_work` of `consumer/session.rs` first
//!   `self.unsent.push_back(Verdict::Done.to_proto(delivered.token))`.

use std::sync::atomic::Ordering;

use amends::conn::Dialect;
use amends::{Database, Dedupe, Participant, Subscription, args};

use crate::broker::Broker;
use crate::databases::{on_every_database, on_sqlite};
use crate::points::{Points, Then, awards, paid};

on_every_database!(
    the_same_message_at_two_instances_takes_effect_once,
    every_outcome_has_its_verdict,
    a_settlement_that_is_lost_costs_no_second_effect,
    a_consumer_that_dies_before_its_commit_leaves_nothing,
    one_business_key_takes_effect_once_per_topic,
    messages_with_one_order_key_run_one_after_the_other,
);

fn to_points() -> Subscription {
    Subscription::to("payTopic")
        .tags("pay_success")
        .group("points")
}

async fn the_same_message_at_two_instances_takes_effect_once(database: Database) {
    let count = if database.dialect() == Dialect::Sqlite {
        1000
    } else {
        100
    };
    let broker = Broker::start().await;
    let points = Points::with_tables(&database, &[to_points()]).await;
    let _one = points.start(&database, &broker).await;
    let _two = points.start(&database, &broker).await;
    broker.consumers(2).await;
    for n in 0..count {
        broker.deliver_to_all(&paid(&format!("m{n}"), Then::Succeed));
    }
    let settled = broker.settled(2 * count).await;
    assert!(
        settled.iter().all(|(_, verdict)| verdict == "done"),
        "{settled:?}"
    );
    assert_eq!(awards(&database, "").await, count as i64);
    assert_eq!(points.runs() as usize, count);
}

async fn every_outcome_has_its_verdict(database: Database) {
    let broker = Broker::start().await;
    let points = Points::with_tables(&database, &[to_points()]).await;
    let participant = points.start(&database, &broker).await;
    participant.subscribed().await;
    assert!(broker.has_consumers(1), "it was told so");
    let mut unreadable = paid("unreadable", Then::Succeed);
    unreadable.payload.as_mut().unwrap().data = b"{\"order\":".as_slice().into();
    let mut other_type = paid("other-type", Then::Succeed);
    other_type.payload.as_mut().unwrap().content_type = "text/plain".to_owned();
    let table = [
        (paid("ok", Then::Succeed), "done"),
        (
            paid("refused", Then::Refuse),
            "dead: NO_ACCOUNT: for refused",
        ),
        (paid("failing", Then::Fail), "again: the lamp went out"),
        (
            paid("panicking", Then::Panic),
            "again: the step panicked: the lamp fell over",
        ),
        (paid("later", Then::NotYet), "again after 7 s: not yet"),
        (
            unreadable,
            "dead: BODY_INVALID: the body is no it::points::Paid: EOF",
        ),
        (
            other_type,
            "dead: BODY_INVALID: the body is no it::points::Paid: it is `text/plain`",
        ),
    ];
    for (message, expected) in &table {
        broker.deliver("points", message);
        let verdict = verdict(&broker, &message.id).await;
        assert!(verdict.starts_with(expected), "{}: {verdict}", message.id);
    }
    participant.shutdown().await;
    assert_eq!(awards(&database, "").await, 1);
    let mut conn = database.begin().await.unwrap();
    let sql = "select msg_tag, status, written_by from consumer_log where msg_key = 'ok'";
    let row = conn.fetch_one(sql, args![]).await.unwrap();
    let text = |at| row.at::<String>(at).unwrap();
    assert_eq!(
        [text(0), text(1), text(2)],
        ["payTopic:pay_success", "succeeded", "message"]
    );
    let counted = "select count(*) from consumer_failure where msg_key in ('failing', 'panicking')";
    assert_eq!(
        conn.fetch_one(counted, args![])
            .await
            .unwrap()
            .at::<i64>(0)
            .unwrap(),
        2
    );
    let all = "select count(*) from consumer_log";
    assert_eq!(
        conn.fetch_one(all, args![])
            .await
            .unwrap()
            .at::<i64>(0)
            .unwrap(),
        1
    );
}

/// The first one that a message gets.
async fn verdict(broker: &Broker, id: &str) -> String {
    let mut count = 1;
    loop {
        let settled = broker.settled(count).await;
        if let Some((_, verdict)) = settled.iter().find(|(settled, _)| settled == id) {
            return verdict.clone();
        }
        count = settled.len() + 1;
    }
}

async fn a_settlement_that_is_lost_costs_no_second_effect(database: Database) {
    let broker = Broker::start().await;
    let points = Points::with_tables(&database, &[to_points()]).await;
    let _participant = points.start(&database, &broker).await;
    broker.consumers(1).await;
    broker.lose_settlements(true);
    broker.deliver("points", &paid("m", Then::Succeed));
    // The stream is cut when it wants to settle: the effect is committed.
    broker.consumers(0).await;
    assert_eq!(awards(&database, "").await, 1);
    broker.lose_settlements(false);
    assert_eq!(
        broker.settled(1).await,
        [("m".to_owned(), "done".to_owned())]
    );
    assert_eq!(awards(&database, "").await, 1);
    assert_eq!(points.runs(), 1);
}

async fn a_consumer_that_dies_before_its_commit_leaves_nothing(database: Database) {
    let broker = Broker::start().await;
    let points = Points::with_tables(&database, &[to_points()]).await;
    let dying = {
        let (points, database, broker) = (points.clone(), database.clone(), broker.clone());
        // A runtime of its own, which ends as a process does: with everything in it.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let started = runtime.spawn(async move {
            let url = crate::databases::url_of(&database);
            let own = Database::connect(&url).await.unwrap();
            std::mem::forget(points.start(&own, &broker).await);
        });
        started.await.unwrap();
        runtime
    };
    broker.consumers(1).await;
    broker.deliver("points", &paid("m", Then::Wait));
    points.watch.arrived.acquire().await.unwrap().forget();
    dying.shutdown_background();
    broker.consumers(0).await;
    assert_eq!(awards(&database, "").await, 0);
    points.watch.gate.add_permits(1);
    let _another = points.start(&database, &broker).await;
    assert_eq!(
        broker.settled(1).await,
        [("m".to_owned(), "done".to_owned())]
    );
    assert_eq!(awards(&database, "").await, 1);
}

async fn one_business_key_takes_effect_once_per_topic(database: Database) {
    let broker = Broker::start().await;
    let by_key = |topic| Subscription::to(topic).group("points").dedupe(Dedupe::Key);
    let points = Points::with_tables(&database, &[by_key("payTopic"), by_key("other")]).await;
    let _participant = points.start(&database, &broker).await;
    broker.consumers(2).await;
    for (id, topic, key) in [
        ("a", "payTopic", "order-1"),
        ("b", "payTopic", "order-1"),
        ("c", "other", "order-1"),
        ("d", "payTopic", "order-2"),
        // Without a key, by their ids.
        ("e", "payTopic", ""),
        ("f", "payTopic", ""),
    ] {
        let mut message = paid(id, Then::Succeed);
        (message.topic, message.key) = (topic.to_owned(), key.to_owned());
        broker.deliver("points", &message);
    }
    broker.settled(6).await;
    assert_eq!(awards(&database, "and topic = 'payTopic'").await, 4);
    assert_eq!(awards(&database, "and topic = 'other'").await, 1);
}

async fn messages_with_one_order_key_run_one_after_the_other(database: Database) {
    let broker = Broker::start().await;
    let points = Points::with_tables(&database, &[to_points().concurrency(8).prefetch(64)]).await;
    let _participant = points.start(&database, &broker).await;
    broker.consumers(1).await;
    for n in 0..60 {
        let mut message = paid(&format!("{n:02}"), Then::Succeed);
        message.order_key = format!("order-{}", n % 3);
        broker.deliver("points", &message);
    }
    broker.settled(60).await;
    assert_eq!(points.watch.overlaps.load(Ordering::SeqCst), 0);
    let order = points.watch.order.lock().unwrap().clone();
    for key in 0..3 {
        let of_key = order
            .iter()
            .filter(|id| id.parse::<u32>().unwrap() % 3 == key);
        assert!(of_key.is_sorted(), "{order:?}");
    }
    assert_eq!(awards(&database, "").await, 60);
}

#[tokio::test]
async fn a_shutdown_finishes_what_runs_and_begins_nothing() {
    on_sqlite(async |database| {
        let broker = Broker::start().await;
        let points = Points::with_tables(&database, &[to_points().concurrency(1)]).await;
        let participant = points.start(&database, &broker).await;
        broker.consumers(1).await;
        broker.deliver("points", &paid("runs", Then::Wait));
        points.watch.arrived.acquire().await.unwrap().forget();
        broker.deliver("points", &paid("waits", Then::Succeed));
        let open = async {
            tokio::task::yield_now().await;
            points.watch.gate.add_permits(1);
        };
        tokio::join!(participant.shutdown(), open);
        assert_eq!(
            broker.settled(1).await,
            [("runs".to_owned(), "done".to_owned())]
        );
        broker.consumers(0).await;
        assert_eq!(points.runs(), 1);
        assert_eq!(awards(&database, "").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_consumer_comes_back_and_follows_the_owner() {
    on_sqlite(async |database| {
        let (owner, other) = (Broker::start().await, Broker::start().await);
        other.is_not_owner(&owner);
        let waits = [std::time::Duration::from_secs(1)];
        let wanted = to_points()
            .filter("amount > 10")
            .max_attempts(3)
            .retry(waits)
            .prefetch(7);
        let points = Points::with_tables(&database, &[wanted]).await;
        let _participant = points.start(&database, &other).await;
        owner.consumers(1).await;
        owner.deliver("points", &paid("before", Then::Succeed));
        owner.settled(1).await;
        owner.cut();
        owner.deliver("points", &paid("after", Then::FailOnce));
        let settled = owner.settled(3).await;
        assert_eq!(settled[2], ("after".to_owned(), "done".to_owned()));
        let asked = owner.subscriptions().swap_remove(0);
        assert_eq!(asked.credit, 7);
        let subscription = asked.subscription.unwrap();
        assert_eq!(
            (subscription.max_attempts, subscription.retry_schedule.len()),
            (3, 1)
        );
        assert_eq!(
            subscription.filter,
            Some(amends::proto::subscription::Filter::Sql(
                "amount > 10".to_owned()
            ))
        );
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_subscribed_to_is_said_at_once() {
    on_sqlite(async |database| {
        let check = async |subscriptions: &[Subscription], expected: &str| {
            let mut conn = database.begin().await.unwrap();
            conn.execute_text("drop table if exists awards")
                .await
                .unwrap();
            conn.commit().await.unwrap();
            let points = Points::with_tables(&database, subscriptions).await;
            let builder = Participant::builder(database.clone()).service(points);
            let error = builder
                .coordinator("http://127.0.0.1:1")
                .start()
                .await
                .unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        };
        check(&[Subscription::to("pay topic")], "the topic has 1 to 128").await;
        check(
            &[to_points().concurrency(0)],
            "the concurrency is 1 to 1000",
        )
        .await;
        check(&[to_points().prefetch(1001)], "the prefetch is 1 to 1000").await;
        check(
            &[to_points(), to_points()],
            "has two handlers for the topic `payTopic`",
        )
        .await;
        check(&[to_points().broadcasting()], "give this instance a name").await;
    })
    .await;
}
