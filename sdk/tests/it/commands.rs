//! Undo commands that come as messages, and what a service's attribute says
//! about messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use amends::proto::execute_response::Answer;
use amends::testing::{self, Handled, direct};
use amends::{
    Conn, Database, Dedupe, Message, MessageCx, NewMessage, Participant, Raw, Service, StepResult,
    Subscription, args, proto,
};
use prost::Message as _;
use tonic::Status;

use crate::broker::Broker;
use crate::databases::{on_every_database, on_sqlite};

on_every_database!(
    an_undo_by_message_happens_once_and_is_reported,
    an_undo_that_cannot_be_reported_comes_again,
);

/// Goods in stock, and who hears of them.
#[derive(Clone, Default)]
struct Stock {
    mails: Arc<AtomicU32>,
}

#[amends::service(name = "stock", cancel_on(topic = "orderTopic", tag = "order_cancel"))]
impl Stock {
    #[step(compensate = release)]
    async fn reserve(&self, conn: &mut Conn, n: i64) -> StepResult<i64> {
        conn.execute("update stock set n = n - ?", args![n]).await?;
        Ok(n)
    }

    async fn release(&self, conn: &mut Conn, _n: &i64, done: &i64) -> StepResult<()> {
        conn.execute("update stock set n = n + ?", args![*done])
            .await?;
        Ok(())
    }

    #[on_message(
        topic = "payTopic",
        tags = "pay_success || pay_late",
        group = "points",
        max_attempts = 16,
        retry = ["1s", "1m"],
        dedupe = key,
        concurrency = 4,
        prefetch = 8,
        timeout = "30s"
    )]
    async fn paid(&self, conn: &mut Conn, msg: Message<i64>) -> StepResult<()> {
        conn.execute("update stock set n = n - ?", args![msg.body])
            .await?;
        Ok(())
    }

    #[on_message(topic = "mail", filter = "amount > 10", mode = broadcasting, effects = external)]
    async fn mail(&self, cx: &MessageCx, msg: Message<Raw>) -> StepResult<()> {
        assert_eq!(cx.idempotency_key(), format!("stock/{}", msg.id));
        assert_eq!(msg.body.content_type, "text/plain");
        self.mails.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

async fn stocked(database: &Database) -> Stock {
    let mut conn = database.begin().await.unwrap();
    conn.execute_text("create table stock (n bigint not null)")
        .await
        .unwrap();
    conn.execute_text("insert into stock values (100)")
        .await
        .unwrap();
    conn.commit().await.unwrap();
    Stock::default()
}

async fn left(conn: &mut Conn) -> StepResult<i64> {
    Ok(conn
        .fetch_one("select n from stock", args![])
        .await?
        .at(0)?)
}

async fn in_stock(database: &Database) -> i64 {
    left(&mut database.begin().await.unwrap()).await.unwrap()
}

/// A command to undo what `reserve` did in these services.
fn undo(id: &str, topic: &str, services: &[&str]) -> proto::Message {
    let call = |service: &&str| proto::ExecuteRequest {
        service: (*service).to_owned(),
        step: "reserve".to_owned(),
        phase: proto::Phase::Undo.into(),
        gid: "g".to_owned(),
        branch: "reserve".to_owned(),
        attempt: 1,
        input: Some(proto::Payload {
            content_type: "application/json".to_owned(),
            data: "7".into(),
        }),
        output: None,
    };
    let command = proto::UndoCommand {
        gid: "g".to_owned(),
        calls: services.iter().map(call).collect(),
    };
    proto::Message {
        id: id.to_owned(),
        topic: topic.to_owned(),
        tag: "undo".to_owned(),
        payload: Some(proto::Payload {
            content_type: "application/x-protobuf".to_owned(),
            data: command.encode_to_vec().into(),
        }),
        ..proto::Message::default()
    }
}

async fn started(database: &Database, broker: &Broker) -> amends::RunningParticipant {
    let stock = stocked(database).await;
    let calls = direct(database, stock.clone());
    calls.run(Stock::RESERVE, "g", &7).await.unwrap();
    assert_eq!(in_stock(database).await, 93);
    let builder = Participant::builder(database.clone())
        .service(stock)
        .instance("stock-1");
    let participant = builder.coordinator(broker.url()).start().await.unwrap();
    // Its commands, the cancel message, and two handlers.
    broker.consumers(4).await;
    participant
}

async fn an_undo_by_message_happens_once_and_is_reported(database: Database) {
    let broker = Broker::start().await;
    let _participant = started(&database, &broker).await;
    let commands = "amends.commands.stock";
    broker.deliver("stock", &undo("m1", commands, &["stock", "elsewhere"]));
    broker.settled(1).await;
    assert_eq!(in_stock(&database).await, 100);
    broker.deliver("stock", &undo("m2", commands, &["stock"]));
    broker.deliver("stock", &undo("m3", "orderTopic", &["stock"]));
    broker.deliver("stock", &undo("m4", commands, &["elsewhere"]));
    let mut garbage = undo("m5", commands, &[]);
    garbage.payload.as_mut().unwrap().data = "{}".into();
    broker.deliver("stock", &garbage);
    let mut settled = broker.settled(5).await;
    settled.sort();
    let done = |id: &str| (id.to_owned(), "done".to_owned());
    assert_eq!(
        settled[..4],
        [done("m1"), done("m2"), done("m3"), done("m4")]
    );
    assert!(
        settled[4]
            .1
            .starts_with("dead: the body is no undo command"),
        "{settled:?}"
    );
    assert_eq!(in_stock(&database).await, 100);
    let reports = broker.reports();
    assert_eq!(reports.len(), 3);
    for report in reports {
        assert_eq!(
            (report.gid.as_str(), report.branch.as_str()),
            ("g", "reserve")
        );
        assert_eq!(report.phase(), proto::Phase::Undo);
        assert!(matches!(
            report.answer.unwrap().answer,
            Some(Answer::Succeeded(_))
        ));
    }
    let asked = broker.subscriptions();
    let commanded = asked
        .iter()
        .map(|asked| asked.subscription.clone().unwrap());
    let commanded = commanded.filter(|asked| asked.topic == commands);
    assert!(
        commanded.clone().count() == 1 && commanded.clone().all(|asked| asked.group == "stock")
    );
}

async fn an_undo_that_cannot_be_reported_comes_again(database: Database) {
    let broker = Broker::start().await;
    let _participant = started(&database, &broker).await;
    broker.refuse_report(Status::unavailable("restarting"));
    // Its transaction is over: nobody waits for the report.
    broker.refuse_report(Status::not_found("no such transaction"));
    broker.deliver("stock", &undo("m1", "amends.commands.stock", &["stock"]));
    let settled = broker.settled(2).await;
    assert_eq!(settled[0].1, "again: restarting");
    assert_eq!(settled[1].1, "done");
    assert_eq!(in_stock(&database).await, 100);
}

#[test]
fn the_attribute_says_what_the_builder_does() {
    let def = Arc::new(Stock::default()).define();
    let seconds = Duration::from_secs;
    let expected = [
        Subscription::to("payTopic")
            .group("points")
            .tags("pay_success || pay_late")
            .max_attempts(16)
            .retry([seconds(1), seconds(60)])
            .dedupe(Dedupe::Key)
            .concurrency(4)
            .prefetch(8)
            .timeout(seconds(30)),
        Subscription::to("mail")
            .group("stock")
            .filter("amount > 10")
            .broadcasting(),
    ];
    assert!(
        def.subscriptions().eq(&expected),
        "{:?}",
        def.subscriptions().collect::<Vec<_>>()
    );
    assert_eq!(def.steps().count(), 1);
}

#[tokio::test]
async fn a_handler_without_a_database_is_called_until_it_succeeded() {
    on_sqlite(async |database| {
        let stock = stocked(&database).await;
        let kit = testing::messages(&database, stock.clone());
        let mail = || NewMessage::bytes("mail", "text/plain", "hello").with_id("m");
        assert_eq!(kit.deliver(mail()).await.unwrap(), Handled::First);
        assert_eq!(kit.deliver(mail()).await.unwrap(), Handled::Before);
        assert_eq!(stock.mails.load(Ordering::SeqCst), 1);
        let missing = kit
            .deliver(NewMessage::new("nowhere", &1))
            .await
            .unwrap_err();
        assert!(missing.to_string().contains("there is none"), "{missing}");
    })
    .await;
}

#[tokio::test]
async fn the_test_kit_finds_what_the_log_cannot() {
    on_sqlite(async |database| {
        let stock = stocked(&database).await;
        let kit = testing::messages(&database, stock);
        let paid = |n: i64| NewMessage::new("payTopic", &n).tag("pay_success");
        kit.takes_effect_once(paid(3), async |conn| left(conn).await)
            .await
            .unwrap();
        let reset = async |conn: &mut Conn| -> StepResult<()> {
            conn.execute("update stock set n = 100", args![]).await?;
            Ok(())
        };
        let orders = [paid(1), paid(2), paid(4)];
        kit.in_any_order(orders, &reset, async |conn| left(conn).await)
            .await
            .unwrap();

        let sent = Arc::new(AtomicU32::new(0));
        let careless = testing::messages(
            &database,
            Careless {
                sent: Arc::clone(&sent),
            },
        );
        let count = async |_: &mut Conn| StepResult::Ok(sent.load(Ordering::SeqCst));
        let broken = careless
            .takes_effect_once(NewMessage::new("leaky", &3), count)
            .await
            .unwrap_err();
        assert!(
            broken.to_string().contains("a failed attempt leaves"),
            "{broken}"
        );
        let broken = careless
            .in_any_order(
                [
                    NewMessage::new("last-wins", &1),
                    NewMessage::new("last-wins", &2),
                ],
                &reset,
                async |conn| left(conn).await,
            )
            .await
            .unwrap_err();
        assert!(broken.to_string().contains("leads to"), "{broken}");
    })
    .await;
}

/// Handlers that break their promise.
struct Careless {
    sent: Arc<AtomicU32>,
}

#[amends::service(name = "careless")]
impl Careless {
    /// Has an effect outside of the transaction that it is given.
    #[on_message(topic = "leaky")]
    async fn leaky(&self, _conn: &mut Conn, _msg: Message<i64>) -> StepResult<()> {
        self.sent.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    #[on_message(topic = "last-wins")]
    async fn last_wins(&self, conn: &mut Conn, msg: Message<i64>) -> StepResult<()> {
        conn.execute("update stock set n = ?", args![msg.body])
            .await?;
        Ok(())
    }
}
