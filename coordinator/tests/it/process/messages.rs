//! `kill -9` of a coordinator that carries messages: what was accepted reaches its group, over
//! either broker, and takes effect once by the group's log.
//!
//! The ledger is closed at the end of each round: every message that was published is handled, nothing
//! else is, and the coordinator says of each that it is PUBLISHED and DONE.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;
use std::time::Duration;

use amends_proto::v1;
use amends_proto::v1::consume_request::Request;
use amends_proto::v1::consume_response::Response;
use amends_proto::v1::consumer_service_client::ConsumerServiceClient;
use amends_proto::v1::message_service_client::MessageServiceClient;
use amends_proto::v1::settlement::Verdict;
use futures_util::{StreamExt as _, stream};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::audit::connect;
use super::serve::{PATIENCE, Process};
use crate::rabbitmq::place::{delete_exchange, shared_url};

/// Messages of one round, and how many are published at the same time.
const MESSAGES: usize = 40;
const AT_ONCE: usize = 8;
/// Every so many are published for a little later.
const DELAYED_STRIDE: usize = 2;
const DELAY: Duration = Duration::from_millis(10);
/// How long a consumer whose coordinator is gone waits for the next one before it looks at the same again.
const COME_BACK: Duration = Duration::from_millis(20);
const GROUP: &str = "billing";

/// The consumer log of a group: how often each message was delivered. The effect is made the first time.
#[derive(Clone)]
struct Log(Arc<watch::Sender<BTreeMap<String, u32>>>);

impl Log {
    fn delivered(&self, id: &str) {
        self.0
            .send_modify(|log| *log.entry(id.to_owned()).or_default() += 1);
    }

    /// Waits until all of these are in it.
    async fn has(&self, ids: &[String], what: &str) {
        let mut log = self.0.subscribe();
        let has_all =
            log.wait_for(|log: &BTreeMap<_, _>| ids.iter().all(|id| log.contains_key(id)));
        if timeout(PATIENCE, has_all).await.is_err() {
            let log = self.0.borrow();
            let lost: Vec<_> = ids.iter().filter(|id| !log.contains_key(*id)).collect();
            panic!("{what}: accepted and never handled: {lost:?}");
        }
    }

    async fn count(&self, count: usize) {
        let mut log = self.0.subscribe();
        let reached = log.wait_for(|log| log.len() >= count);
        timeout(PATIENCE, reached)
            .await
            .expect("it stands still")
            .unwrap();
    }
}

/// One coordinator after the other on the same file, and a group that follows them.
struct Scene {
    folder: TempDir,
    topic: String,
    log: Log,
    addresses: watch::Sender<String>,
    consumer: JoinHandle<()>,
    published: BTreeSet<String>,
}

impl Scene {
    fn new(broker: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let settings = format!("[broker]\nurl = \"{broker}\"\n");
        std::fs::write(folder.path().join("amends.toml"), settings).unwrap();
        let topic = format!("test.{}", uuid::Uuid::new_v4().simple());
        let log = Log(Arc::new(watch::Sender::new(BTreeMap::new())));
        let addresses = watch::Sender::new(String::new());
        let consumer = consume(topic.clone(), addresses.subscribe(), log.clone());
        Self {
            folder,
            consumer: tokio::spawn(consumer),
            topic,
            log,
            addresses,
            published: BTreeSet::new(),
        }
    }

    async fn serve(&self, crash_at: &str) -> Process {
        let process = Process::start(self.folder.path(), "sqlite:amends.db", crash_at).await;
        self.addresses.send_replace(process.address.clone());
        process
    }

    /// The first one, which is told of the group before anything is published.
    async fn subscribe(&self) {
        let process = self.serve("").await;
        let channel = connect(&process.address).await.unwrap();
        let mut client = ConsumerServiceClient::new(channel);
        let request = v1::CreateSubscriptionRequest {
            subscription: Some(subscription(&self.topic)),
        };
        let subscribed = async {
            // The broker may not be connected yet.
            while client.create_subscription(request.clone()).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, subscribed).await.unwrap();
        process.signal(Signal::TERM);
        process.exit().await;
    }

    /// What was accepted is handled without another word; the rest when it is published again.
    async fn recover(&mut self, accepted: &[String], all: &[String], what: &str) {
        let process = self.serve("").await;
        self.log.has(accepted, what).await;
        let again = publish(&process.address, &self.topic, all).await;
        assert_eq!(again.len(), all.len(), "{what}");
        self.log.has(all, what).await;
        timeout(PATIENCE, settled(&process.address, all))
            .await
            .unwrap_or_else(|_| panic!("{what}: not all are PUBLISHED and DONE"));
        self.published.extend(all.iter().cloned());
        let handled: BTreeSet<String> = self.log.0.borrow().keys().cloned().collect();
        assert_eq!(handled, self.published, "{what}");
        process.kill().await;
    }

    async fn crash_at(&mut self, point: &str) {
        let all = ids(&point.replace(':', "-"));
        let process = self.serve(point).await;
        let accepted = publish(&process.address, &self.topic, &all).await;
        let status = process.exit().await;
        assert_eq!(status.signal(), Some(9), "{point}: {status}");
        self.recover(&accepted, &all, point).await;
    }

    async fn kill_after(&mut self, handled: usize, round: usize) {
        let what = format!("round {round}, killed after {handled} were handled");
        let all = ids(&format!("round-{round}"));
        let process = self.serve("").await;
        let before = self.log.0.borrow().len();
        let (address, topic, messages) = (process.address.clone(), self.topic.clone(), all.clone());
        let publishing = tokio::spawn(async move { publish(&address, &topic, &messages).await });
        self.log.count(before + handled).await;
        process.kill().await;
        let accepted = publishing.await.unwrap();
        self.recover(&accepted, &all, &what).await;
    }

    /// Takes away what is at the broker.
    async fn clear(self) {
        let process = self.serve("").await;
        self.consumer.abort();
        let mut client = ConsumerServiceClient::new(connect(&process.address).await.unwrap());
        let request = v1::DeleteSubscriptionRequest {
            group: GROUP.to_owned(),
            topic: self.topic.clone(),
            reason: "the test is over".to_owned(),
        };
        let deleted = async {
            while client.delete_subscription(request.clone()).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, deleted).await.unwrap();
        process.kill().await;
        delete_exchange(&shared_url(), &format!("amends.{}", self.topic)).await;
    }
}

fn subscription(topic: &str) -> v1::Subscription {
    v1::Subscription {
        group: GROUP.to_owned(),
        topic: topic.to_owned(),
        ..Default::default()
    }
}

fn ids(round: &str) -> Vec<String> {
    (0..MESSAGES).map(|n| format!("{round}.{n}")).collect()
}

/// Publishes each by itself; those that were accepted. The others met a coordinator that was gone.
async fn publish(address: &str, topic: &str, ids: &[String]) -> Vec<String> {
    let Some(channel) = connect(address).await else {
        return Vec::new();
    };
    let publishing = ids.iter().cloned().enumerate().map(|(n, id)| {
        let mut client = MessageServiceClient::new(channel.clone());
        let message = v1::Message {
            id: id.clone(),
            topic: topic.to_owned(),
            ..Default::default()
        };
        let delay = n.is_multiple_of(DELAYED_STRIDE).then_some(DELAY);
        let messages = vec![v1::PublishMessage {
            message: Some(message),
            delay: delay.map(|delay| delay.try_into().unwrap()),
        }];
        let request = v1::PublishMessagesRequest { messages };
        async move { client.publish_messages(request).await.ok().map(|_| id) }
    });
    let accepted = stream::iter(publishing).buffer_unordered(AT_ONCE);
    accepted.filter_map(std::future::ready).collect().await
}

/// Asks until all of them are published, and done in their group.
async fn settled(address: &str, ids: &[String]) {
    let mut client = MessageServiceClient::new(connect(address).await.unwrap());
    for id in ids {
        let request = v1::GetMessageRequest { id: id.clone() };
        loop {
            let found = client.get_message(request.clone()).await.unwrap();
            let found = found.into_inner().message.unwrap();
            let done = |delivery: &v1::Delivery| delivery.state() == v1::DeliveryState::Done;
            if found.state() == v1::MessageState::Published
                && found.deliveries.len() == 1
                && found.deliveries.iter().all(done)
            {
                break;
            }
        }
    }
}

/// Follows the coordinators for as long as it is awaited.
async fn consume(topic: String, mut addresses: watch::Receiver<String>, log: Log) {
    loop {
        let address = addresses.borrow_and_update().clone();
        let _gone = consume_from(&address, &topic, &log).await;
        // Another one, or the same one again.
        let _another = tokio::time::timeout(COME_BACK, addresses.changed()).await;
    }
}

/// Handles and settles until the coordinator is gone.
async fn consume_from(address: &str, topic: &str, log: &Log) -> Result<(), Status> {
    let gone = || Status::unavailable("gone");
    let channel = connect(address).await.ok_or_else(gone)?;
    let (requests, receiver) = mpsc::channel(64);
    let say = async |request| {
        let request = v1::ConsumeRequest {
            request: Some(request),
        };
        requests.send(request).await.map_err(|_| gone())
    };
    say(Request::Subscribe(v1::Subscribe {
        subscription: Some(subscription(topic)),
        instance_id: "one".to_owned(),
        credit: 16,
    }))
    .await?;
    let mut client = MessageServiceClient::new(channel);
    let responses = client.consume(ReceiverStream::new(receiver)).await?;
    let mut responses = responses.into_inner();
    while let Some(response) = responses.message().await? {
        let Some(Response::Deliveries(some)) = response.response else {
            continue;
        };
        for delivered in some.deliveries {
            log.delivered(&delivered.message.unwrap().id);
            let settlements = vec![v1::Settlement {
                token: delivered.token,
                verdict: Some(Verdict::Done(v1::Done {})),
            }];
            say(Request::Settle(v1::Settle { settlements })).await?;
        }
    }
    Ok(())
}

/// Between the commit of the outbox and the hand-over, before the write that publishes what was delayed,
/// and between the acknowledgement and its trace.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_embedded_broker() {
    let mut scene = Scene::new("embedded");
    scene.subscribe().await;
    for point in [
        "message-accepted",
        "message-accepted:9",
        "message-due",
        "message-due:2",
        "message-settled",
        "message-settled:2",
    ] {
        scene.crash_at(point).await;
    }
    for (round, handled) in [1, 17, MESSAGES - 3].into_iter().enumerate() {
        scene.kill_after(handled, round).await;
    }
    scene.consumer.abort();
}

/// The same, and between the commit of the outbox and the publish, and between confirm and mark.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_rabbitmq() {
    let mut scene = Scene::new(&shared_url());
    scene.subscribe().await;
    for point in [
        "message-accepted",
        "message-publish",
        "message-publish:3",
        "message-confirmed",
        "message-confirmed:3",
        "message-settled",
        "message-settled:2",
    ] {
        scene.crash_at(point).await;
    }
    for (round, handled) in [1, MESSAGES - 3].into_iter().enumerate() {
        scene.kill_after(handled, round).await;
    }
    scene.clear().await;
}
