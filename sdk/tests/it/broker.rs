//! A coordinator's messages, as far as the SDK sees them: a real server in
//! this process, with everything in memory and faults on demand.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use amends::proto::consume_request::Request as Ask;
use amends::proto::consume_response::Response as Say;
use amends::proto::message_service_server::{MessageService, MessageServiceServer};
use amends::proto::registry_service_server::RegistryServiceServer;
use amends::proto::report_service_server::{ReportService, ReportServiceServer};
use amends::proto::settlement::Verdict;
use amends::proto::*;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status, Streaming, async_trait};
use tonic_types::{ErrorDetails, StatusExt};

use crate::registry::Registry;

/// Answers under way to one consumer.
const MAX_ANSWERS: usize = 4096;

/// What happens to the next call that publishes.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It is refused.
    Refuse(Status),
    /// It is done, and the answer is lost.
    LoseAnswer,
    /// It waits for the test, then is done.
    Hold(Arc<Notify>),
    /// It is done, and its answer waits for the test.
    HoldAnswer(Arc<Notify>),
    /// It waits for the test, then is refused.
    HoldThenRefuse(Arc<Notify>, Status),
}

/// The running coordinator.
#[derive(Clone)]
pub(crate) struct Broker {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
    address: SocketAddr,
}

#[derive(Default)]
struct State {
    messages: BTreeMap<String, Message>,
    /// Ids in the order in which they were published, and calls that tried.
    published: Vec<String>,
    calls: usize,
    faults: VecDeque<Fault>,
    queues: HashMap<(String, String), VecDeque<(Message, u32)>>,
    streams: Vec<Stream>,
    /// Message id and verdict, in the order in which they came.
    settled: Vec<(String, String)>,
    subscriptions: Vec<Subscribe>,
    cut: CancellationToken,
    loses_settlements: bool,
    owner: Option<SocketAddr>,
    healed: bool,
    reports: Vec<ReportStepRequest>,
    refused_reports: VecDeque<Status>,
}

struct Stream {
    own: Own,
}

/// Messages for one stream alone.
type Own = Arc<Mutex<VecDeque<(Message, u32)>>>;

impl Broker {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let broker = Self {
            state: Arc::default(),
            changed: Arc::default(),
            address: listener.local_addr().unwrap(),
        };
        let server = Server::builder()
            .add_service(MessageServiceServer::new(broker.clone()))
            .add_service(ReportServiceServer::new(broker.clone()))
            .add_service(RegistryServiceServer::new(Registry::default()));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        broker
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Every later call finds this instead.
    pub(crate) fn fault(&self, fault: Fault) {
        self.state().faults.push_back(fault);
    }

    /// From now on messages of the topic `poison` are taken.
    pub(crate) fn heal(&self) {
        self.state().healed = true;
    }

    /// Sends consumers to another coordinator.
    pub(crate) fn is_not_owner(&self, owner: &Self) {
        self.state().owner = Some(owner.address);
    }

    /// Hands a message to one consumer of a group.
    pub(crate) fn deliver(&self, group: &str, message: &Message) {
        let key = (group.to_owned(), message.topic.clone());
        let mut state = self.state();
        state
            .queues
            .entry(key)
            .or_default()
            .push_back((message.clone(), 1));
        drop(state);
        self.changed.notify_waiters();
    }

    /// Hands a message to every consumer that is there.
    pub(crate) fn deliver_to_all(&self, message: &Message) {
        for stream in &self.state().streams {
            stream.own.lock().unwrap().push_back((message.clone(), 1));
        }
        self.changed.notify_waiters();
    }

    /// Cuts all streams; what was not settled is delivered again.
    pub(crate) fn cut(&self) {
        let cut = std::mem::take(&mut self.state().cut);
        cut.cancel();
    }

    /// From now on settlements are not heard: the stream is cut instead.
    pub(crate) fn lose_settlements(&self, lose: bool) {
        self.state().loses_settlements = lose;
    }

    /// Waits until this holds.
    async fn until(&self, holds: impl Fn(&State) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if holds(&self.state()) {
                return;
            }
            changed.await;
        }
    }

    pub(crate) fn has_consumers(&self, count: usize) -> bool {
        self.state().streams.len() == count
    }

    pub(crate) async fn consumers(&self, count: usize) {
        self.until(|state| state.streams.len() == count).await;
    }

    /// Waits for this many settlements and returns them all.
    pub(crate) async fn settled(&self, count: usize) -> Vec<(String, String)> {
        self.until(|state| state.settled.len() >= count).await;
        self.state().settled.clone()
    }

    pub(crate) async fn published(&self, count: usize) -> Vec<String> {
        self.until(|state| state.published.len() >= count).await;
        self.state().published.clone()
    }

    pub(crate) async fn publish_calls(&self, count: usize) {
        self.until(|state| state.calls >= count).await;
    }

    pub(crate) fn message(&self, id: &str) -> Message {
        self.state().messages[id].clone()
    }

    /// What was reported, in order.
    pub(crate) fn reports(&self) -> Vec<ReportStepRequest> {
        self.state().reports.clone()
    }

    /// A later report is answered so.
    pub(crate) fn refuse_report(&self, status: Status) {
        self.state().refused_reports.push_back(status);
    }

    pub(crate) fn subscriptions(&self) -> Vec<Subscribe> {
        self.state().subscriptions.clone()
    }

    fn record(&self, messages: Vec<PublishMessage>) -> Result<Vec<PublishedMessage>, Status> {
        let mut state = self.state();
        let messages: Vec<Message> = messages.into_iter().map(|m| m.message.unwrap()).collect();
        for message in &messages {
            let other = state
                .messages
                .get(&message.id)
                .is_some_and(|known| known != message);
            if message.topic == "poison" && !state.healed {
                return Err(Status::invalid_argument("not this one"));
            }
            if other {
                return Err(Status::already_exists("the body differs"));
            }
        }
        let answer = messages.into_iter().map(|message| {
            let id = message.id.clone();
            let created = state.messages.insert(id.clone(), message.clone()).is_none();
            if created {
                state.published.push(id.clone());
                for ((_, topic), queue) in &mut state.queues {
                    if *topic == message.topic {
                        queue.push_back((message.clone(), 1));
                    }
                }
            }
            PublishedMessage { id, created }
        });
        let answer = answer.collect();
        drop(state);
        self.changed.notify_waiters();
        Ok(answer)
    }

    fn settle(
        &self,
        given: &mut HashMap<u64, (Message, u32)>,
        group: &(String, String),
        settle: Settle,
    ) -> Vec<u64> {
        let mut tokens = Vec::new();
        let mut state = self.state();
        for settlement in settle.settlements {
            let Some((message, attempt)) = given.remove(&settlement.token) else {
                continue;
            };
            tokens.push(settlement.token);
            let verdict = match settlement.verdict.unwrap() {
                Verdict::Done(_) => "done".to_owned(),
                Verdict::Dead(dead) => format!("dead: {}", dead.error),
                Verdict::Again(again) => {
                    let after = again
                        .after
                        .map(|after| format!(" after {} s", after.seconds));
                    format!("again{}: {}", after.unwrap_or_default(), again.error)
                }
            };
            if verdict.starts_with("again") {
                let queue = state.queues.entry(group.clone()).or_default();
                queue.push_back((message.clone(), attempt + 1));
            }
            state.settled.push((message.id, verdict));
        }
        drop(state);
        self.changed.notify_waiters();
        tokens
    }

    async fn consume(
        self,
        subscribe: Subscribe,
        mut asks: Streaming<ConsumeRequest>,
        says: mpsc::Sender<Result<ConsumeResponse, Status>>,
    ) {
        let subscription = subscribe.subscription.clone().unwrap();
        let group = (subscription.group, subscription.topic);
        let own = Own::default();
        let mut given: HashMap<u64, (Message, u32)> = HashMap::new();
        let (mut credit, mut token) = (subscribe.credit as usize, 0);
        let cut = self.join(&group, subscribe, &own);
        let say = async |response| {
            says.send(Ok(ConsumeResponse {
                response: Some(response),
            }))
            .await
            .is_ok()
        };
        let soon = prost_types::Duration {
            seconds: 1,
            nanos: 0,
        };
        let held = Subscribed {
            lease: Some(soon),
            keepalive_interval: Some(soon),
        };
        let mut open = say(Say::Subscribed(held)).await;
        while open {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let next = || {
                let own = own.lock().unwrap().pop_front();
                own.or_else(|| self.state().queues.get_mut(&group)?.pop_front())
            };
            while credit > 0
                && let Some((message, attempt)) = next()
            {
                (token, credit) = (token + 1, credit - 1);
                given.insert(token, (message.clone(), attempt));
                let delivered = Delivered {
                    token,
                    message: Some(message),
                    attempt,
                };
                open &= say(Say::Deliveries(Deliveries {
                    deliveries: vec![delivered],
                }))
                .await;
            }
            tokio::select! {
                () = cut.cancelled() => break,
                () = changed => {}
                ask = asks.message() => match ask.ok().flatten().and_then(|ask| ask.request) {
                    Some(Ask::Settle(_)) if self.state().loses_settlements => break,
                    Some(Ask::Settle(settle)) => {
                        let tokens = self.settle(&mut given, &group, settle);
                        credit += tokens.len();
                        open &= say(Say::Settled(Settled { tokens, stale: Vec::new() })).await;
                    }
                    Some(Ask::Keepalive(_)) => open &= say(Say::KeptAlive(KeptAlive {})).await,
                    _ => break,
                }
            }
        }
        self.leave(group, given, &own);
    }

    fn join(&self, group: &(String, String), subscribe: Subscribe, own: &Own) -> CancellationToken {
        let mut state = self.state();
        state.queues.entry(group.clone()).or_default();
        state.subscriptions.push(subscribe);
        state.streams.push(Stream {
            own: Arc::clone(own),
        });
        let cut = state.cut.clone();
        drop(state);
        self.changed.notify_waiters();
        cut
    }

    /// What was not settled is delivered again.
    fn leave(&self, group: (String, String), given: HashMap<u64, (Message, u32)>, own: &Own) {
        let mut state = self.state();
        let queue = state.queues.entry(group).or_default();
        queue.extend(given.into_values());
        queue.extend(std::mem::take(&mut *own.lock().unwrap()));
        state
            .streams
            .retain(|stream| !Arc::ptr_eq(&stream.own, own));
        drop(state);
        self.changed.notify_waiters();
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[async_trait]
impl ReportService for Broker {
    async fn report_step(&self, request: Request<ReportStepRequest>) -> Answer<ReportStepResponse> {
        let mut state = self.state();
        if let Some(status) = state.refused_reports.pop_front() {
            return Err(status);
        }
        state.reports.push(request.into_inner());
        Ok(Response::new(ReportStepResponse { awaited: true }))
    }
}

#[async_trait]
impl MessageService for Broker {
    async fn publish_messages(
        &self,
        request: Request<PublishMessagesRequest>,
    ) -> Answer<PublishMessagesResponse> {
        let fault = {
            let mut state = self.state();
            state.calls += 1;
            state.faults.pop_front()
        };
        self.changed.notify_waiters();
        let messages = request.into_inner().messages;
        match fault {
            Some(Fault::Refuse(status)) => return Err(status),
            Some(Fault::LoseAnswer) => {
                self.record(messages)?;
                return Err(Status::unavailable("the answer was lost"));
            }
            Some(Fault::Hold(gate)) => gate.notified().await,
            Some(Fault::HoldThenRefuse(gate, status)) => {
                gate.notified().await;
                return Err(status);
            }
            Some(Fault::HoldAnswer(gate)) => {
                self.record(messages)?;
                gate.notified().await;
                return Err(Status::unavailable("too late"));
            }
            None => {}
        }
        let messages = self.record(messages)?;
        Ok(Response::new(PublishMessagesResponse { messages }))
    }

    async fn get_message(&self, request: Request<GetMessageRequest>) -> Answer<GetMessageResponse> {
        let id = request.into_inner().id;
        let message = self.state().messages.get(&id).cloned();
        let message = message.ok_or_else(|| Status::not_found("no such message"))?;
        let status = MessageStatus {
            message: Some(message),
            state: MessageState::Published.into(),
            ..MessageStatus::default()
        };
        Ok(Response::new(GetMessageResponse {
            message: Some(status),
        }))
    }

    async fn list_messages(&self, _: Request<ListMessagesRequest>) -> Answer<ListMessagesResponse> {
        Ok(Response::new(ListMessagesResponse::default()))
    }

    async fn cancel_messages(
        &self,
        request: Request<CancelMessagesRequest>,
    ) -> Answer<CancelMessagesResponse> {
        let results = request.into_inner().ids.into_iter().map(|id| ItemResult {
            done: id == "delayed",
            id,
            code: "MESSAGE_PUBLISHED".to_owned(),
            message: "too late".to_owned(),
            new_id: String::new(),
        });
        let results = results.collect();
        Ok(Response::new(CancelMessagesResponse { results }))
    }

    async fn retry_messages(
        &self,
        _: Request<RetryMessagesRequest>,
    ) -> Answer<RetryMessagesResponse> {
        Err(Status::unimplemented("no test asks"))
    }

    type ConsumeStream =
        Pin<Box<dyn tokio_stream::Stream<Item = Result<ConsumeResponse, Status>> + Send>>;

    async fn consume(
        &self,
        request: Request<Streaming<ConsumeRequest>>,
    ) -> Answer<Self::ConsumeStream> {
        if let Some(owner) = self.state().owner {
            let metadata = HashMap::from([("address".to_owned(), owner.to_string())]);
            let details = ErrorDetails::with_error_info("NOT_GROUP_OWNER", "amends", metadata);
            let code = Code::FailedPrecondition;
            return Err(Status::with_error_details(
                code,
                "ask the other one",
                details,
            ));
        }
        let mut asks = request.into_inner();
        let first = asks.message().await?.and_then(|ask| ask.request);
        let Some(Ask::Subscribe(subscribe)) = first else {
            return Err(Status::invalid_argument("subscribe first"));
        };
        let (says, answers) = mpsc::channel(MAX_ANSWERS);
        tokio::spawn(Self::consume(self.clone(), subscribe, asks, says));
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }
}
