//! The consumers: they take, note and settle.

use std::sync::Arc;
use std::time::Duration;

use amends_core::time::Timestamp;
use amends_proto::v1::consume_request::Request;
use amends_proto::v1::consume_response::Response;
use amends_proto::v1::consumer_service_client::ConsumerServiceClient;
use amends_proto::v1::settlement::Verdict;
use amends_proto::v1::{
    ConsumeRequest, ConsumeResponse, DeleteSubscriptionRequest, Delivered, Done, Keepalive, Settle,
    Settlement, Subscribe, Subscription,
};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use uuid::Uuid;

use super::book::Book;
use super::publisher::{Clients, TOPIC, read};
use crate::admin::bench::connections::Connections;
use crate::admin::error::CommandError;
use crate::clock::{Clock as _, SystemClock};

/// Deliveries that a consumer takes before it settles some.
const CREDIT: u32 = 512;
/// Requests of a consumer on their way.
const REQUESTS: usize = 64;
/// How often and when to try again while the broker is not there yet.
const MAX_JOIN_ATTEMPTS: u32 = 100;
const JOIN_AGAIN: Duration = Duration::from_millis(100);
/// Well within the lease.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Dropping it ends them.
pub(super) struct Consumers {
    group: String,
    tasks: Vec<AbortHandle>,
}

impl Drop for Consumers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Consumers {
    /// Subscribes as a group of its own, and waits until each consumer is there.
    pub(super) async fn start(
        clients: &Clients,
        count: usize,
        book: &Arc<Book>,
        cores: &[Handle],
    ) -> Result<Self, CommandError> {
        let group = format!("bench-{}", Uuid::now_v7());
        let mut tasks = Vec::new();
        for core in cores.iter().cycle().take(count) {
            let (stream, requests) = join(clients, &group).await?;
            let task = consume(stream, requests, Arc::clone(book));
            tasks.push(core.spawn(task).abort_handle());
        }
        Ok(Self { group, tasks })
    }

    /// An error when one has ended.
    pub(super) fn check(&self) -> Result<(), CommandError> {
        if self.tasks.iter().any(AbortHandle::is_finished) {
            return Err(CommandError::Failed("a consumer's stream ended".to_owned()));
        }
        Ok(())
    }

    /// Ends the group, so that nothing of it stays in a store or broker that goes on.
    pub(super) async fn unsubscribe(
        self,
        coordinator: &str,
        cores: &[Handle],
    ) -> Result<(), CommandError> {
        let clients = Connections::open(coordinator, 1, cores, ConsumerServiceClient::new).await?;
        let request = DeleteSubscriptionRequest {
            group: self.group.clone(),
            topic: TOPIC.to_owned(),
            reason: "the bench has ended".to_owned(),
        };
        clients.next().delete_subscription(request).await?;
        Ok(())
    }
}

/// A consumer of the group; waits for the broker, to which the coordinator may still be connecting.
async fn join(
    clients: &Clients,
    group: &str,
) -> Result<(Streaming<ConsumeResponse>, mpsc::Sender<ConsumeRequest>), CommandError> {
    let mut attempts = MAX_JOIN_ATTEMPTS;
    loop {
        let (requests, receiver) = mpsc::channel(REQUESTS);
        let subscribe = Request::Subscribe(Subscribe {
            subscription: Some(Subscription {
                group: group.to_owned(),
                topic: TOPIC.to_owned(),
                ..Subscription::default()
            }),
            instance_id: String::new(),
            credit: CREDIT,
        });
        say(&requests, subscribe).await;
        let joined = clients.next().consume(ReceiverStream::new(receiver)).await;
        match joined {
            Ok(stream) => return Ok((stream.into_inner(), requests)),
            Err(status) if status.code() == Code::Unavailable && attempts > 1 => {
                attempts -= 1;
                tokio::time::sleep(JOIN_AGAIN).await;
            }
            Err(status) => return Err(status.into()),
        }
    }
}

/// Ends with the stream.
async fn consume(
    mut stream: Streaming<ConsumeResponse>,
    requests: mpsc::Sender<ConsumeRequest>,
    book: Arc<Book>,
) -> Result<(), Status> {
    let mut alive = tokio::time::interval(KEEPALIVE);
    loop {
        let response = tokio::select! {
            response = stream.message() => response?,
            _ = alive.tick() => {
                say(&requests, Request::Keepalive(Keepalive {})).await;
                continue;
            }
        };
        let Some(response) = response else {
            return Ok(());
        };
        if let Some(Response::Deliveries(some)) = response.response {
            let now = SystemClock.now();
            book.delivered(some.deliveries.iter().filter_map(|it| seen(it, now)));
            let settlements = some.deliveries.iter().map(|it| Settlement {
                token: it.token,
                verdict: Some(Verdict::Done(Done {})),
            });
            let settlements = settlements.collect();
            say(&requests, Request::Settle(Settle { settlements })).await;
        }
    }
}

/// Its number, and how late it is if it was due at a time.
fn seen(delivered: &Delivered, now: Timestamp) -> Option<(u64, Option<Duration>)> {
    let payload = delivered.message.as_ref()?.payload.as_ref()?;
    let (number, due) = read(&payload.data)?;
    let late = due.map(|due| u64::try_from(now.0 - due.0).unwrap_or(0));
    Some((number, late.map(Duration::from_millis)))
}

/// A stream that has ended is noticed where it is read.
async fn say(requests: &mpsc::Sender<ConsumeRequest>, request: Request) {
    let request = Some(request);
    let _ = requests.send(ConsumeRequest { request }).await;
}
