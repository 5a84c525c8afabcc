//! [`Producer`]: answers checks over a stream that it opens itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use amends_proto::v1;
use amends_proto::v1::answer_checks_request::Request;
use amends_proto::v1::answer_checks_response::Response;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tonic::{Status, Streaming};

use super::checks::{Checks, MAX_CHECKS};
use crate::backoff::Backoff;
use crate::consumer_log::DEFAULT_RETENTION;
use crate::{Client, Database, DatabaseError, Service};

/// How long the coordinator may take to accept a producer.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a shutdown waits for the checks under way.
const MAX_DRAIN: Duration = Duration::from_secs(10);
/// Checks at hand: more than are asked for, because one that is given up there
/// may still run here.
const MAX_AT_HAND: usize = 4 * MAX_CHECKS;
/// Requests under way to the connection; more wait.
const MAX_REQUESTS: usize = 16;
/// The interval of keepalives until the coordinator names one, and the bounds
/// of what it may name.
const DEFAULT_KEEPALIVE: Duration = Duration::from_secs(10);
const MIN_KEEPALIVE: Duration = Duration::from_millis(100);
const MAX_KEEPALIVE: Duration = Duration::from_secs(60);

/// From one attempt to connect to the next.
const RETRY: Backoff = Backoff {
    first: Duration::from_millis(100),
    most: Duration::from_secs(5),
};

/// Answers the checks of producer groups, for a process that the coordinator
/// cannot call: it keeps a stream open to it, and opens it again with jittered
/// backoff whenever it is lost.
///
/// ```no_run
/// # use amends::{Client, Database, DatabaseError, Producer};
/// # async fn run(client: Client, database: Database) -> Result<(), DatabaseError> {
/// let producer = Producer::new(database, client).group("payments").start().await?;
/// // .. until the process is told to end ..
/// producer.shutdown().await;
/// # Ok(()) }
/// ```
#[must_use = "call `start`"]
pub struct Producer {
    database: Database,
    client: Client,
    checks: Checks,
}

/// A producer that answers. Dropping it stops it without the courtesies of
/// [`RunningProducer::shutdown`].
#[derive(Debug)]
pub struct RunningProducer {
    streams: TaskTracker,
    _stop: DropGuard,
}

impl Producer {
    /// A producer that answers the client's coordinator from this database. It
    /// is in the client's group, if that has one.
    pub fn new(database: Database, client: Client) -> Self {
        let mut checks = Checks::new(database.clone(), DEFAULT_RETENTION);
        if let Some(group) = client.producer() {
            checks.join(group);
        }
        Self {
            database,
            client,
            checks,
        }
    }

    /// Answers for a group from the consumer log.
    pub fn group(mut self, name: impl AsRef<str>) -> Self {
        self.checks.join(name.as_ref());
        self
    }

    /// Answers for the group that has the service's name, also with the
    /// service's own checks. Its steps and handlers are not served by this.
    pub fn service<S: Service>(mut self, service: S) -> Self {
        self.checks.join_service(&mut Arc::new(service).define());
        self
    }

    /// Creates the SDK's tables where missing, and opens the streams in the
    /// background. A coordinator that cannot be reached is no error.
    ///
    /// # Errors
    /// As the database says.
    pub async fn start(self) -> Result<RunningProducer, DatabaseError> {
        self.database.create_tables_if_missing().await?;
        let checks = Arc::new(self.checks);
        let (streams, stop) = (TaskTracker::new(), CancellationToken::new());
        for group in checks.groups() {
            let stream = Stream {
                client: self.client.clone(),
                checks: Arc::clone(&checks),
                group: group.to_owned(),
                instance: uuid::Uuid::now_v7().to_string(),
            };
            streams.spawn(stream.run(stop.clone()));
        }
        Ok(RunningProducer {
            streams,
            _stop: stop.drop_guard(),
        })
    }
}

impl RunningProducer {
    /// Takes no new checks, finishes and answers those under way (at most 10 s),
    /// and ends.
    pub async fn shutdown(self) {
        let Self { streams, _stop } = self;
        drop(_stop);
        streams.close();
        timeout(MAX_DRAIN, streams.wait()).await.ok();
    }
}

/// The stream of one group, again and again.
struct Stream {
    client: Client,
    checks: Arc<Checks>,
    group: String,
    instance: String,
}

/// A stream that was accepted.
struct Open {
    requests: mpsc::Sender<v1::AnswerChecksRequest>,
    responses: Streaming<v1::AnswerChecksResponse>,
    keepalive: Duration,
}

impl Stream {
    async fn run(self, stop: CancellationToken) {
        let mut failed = 0_u32;
        while !stop.is_cancelled() {
            let opened = tokio::select! {
                () = stop.cancelled() => return,
                opened = timeout(JOIN_TIMEOUT, self.open()) => opened,
            };
            let opened = opened.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")));
            let ended = match opened {
                Ok(open) => {
                    failed = 0;
                    self.answer(open, &stop).await
                }
                Err(status) => Err(status),
            };
            let Err(status) = ended else { return };
            failed = failed.saturating_add(1);
            let group = &self.group;
            if failed.is_power_of_two() {
                tracing::warn!(group, failed, %status, "checks cannot be received; trying again");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RETRY.wait(failed)) => {}
            }
        }
    }

    async fn open(&self) -> Result<Open, Status> {
        let (requests, outbound) = mpsc::channel(MAX_REQUESTS);
        let join = v1::JoinProducers {
            producer: self.group.clone(),
            instance_id: self.instance.clone(),
            concurrency: u32::try_from(MAX_CHECKS).unwrap_or(1),
        };
        requests
            .try_send(request(Request::Join(join)))
            .map_err(|_| Status::internal("the stream takes nothing"))?;
        let mut api = self.client.half_message_service();
        let answer = api.answer_checks(ReceiverStream::new(outbound)).await?;
        let mut responses = answer.into_inner();
        let first = responses.message().await?;
        let Some(Response::Joined(joined)) = first.and_then(|first| first.response) else {
            return Err(Status::internal("the first answer does not accept it"));
        };
        Ok(Open {
            requests,
            responses,
            keepalive: usable(joined.keepalive_interval),
        })
    }

    /// Until the stream ends (an error), or it was told to stop and has
    /// answered what it was asked.
    async fn answer(&self, open: Open, stop: &CancellationToken) -> Result<(), Status> {
        let Open {
            requests,
            mut responses,
            keepalive,
        } = open;
        let mut ticks = interval(keepalive);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tasks = JoinSet::new();
        let mut running = HashMap::new();
        while !(stop.is_cancelled() && tasks.is_empty()) {
            tokio::select! {
                () = stop.cancelled(), if !stop.is_cancelled() => {}
                response = responses.message() => {
                    let response = response?.and_then(|message| message.response);
                    match response.ok_or_else(|| Status::unavailable("the stream ended"))? {
                        // What is not answered is asked again.
                        Response::Check(_) if stop.is_cancelled() => {}
                        Response::Check(_) if running.len() >= MAX_AT_HAND => {}
                        Response::Check(check) => {
                            let task = tasks.spawn(answered(Arc::clone(&self.checks), check.clone()));
                            running.insert(task.id(), check.check_id);
                        }
                        Response::Joined(_) => return Err(Status::internal("it joined twice")),
                    }
                }
                Some(ended) = tasks.join_next_with_id() => {
                    let (id, answer) = match ended {
                        Ok((id, answer)) => (id, answer),
                        Err(error) => (error.id(), v1::CheckBackResponse::default()),
                    };
                    let Some(check_id) = running.remove(&id) else { continue };
                    let answer = v1::CheckAnswer {
                        check_id,
                        verdict: answer.verdict,
                        note: answer.note,
                    };
                    let sent = requests.send(request(Request::Answer(answer))).await;
                    sent.map_err(|_| Status::unavailable("the stream was closed"))?;
                }
                _ = ticks.tick() => {
                    // A full queue carries a sign of life already.
                    requests.try_send(request(Request::Keepalive(v1::ProducerKeepalive {}))).ok();
                }
            }
        }
        Ok(())
    }
}

async fn answered(checks: Arc<Checks>, check: v1::Check) -> v1::CheckBackResponse {
    let answer = checks.answer(check.question.unwrap_or_default()).await;
    answer.unwrap_or_else(|| v1::CheckBackResponse {
        note: "this producer is not in the group".to_owned(),
        ..v1::CheckBackResponse::default()
    })
}

fn request(request: Request) -> v1::AnswerChecksRequest {
    v1::AnswerChecksRequest {
        request: Some(request),
    }
}

fn usable(interval: Option<prost_types::Duration>) -> Duration {
    let interval = interval.and_then(|interval| Duration::try_from(interval).ok());
    interval
        .unwrap_or(DEFAULT_KEEPALIVE)
        .clamp(MIN_KEEPALIVE, MAX_KEEPALIVE)
}
