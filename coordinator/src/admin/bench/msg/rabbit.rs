//! The client library alone: publishes into a quorum queue with confirms.

use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
    QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use uuid::Uuid;

use super::{BODY_BYTES, CommandError, Tally};
use crate::admin::bench::driver::Fault;
use crate::admin::bench::latency::micros;
use crate::clock::monotonic;

/// Publishes without their confirm at the same time.
const WINDOW: usize = 100;
/// AMQP's number for "survives a restart".
const PERSISTENT: u8 = 2;

/// A queue of the bench's own, and a channel to it.
pub(super) struct Rabbit {
    _connection: Connection,
    channel: Channel,
    queue: String,
}

fn failed(what: &str) -> impl Fn(lapin::Error) -> CommandError {
    move |error| CommandError::Failed(format!("RabbitMQ: cannot {what}: {error}"))
}

impl Rabbit {
    pub(super) async fn connect(url: &str) -> Result<Self, CommandError> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await;
        // The error's text may hold the URL, password included.
        let connection =
            connection.map_err(|_| CommandError::Failed("RabbitMQ: cannot connect".to_owned()))?;
        let channel = connection.create_channel().await;
        let channel = channel.map_err(failed("open a channel"))?;
        let queue = format!("amends-bench-{}", Uuid::now_v7());
        let mut arguments = FieldTable::default();
        arguments.insert(
            "x-queue-type".into(),
            AMQPValue::LongString("quorum".into()),
        );
        let declared = channel.queue_declare(
            queue.as_str().into(),
            QueueDeclareOptions::durable(),
            arguments,
        );
        declared.await.map_err(failed("declare a queue"))?;
        let confirms = channel.confirm_select(ConfirmSelectOptions::default());
        confirms.await.map_err(failed("ask for confirms"))?;
        Ok(Self {
            _connection: connection,
            channel,
            queue,
        })
    }

    /// Publishes for that time, then waits for the rest of the confirms.
    pub(super) async fn publish(&self, time: Duration) -> Result<Tally, CommandError> {
        let begun = monotonic();
        let until = begun + time;
        let body = [0; BODY_BYTES];
        let mut tally = Tally::default();
        let mut confirms = FuturesUnordered::new();
        while monotonic() < until || !confirms.is_empty() {
            if monotonic() < until && confirms.len() < WINDOW {
                confirms.push(self.once(&body));
                continue;
            }
            if let Some(confirmed) = confirms.next().await {
                note(&mut tally, confirmed);
            }
        }
        tally.elapsed = monotonic().saturating_duration_since(begun);
        // The next round begins with an empty queue, as a consumed one is.
        let purged = self
            .channel
            .queue_purge(self.queue.as_str().into(), QueuePurgeOptions::default());
        purged.await.map_err(failed("empty the queue"))?;
        Ok(tally)
    }

    async fn once(&self, body: &[u8]) -> Result<Instant, String> {
        let begun = monotonic();
        let published = self.channel.basic_publish(
            "".into(),
            self.queue.as_str().into(),
            BasicPublishOptions::default(),
            body,
            BasicProperties::default().with_delivery_mode(PERSISTENT),
        );
        let confirm = published.await.map_err(|error| error.to_string())?;
        match confirm.await.map_err(|error| error.to_string())? {
            Confirmation::Ack(None) => Ok(begun),
            other => Err(format!("not confirmed: {other:?}")),
        }
    }

    pub(super) async fn remove(self) -> Result<(), CommandError> {
        let options = QueueDeleteOptions::default();
        let removed = self
            .channel
            .queue_delete(self.queue.as_str().into(), options);
        removed.await.map_err(failed("delete the queue"))?;
        Ok(())
    }
}

fn note(tally: &mut Tally, confirmed: Result<Instant, String>) {
    match confirmed {
        Ok(begun) => {
            let took = monotonic().saturating_duration_since(begun);
            tally.latencies.push(micros(took));
        }
        Err(why) => tally.add_fault(Fault(why)),
    }
}
