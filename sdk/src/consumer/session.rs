//! One stream to the coordinator after the other, over lanes that outlive them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use amends_proto::v1;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::lanes::{Lanes, order_key};
use super::work::{Verdict, guarded};
use super::{Connection, Consumer, MAX_DRAIN};
use crate::access::Wire;
use v1::consume_request::Request;
use v1::consume_response::Response;

/// How long the coordinator may take to accept a subscription.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest message of a stream, in bytes: a batch of full bodies.
const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;
/// Requests under way to the connection; more wait here.
const MAX_REQUESTS: usize = 16;
/// Most settlements of one request.
const MAX_SETTLEMENTS: usize = 1000;
/// The interval of keepalives until the coordinator names one, and the bounds
/// of what it may name.
const DEFAULT_KEEPALIVE: Duration = Duration::from_secs(10);
const MIN_KEEPALIVE: Duration = Duration::from_millis(100);
const MAX_KEEPALIVE: Duration = Duration::from_secs(60);
/// Intervals without any sign of the coordinator until it counts as gone.
const MAX_SILENT_INTERVALS: u32 = 3;

/// How a stream ended.
pub(super) struct End {
    /// Why; `None`: it was told to.
    pub(super) status: Option<Status>,
    /// Whether the coordinator had accepted the subscription.
    pub(super) held: bool,
}

impl End {
    pub(super) fn failed(status: Status) -> Self {
        Self {
            status: Some(status),
            held: false,
        }
    }
}

/// A message whose work has ended.
struct Ended {
    /// The stream that it came by.
    stream: u64,
    token: u64,
    order_key: String,
    verdict: Verdict,
}

/// What outlives a stream.
pub(super) struct Session<'a> {
    consumer: &'a Consumer,
    lanes: Lanes,
    tasks: JoinSet<Ended>,
    /// The number of the present stream.
    stream: u64,
    /// Verdicts that the present stream has not been told.
    unsent: VecDeque<v1::Settlement>,
    /// Settlements that the coordinator has not answered.
    unanswered: usize,
}

impl<'a> Session<'a> {
    pub(super) fn new(consumer: &'a Consumer) -> Self {
        Self {
            consumer,
            lanes: Lanes::new(consumer.concurrency),
            tasks: JoinSet::new(),
            stream: 0,
            unsent: VecDeque::new(),
            unanswered: 0,
        }
    }

    /// One stream, until it ends or `stop` and everything that ran is settled.
    pub(super) async fn run(&mut self, wire: Wire, stop: &CancellationToken) -> End {
        self.stream += 1;
        let subscribed = tokio::select! {
            () = stop.cancelled() => return End { status: None, held: false },
            subscribed = timeout(SUBSCRIBE_TIMEOUT, self.subscribe(wire)) => subscribed,
        };
        let subscribed = subscribed.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")));
        let (requests, responses, keepalive) = match subscribed {
            Ok(subscribed) => subscribed,
            Err(status) => return End::failed(status),
        };
        let done = self.consume(requests, responses, keepalive, stop).await;
        self.lanes.forget_waiting();
        self.unsent.clear();
        self.unanswered = 0;
        End {
            status: done.err(),
            held: true,
        }
    }

    async fn subscribe(
        &self,
        wire: Wire,
    ) -> Result<
        (
            mpsc::Sender<v1::ConsumeRequest>,
            Streaming<v1::ConsumeResponse>,
            Duration,
        ),
        Status,
    > {
        let (requests, outbound) = mpsc::channel(MAX_REQUESTS);
        let subscribe = v1::Subscribe {
            subscription: Some(self.consumer.subscription.clone()),
            instance_id: self.consumer.instance.clone(),
            credit: self.consumer.prefetch,
        };
        let first = request(Request::Subscribe(subscribe));
        requests
            .try_send(first)
            .map_err(|_| Status::internal("the stream takes nothing"))?;
        let mut client = Connection::new(wire).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let answer = client.consume(ReceiverStream::new(outbound)).await?;
        let mut responses = answer.into_inner();
        match responses
            .message()
            .await?
            .and_then(|message| message.response)
        {
            Some(Response::Subscribed(subscribed)) => {
                let keepalive = usable(subscribed.keepalive_interval);
                self.consumer.accepted.send_replace(true);
                Ok((requests, responses, keepalive))
            }
            _ => Err(Status::internal("the first answer is no subscription")),
        }
    }

    async fn consume(
        &mut self,
        requests: mpsc::Sender<v1::ConsumeRequest>,
        mut responses: Streaming<v1::ConsumeResponse>,
        keepalive: Duration,
        stop: &CancellationToken,
    ) -> Result<(), Status> {
        let mut ticks = interval(keepalive);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        let mut draining: Option<Instant> = None;
        loop {
            if draining.is_some() && self.is_settled() {
                return Ok(());
            }
            if !stop.is_cancelled() {
                self.begin_work();
            }
            let has_unsent = !self.unsent.is_empty();
            tokio::select! {
                () = stop.cancelled(), if draining.is_none() => {
                    draining = Some(Instant::now() + MAX_DRAIN);
                    self.lanes.forget_waiting();
                }
                () = wait_until(draining), if draining.is_some() => {
                    tracing::warn!(messages = self.lanes.running(), "handlers still ran at the end");
                    self.tasks.abort_all();
                    return Ok(());
                }
                response = responses.message() => {
                    heard = Instant::now();
                    let response = response?.and_then(|message| message.response);
                    let response = response.ok_or_else(|| Status::unavailable("the stream ended"))?;
                    self.hear(response, draining.is_some())?;
                }
                Some(ended) = self.tasks.join_next() => self.note(ended),
                place = requests.reserve(), if has_unsent => {
                    let place = place.map_err(|_| Status::unavailable("the stream was closed"))?;
                    place.send(self.settle());
                }
                _ = ticks.tick() => {
                    if heard.elapsed() > keepalive * MAX_SILENT_INTERVALS {
                        return Err(Status::unavailable("the coordinator is silent"));
                    }
                    // A full queue carries a sign of life already.
                    requests.try_send(request(Request::Keepalive(v1::Keepalive {}))).ok();
                }
            }
        }
    }

    fn hear(&mut self, response: Response, draining: bool) -> Result<(), Status> {
        match response {
            // When draining they are not begun: they go elsewhere when the stream ends.
            Response::Deliveries(_) if draining => {}
            Response::Deliveries(deliveries) => {
                for delivered in deliveries.deliveries {
                    self.lanes.arrive(delivered);
                }
                // Those of an earlier stream that still run are not this one's.
                let most = self.consumer.prefetch as usize + self.consumer.concurrency;
                if self.lanes.at_hand() > most {
                    return Err(Status::internal("more messages came than were asked for"));
                }
            }
            Response::Settled(settled) => {
                let answered = settled.tokens.len() + settled.stale.len();
                self.unanswered = self.unanswered.saturating_sub(answered);
                if !settled.stale.is_empty() {
                    // They went elsewhere; the consumer log made sure of one effect.
                    tracing::debug!(stale = settled.stale.len(), "settlements came too late");
                }
            }
            Response::KeptAlive(_) => {}
            Response::Subscribed(_) => return Err(Status::internal("subscribed twice")),
        }
        Ok(())
    }

    fn begin_work(&mut self) {
        while let Some(delivered) = self.lanes.next() {
            let (stream, work) = (self.stream, Arc::clone(&self.consumer.work));
            let order_key = order_key(&delivered).to_owned();
            self.tasks.spawn(async move {
                let message = delivered.message.unwrap_or_default();
                let verdict = guarded(work, message, delivered.attempt).await;
                Ended {
                    stream,
                    token: delivered.token,
                    order_key,
                    verdict,
                }
            });
        }
    }

    fn note(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        // A task ends with a verdict; it is aborted only together with this.
        let Ok(ended) = ended else { return };
        self.tell(&ended.verdict);
        if matches!(ended.verdict, Verdict::Again { .. }) && ended.stream == self.stream {
            let again = Verdict::Again {
                after: None,
                error: "behind a message of the same order key that is tried again".to_owned(),
            };
            for behind in self.lanes.behind(&ended.order_key) {
                self.unsent.push_back(again.to_proto(behind.token));
            }
        }
        self.lanes.ended(&ended.order_key);
        if ended.stream == self.stream {
            self.unsent.push_back(ended.verdict.to_proto(ended.token));
        }
    }

    fn tell(&self, verdict: &Verdict) {
        let group = &self.consumer.subscription.group;
        match verdict {
            Verdict::Done => {}
            Verdict::Again { error, .. } => {
                tracing::warn!(group, error, "a message was not handled; it comes again");
            }
            Verdict::Dead { error } => {
                tracing::error!(
                    group,
                    error,
                    "a message cannot be handled; it is a dead letter"
                );
            }
        }
    }

    fn settle(&mut self) -> v1::ConsumeRequest {
        let count = self.unsent.len().min(MAX_SETTLEMENTS);
        self.unanswered += count;
        request(Request::Settle(v1::Settle {
            settlements: self.unsent.drain(..count).collect(),
        }))
    }

    fn is_settled(&self) -> bool {
        self.lanes.running() == 0 && self.unsent.is_empty() && self.unanswered == 0
    }

    /// Lets what runs go on while there is no stream.
    pub(super) async fn work_for(&mut self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return,
                Some(ended) = self.tasks.join_next() => self.note(ended),
            }
        }
    }

    /// Waits for what still runs, whose settlements nobody takes any more:
    /// committed is better than rolled back and done again elsewhere.
    pub(super) async fn drain_unsettled(mut self) {
        let rest = async { while self.tasks.join_next().await.is_some() {} };
        timeout(MAX_DRAIN, rest).await.ok();
    }
}

async fn wait_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn request(request: Request) -> v1::ConsumeRequest {
    v1::ConsumeRequest {
        request: Some(request),
    }
}

fn usable(interval: Option<prost_types::Duration>) -> Duration {
    let interval = interval.and_then(|interval| Duration::try_from(interval).ok());
    interval
        .unwrap_or(DEFAULT_KEEPALIVE)
        .clamp(MIN_KEEPALIVE, MAX_KEEPALIVE)
}
