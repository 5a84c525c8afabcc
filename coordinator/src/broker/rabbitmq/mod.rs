//! RabbitMQ as the broker, from 3.10 on.
//!
//! - [`supervisor`] keeps two connections and says how they stand;
//! - [`topology`] makes exchanges, queues and bindings, and makes them again;
//! - [`publisher`] publishes with confirms, one actor a lane;
//! - [`consumer`] receives the messages of a group and acknowledges them;
//! - [`envelope`] turns messages into what the broker carries, and back.
//!
//! Retries, schedules and dead letters are not the broker's here: see `broker`.

mod connection;
mod consumer;
mod envelope;
mod fault;
mod names;
mod publisher;
mod supervisor;
mod topology;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use amends_core::message::{GroupName, SharedMessage, Subscription, Topic};
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::{BrokerError, BrokerStatus, CONFIRM_DEADLINE, Carried, ExternalBroker, Feed};
use crate::clock::{Clock, runtime_now};
use crate::config::Secret;
use connection::Endpoint;
use names::Names;
use publisher::Batch;
use supervisor::Links;

/// What can be set about RabbitMQ.
#[derive(Debug, Clone)]
pub struct RabbitOptions {
    /// `amqp://` or `amqps://`, with user and password.
    pub url: Secret,
    /// Certificates that the server's may be signed by beside those of the public authorities, PEM.
    pub tls_ca: Option<PathBuf>,
    /// Channels on which messages are published.
    pub lanes: NonZeroU32,
    /// A connection on which nothing was heard for twice this time is given up; whole seconds.
    pub heartbeat: Duration,
    /// How long a publish waits for its confirms.
    pub confirm_deadline: Duration,
    /// What all names at the server begin with, so that several stores can share a vhost; may be empty.
    pub prefix: String,
}

impl RabbitOptions {
    /// The defaults of the configuration, for the server at this URL.
    #[must_use]
    pub fn new(url: Secret) -> Self {
        Self {
            url,
            tls_ca: None,
            lanes: NonZeroU32::MIN.saturating_add(3),
            heartbeat: Duration::from_secs(15),
            confirm_deadline: CONFIRM_DEADLINE,
            prefix: String::new(),
        }
    }
}

/// A RabbitMQ server or cluster. Dropping it closes the connections.
pub struct RabbitMq {
    links: Arc<Links>,
    lanes: Vec<mpsc::Sender<Batch>>,
    confirm_deadline: Duration,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

impl RabbitMq {
    /// Begins to connect, and goes on trying for as long as it lives: the server need not
    /// be there. Must be called inside a runtime.
    ///
    /// # Errors
    /// `BROKER_URL_INVALID`, `BROKER_TLS_CA_INVALID`.
    pub fn start(options: &RabbitOptions, clock: Arc<dyn Clock>) -> Result<Self, BrokerError> {
        let endpoint = Endpoint::new(options)?;
        let stop = CancellationToken::new();
        let links = Arc::new(Links::new(
            endpoint,
            Names::new(&options.prefix),
            stop.clone(),
        ));
        let tasks = TaskTracker::new();
        let lanes = (0..options.lanes.get()).map(|_| {
            let (sender, run) = publisher::lane(Arc::clone(&links));
            tasks.spawn(run);
            sender
        });
        let lanes = lanes.collect();
        let keeper = Arc::clone(&links);
        tasks.spawn(async move { keeper.keep().await });
        Ok(Self {
            links,
            lanes,
            confirm_deadline: options.confirm_deadline,
            clock,
            tasks,
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
        })
    }

    /// Closes the connections and waits until they are. What was not confirmed is
    /// unknown, what was not acknowledged comes again. Stopping twice is fine.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        // The lanes end when this is dropped; the connections are closed when nobody is up.
        let mut status = self.links.status();
        let down = |status: &BrokerStatus| matches!(status, BrokerStatus::Down(_));
        let _ = status.wait_for(down).await;
    }

    async fn carry(&self, lane: usize, batch: &[SharedMessage]) -> Vec<Carried> {
        let (answer, carried) = oneshot::channel();
        let deadline = runtime_now() + self.confirm_deadline;
        let messages = batch.to_vec();
        let batch_of_lane = Batch {
            messages,
            deadline,
            answer,
        };
        let lane = &self.lanes[lane % self.lanes.len()];
        let sent = tokio::time::timeout_at(deadline, lane.send(batch_of_lane)).await;
        if !matches!(sent, Ok(Ok(()))) {
            return publisher::unknown(batch, "not sent: the lane is busy");
        }
        match carried.await {
            Ok(carried) => carried,
            Err(_) => publisher::unknown(batch, "the coordinator is stopping"),
        }
    }

    async fn receive(
        &self,
        group: &GroupName,
        topic: &Topic,
        window: u16,
    ) -> Result<Feed, BrokerError> {
        let live = self.links.consuming()?;
        // The queue may have been deleted since it was declared.
        let key = (group.clone(), topic.clone());
        self.links.topology.make(&live, &key).await?;
        let clock = Arc::clone(&self.clock);
        let (feed, run) = consumer::feed(
            &live,
            &self.links.topology.names,
            (group, topic),
            window,
            clock,
        )
        .await?;
        self.tasks.spawn(run);
        Ok(feed)
    }
}

impl ExternalBroker for RabbitMq {
    fn kind(&self) -> &'static str {
        "rabbitmq"
    }

    fn status(&self) -> watch::Receiver<BrokerStatus> {
        self.links.status()
    }

    fn lanes(&self) -> usize {
        self.lanes.len()
    }

    fn declare<'a>(
        &'a self,
        subscription: &'a Subscription,
    ) -> BoxFuture<'a, Result<(), BrokerError>> {
        Box::pin(async move {
            self.links.topology.remember(subscription);
            let live = self.links.consuming()?;
            let key = (subscription.group.clone(), subscription.topic.clone());
            self.links.topology.make(&live, &key).await
        })
    }

    fn remove<'a>(
        &'a self,
        group: &'a GroupName,
        topic: &'a Topic,
    ) -> BoxFuture<'a, Result<(), BrokerError>> {
        Box::pin(async move {
            let key = (group.clone(), topic.clone());
            self.links.topology.forget(&key);
            let live = self.links.consuming()?;
            self.links.topology.remove(&live, &key).await
        })
    }

    fn publish<'a>(
        &'a self,
        lane: usize,
        batch: &'a [SharedMessage],
    ) -> BoxFuture<'a, Vec<Carried>> {
        Box::pin(self.carry(lane, batch))
    }

    fn depths<'a>(
        &'a self,
        groups: &'a [(GroupName, Topic)],
    ) -> BoxFuture<'a, Result<Vec<Option<u32>>, BrokerError>> {
        Box::pin(async move {
            let live = self.links.consuming()?;
            self.links.topology.depths(&live, groups).await
        })
    }

    fn consume<'a>(
        &'a self,
        group: &'a GroupName,
        topic: &'a Topic,
        window: u16,
    ) -> BoxFuture<'a, Result<Feed, BrokerError>> {
        Box::pin(self.receive(group, topic, window))
    }
}
