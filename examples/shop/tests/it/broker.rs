//! Failing orders made good over RabbitMQ, while whoever carries or executes an undo is killed.
//! That the same holds without RabbitMQ, `demo` shows.

use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection, ConnectionProperties};

use crate::databases::{server, with_postgres};
use crate::demo::NAMES;
use crate::processes::run_well;

const FAILING: [&str; 14] = [
    "--scenario",
    "order",
    "--scenario",
    "no-stock",
    "--scenario",
    "no-money",
    "--scenario",
    "cancelled",
    "--scenario",
    "undo-waits",
    "--scenario",
    "undo-dies",
    "--scenario",
    "mail-away",
];

/// Everything on PostgreSQL, messages over a server of the run's own, which dies too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_made_good_although_rabbitmq_and_all_others_die() {
    with_postgres(&NAMES, async |template| {
        let store = template.replace("{service}", "coordinator");
        let place = ["--broker", "rabbitmq", "--store", &store];
        let databases = ["--shop-database", template];
        let text = run_well(&[&FAILING[..], &place, &databases].concat()).await;
        for killed in [
            "goods (process",
            "coupon (process",
            "user (process",
            "order (process",
            "coordinator (process",
            "rabbitmq: stock is being put back",
        ] {
            let line = format!("kill -9    {killed}");
            assert!(text.contains(&line), "`{line}` is missing in\n{text}");
        }
        assert!(text.contains("rabbitmq is back"), "{text}");
        assert_eq!(text.matches("as it should  ").count(), 7, "{text}");
    })
    .await;
}

/// A server that others use is left running, and as it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_made_good_over_a_server_that_is_there() {
    let url = server("AMENDS_TEST_RABBITMQ_URL");
    let turn = Turn::take(&url).await;
    let text = run_well(&[&FAILING[..], &["--broker", &url]].concat()).await;
    assert!(text.contains("coordinator is back as process"), "{text}");
    assert!(!text.contains("rabbitmq is back"), "{text}");
    assert_eq!(text.matches("as it should  ").count(), 7, "{text}");
    assert!(!text.contains(&url), "its password is not for everybody");
    let queue = "amends.orderTopic:goods".into();
    let passive = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let declared = turn
        .channel
        .queue_declare(queue, passive, FieldTable::default());
    declared.await.expect_err("nothing is left behind");
}

/// Shops on one server would take each other's messages: one at a time.
struct Turn {
    _connection: Connection,
    channel: Channel,
}

impl Turn {
    const MAX_WAIT: Duration = Duration::from_secs(300);

    /// Waits for other test runs; what one that was killed left behind is removed.
    async fn take(url: &str) -> Self {
        let turn = tokio::time::timeout(Self::MAX_WAIT, Self::comes(url)).await;
        turn.expect("it comes").unwrap()
    }

    /// One consumer of the queue at a time is given messages, until its connection ends.
    async fn comes(url: &str) -> lapin::Result<Self> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let queue = || ShortString::from("shop-test-turn");
        let options = QueueDeclareOptions {
            auto_delete: true,
            ..QueueDeclareOptions::default()
        };
        let mut arguments = FieldTable::default();
        arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
        channel.queue_declare(queue(), options, arguments).await?;
        let mut turns = channel
            .basic_consume(
                queue(),
                "".into(),
                Default::default(),
                FieldTable::default(),
            )
            .await?;
        channel
            .basic_publish(
                "".into(),
                queue(),
                Default::default(),
                b"",
                Default::default(),
            )
            .await?;
        turns.next().await.expect("the connection lives")?;
        for service in ["order", "goods", "coupon", "user", "mail"] {
            for topic in [
                "orderTopic",
                "mailTopic",
                &format!("amends.commands.{service}"),
            ] {
                let queue = format!("amends.{topic}:{service}");
                let options = QueueDeleteOptions::default();
                channel.queue_delete(queue.into(), options).await?;
            }
        }
        Ok(Self {
            _connection: connection,
            channel,
        })
    }
}
