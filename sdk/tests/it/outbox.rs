//! The outbox: what commits is published, in order, though relays freeze, die
//! and find nobody. The end state is checked in the database and at the coordinator.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use amends::outbox::{self, Relay, State};
use amends::{Client, Database, DatabaseError, NewMessage, args};
use tokio::sync::Notify;
use tonic::Status;

use crate::broker::{Broker, Fault};
use crate::databases::on_every_database;

on_every_database!(
    what_commits_is_published_and_nothing_else,
    a_crash_between_sending_and_noting_publishes_once,
    a_frozen_relay_changes_nothing_when_it_wakes,
    order_holds_though_one_fails,
    what_is_refused_for_good_fails_and_can_be_sent_again,
    limits_end_the_attempts,
    sent_messages_are_removed_when_old,
);

fn relay(database: &Database, broker: &Broker) -> Relay {
    Relay::new(database.clone(), Client::connect(broker.url()).unwrap())
}

async fn put(database: &Database, messages: impl IntoIterator<Item = NewMessage>) {
    let mut conn = database.begin().await.unwrap();
    for message in messages {
        conn.publish(message).await.unwrap();
    }
    conn.commit().await.unwrap();
}

fn numbered(n: usize) -> NewMessage {
    NewMessage::new("t", &n).with_id(format!("m{n:03}"))
}

async fn state(database: &Database, id: &str) -> (State, u32, String) {
    let kept = outbox::find(database, id).await.unwrap().unwrap();
    (kept.state, kept.try_count, kept.last_error)
}

/// Waits until a message has this state.
async fn until(database: &Database, id: &str, expected: State) {
    while state(database, id).await.0 != expected {
        tokio::task::yield_now().await;
    }
}

/// The lease of whoever has it is over.
async fn end_lease(database: &Database) {
    let mut conn = database.begin().await.unwrap();
    conn.execute("update message_outbox_lease set held_until = 0", args![])
        .await
        .unwrap();
    conn.commit().await.unwrap();
}

/// What waits for another attempt may be tried now.
async fn end_waits(database: &Database) {
    let mut conn = database.begin().await.unwrap();
    conn.execute("update message_outbox set next_try_at = 0", args![])
        .await
        .unwrap();
    conn.commit().await.unwrap();
}

async fn what_commits_is_published_and_nothing_else(database: Database) {
    let broker = Broker::start().await;
    let relay = relay(&database, &broker).start();
    let mut conn = database.begin().await.unwrap();
    conn.publish(numbered(0)).await.unwrap();
    conn.rollback().await.unwrap();
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(4_000_000_000_123);
    let full = NewMessage::bytes("t", "text/plain", vec![0_u8, 255])
        .with_id("full")
        .tag("tag")
        .key("Ünïcode 'key'")
        .order_key("o")
        .header("amount", "5 \"");
    put(
        &database,
        [
            full.deliver_at(at),
            numbered(1).delay(Duration::from_secs(3600)),
        ],
    )
    .await;
    // The same id again changes nothing.
    put(&database, [NewMessage::new("t", &"other").with_id("full")]).await;
    assert_eq!(broker.published(2).await, ["full", "m001"]);
    let sent = broker.message("full");
    assert_eq!(
        (sent.topic.as_str(), sent.tag.as_str(), sent.key.as_str()),
        ("t", "tag", "Ünïcode 'key'")
    );
    assert_eq!(
        (sent.order_key.as_str(), sent.headers["amount"].as_str()),
        ("o", "5 \"")
    );
    let time = sent.deliver_time.unwrap();
    assert_eq!((time.seconds, time.nanos), (4_000_000_000, 123_000_000));
    let payload = sent.payload.unwrap();
    assert_eq!(
        (payload.content_type.as_str(), &payload.data[..]),
        ("text/plain", &[0, 255][..])
    );
    let delayed = broker.message("m001").deliver_time.unwrap().seconds;
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs() as i64;
    assert!((now + 3000..now + 4000).contains(&delayed), "{delayed}");
    until(&database, "m001", State::Sent).await;
    assert_eq!(
        state(&database, "full").await,
        (State::Sent, 1, String::new())
    );
    assert_eq!(outbox::find(&database, "m000").await.unwrap(), None);
    relay.shutdown().await;
}

async fn a_crash_between_sending_and_noting_publishes_once(database: Database) {
    let broker = Broker::start().await;
    let never = Arc::new(Notify::new());
    broker.fault(Fault::HoldAnswer(Arc::clone(&never)));
    put(&database, (0..5).map(numbered)).await;
    let dies = tokio::spawn(relay(&database, &broker).run());
    broker.published(5).await;
    dies.abort();
    dies.await.unwrap_err();
    assert_eq!(state(&database, "m000").await.0, State::Sending);
    end_lease(&database).await;
    let _next = relay(&database, &broker).start();
    until(&database, "m004", State::Sent).await;
    assert_eq!(broker.published(5).await.len(), 5);
    broker.publish_calls(2).await;
}

async fn a_frozen_relay_changes_nothing_when_it_wakes(database: Database) {
    let broker = Broker::start().await;
    let gate = Arc::new(Notify::new());
    // It learns that the coordinator is away, but only once another one works.
    broker.fault(Fault::HoldThenRefuse(
        Arc::clone(&gate),
        Status::invalid_argument("no"),
    ));
    put(&database, [numbered(0)]).await;
    let frozen = relay(&database, &broker).start();
    broker.publish_calls(1).await;
    end_lease(&database).await;
    let second = Arc::new(Notify::new());
    broker.fault(Fault::Hold(Arc::clone(&second)));
    let works = relay(&database, &broker).start();
    broker.publish_calls(2).await;
    // The frozen one wakes while the message is not yet noted as sent.
    gate.notify_one();
    frozen.shutdown().await;
    assert_eq!(
        state(&database, "m000").await,
        (State::Sending, 0, String::new())
    );
    second.notify_one();
    until(&database, "m000", State::Sent).await;
    assert_eq!(state(&database, "m000").await.1, 1);
    assert_eq!(broker.published(1).await, ["m000"]);
    works.shutdown().await;
}

async fn order_holds_though_one_fails(database: Database) {
    let broker = Broker::start().await;
    let lane = |n: usize| numbered(n).order_key("o");
    put(&database, [lane(0), lane(1)]).await;
    broker.fault(Fault::Refuse(Status::permission_denied("not yet")));
    let running = relay(&database, &broker).start();
    while state(&database, "m001").await.1 == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(state(&database, "m000").await.2, "not allowed: not yet");
    // Behind those that wait; the one without an order key overtakes them.
    put(&database, [lane(2), numbered(3)]).await;
    end_waits(&database).await;
    let published = broker.published(4).await;
    let of_lane: Vec<_> = published.iter().filter(|id| *id != "m003").collect();
    assert_eq!(of_lane, ["m000", "m001", "m002"]);
    running.shutdown().await;
}

async fn what_is_refused_for_good_fails_and_can_be_sent_again(database: Database) {
    let broker = Broker::start().await;
    let poison = NewMessage::new("poison", &1).with_id("poison");
    put(&database, [numbered(0), poison, numbered(1)]).await;
    let running = relay(&database, &broker).start();
    until(&database, "m001", State::Sent).await;
    until(&database, "poison", State::Failed).await;
    assert_eq!(state(&database, "m000").await.0, State::Sent);
    let failed = outbox::list(&database, State::Failed, 10).await.unwrap();
    assert_eq!(failed.len(), 1);
    assert!(
        failed[0].last_error.contains("not this one"),
        "{:?}",
        failed[0]
    );
    assert!(!outbox::resend(&database, "m000").await.unwrap());
    broker.heal();
    assert!(outbox::resend(&database, "poison").await.unwrap());
    until(&database, "poison", State::Sent).await;
    running.shutdown().await;
}

async fn limits_end_the_attempts(database: Database) {
    let broker = Broker::start().await;
    for _ in 0..2 {
        broker.fault(Fault::Refuse(Status::permission_denied("never")));
    }
    put(&database, [numbered(0)]).await;
    let running = relay(&database, &broker).max_attempts(2).start();
    while state(&database, "m000").await.1 < 1 {
        tokio::task::yield_now().await;
    }
    end_waits(&database).await;
    until(&database, "m000", State::Failed).await;
    assert_eq!(state(&database, "m000").await.1, 2);
    running.shutdown().await;
}

async fn sent_messages_are_removed_when_old(database: Database) {
    let broker = Broker::start().await;
    put(
        &database,
        [
            numbered(0),
            numbered(1),
            NewMessage::new("poison", &1).with_id("poison"),
        ],
    )
    .await;
    let running = relay(&database, &broker).start();
    until(&database, "m001", State::Sent).await;
    until(&database, "poison", State::Failed).await;
    running.shutdown().await;
    let age = async |which: &str| -> Result<(), DatabaseError> {
        let mut conn = database.begin().await?;
        let sql = "update message_outbox set updated_at = '2001-01-01 00:00:00' where id ";
        conn.execute_text(&format!("{sql} {which}")).await?;
        conn.commit().await
    };
    age("in ('m000', 'poison')").await.unwrap();
    let hour = Duration::from_secs(3600);
    assert_eq!(
        outbox::remove_sent_before(&database, hour).await.unwrap(),
        1
    );
    assert_eq!(outbox::find(&database, "m000").await.unwrap(), None);
    assert_eq!(state(&database, "m001").await.0, State::Sent);
    assert_eq!(state(&database, "poison").await.0, State::Failed);
}
