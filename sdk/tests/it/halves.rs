//! A coordinator's half messages, as far as the SDK sees them: a real server in
//! this process, with everything in memory and faults on demand.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use amends::proto::answer_checks_request::Request as Ask;
use amends::proto::answer_checks_response::Response as Say;
use amends::proto::half_message_service_server::{HalfMessageService, HalfMessageServiceServer};
use amends::proto::producer_service_client::ProducerServiceClient;
use amends::proto::registry_service_server::RegistryServiceServer;
use amends::proto::*;
use amends::{Client, RunningParticipant};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status, Streaming, async_trait};
use tonic_types::{ErrorDetails, StatusExt};

use crate::registry::Registry;

/// Checks under way to one producer.
const MAX_CHECKS: usize = 64;

/// What happens to the next call of its kind.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It is refused.
    Refuse(Status),
    /// It is done, and its answer waits for the test.
    HoldAnswer(Arc<Notify>),
    /// The test learns of it, and it is never done.
    Hang(Arc<Notify>),
}

/// The running coordinator.
#[derive(Clone)]
pub(crate) struct Halves {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
    address: SocketAddr,
}

#[derive(Default)]
struct State {
    halves: BTreeMap<String, Stored>,
    prepare_faults: VecDeque<Fault>,
    decide_faults: VecDeque<Fault>,
    streams: Vec<(JoinProducers, Questions)>,
    cut: CancellationToken,
}

/// To the producer at the other end of a stream.
type Questions = mpsc::Sender<(CheckBackRequest, oneshot::Sender<CheckAnswer>)>;

/// A half id as it stands.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) request: PrepareMessagesRequest,
    pub(crate) state: HalfState,
}

impl Halves {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let halves = Self {
            state: Arc::default(),
            changed: Arc::default(),
            address: listener.local_addr().unwrap(),
        };
        let server = Server::builder()
            .add_service(HalfMessageServiceServer::new(halves.clone()))
            .add_service(RegistryServiceServer::new(Registry::default()));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        halves
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client of the group `payments`.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.url())
            .unwrap()
            .with_producer("payments")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn fault_prepare(&self, fault: Fault) {
        self.state().prepare_faults.push_back(fault);
    }

    pub(crate) fn fault_decide(&self, fault: Fault) {
        self.state().decide_faults.push_back(fault);
    }

    /// Waits until this holds.
    async fn until<T>(&self, holds: impl Fn(&State) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let held = holds(&self.state());
            if let Some(value) = held {
                return value;
            }
            changed.await;
        }
    }

    /// Waits until the half id is prepared.
    pub(crate) async fn prepared(&self, half_id: &str) {
        self.until(|state| state.halves.get(half_id).map(drop))
            .await;
    }

    /// Waits until the half id stands so.
    pub(crate) async fn reached(&self, half_id: &str, wanted: HalfState) {
        self.until(|state| (state.halves.get(half_id)?.state == wanted).then_some(()))
            .await;
    }

    /// Waits for the only half id's verdict.
    pub(crate) async fn decided(&self) -> Stored {
        self.until(|state| {
            let only = state.halves.values().next()?;
            (only.state != HalfState::Prepared).then(|| only.clone())
        })
        .await
    }

    pub(crate) fn get(&self, half_id: &str) -> Option<Stored> {
        self.state().halves.get(half_id).cloned()
    }

    /// Waits until this many producers have a stream.
    pub(crate) async fn producers(&self, count: usize) -> Vec<JoinProducers> {
        self.until(|state| {
            let joined = state.streams.iter().map(|(join, _)| join.clone());
            (state.streams.len() == count).then(|| joined.collect())
        })
        .await
    }

    /// Cuts all streams.
    pub(crate) fn cut(&self) {
        std::mem::take(&mut self.state().cut).cancel();
    }

    /// What a check asks.
    pub(crate) fn question(&self, half_id: &str) -> CheckBackRequest {
        let stored = self.get(half_id);
        let producer = stored.as_ref().map(|half| half.request.producer.clone());
        let messages = stored.into_iter().flat_map(|half| half.request.messages);
        let messages = messages.map(|message| Message {
            payload: None,
            create_time: Some(std::time::SystemTime::now().into()),
            ..message.message.unwrap()
        });
        CheckBackRequest {
            producer: producer.unwrap_or_else(|| "payments".to_owned()),
            half_id: half_id.to_owned(),
            messages: messages.collect(),
            attempt: 1,
        }
    }

    /// Asks a participant what became of it, and keeps what it says.
    pub(crate) async fn check(&self, half_id: &str, producer: &RunningParticipant) -> HalfVerdict {
        let answer = ask(producer, self.question(half_id)).await.unwrap();
        self.keep(half_id, answer.verdict())
    }

    /// The same over the stream.
    pub(crate) async fn check_by_stream(&self, half_id: &str) -> HalfVerdict {
        let questions = self.state().streams[0].1.clone();
        let (tell, told) = oneshot::channel();
        questions
            .send((self.question(half_id), tell))
            .await
            .unwrap();
        self.keep(half_id, told.await.unwrap().verdict())
    }

    fn keep(&self, half_id: &str, verdict: HalfVerdict) -> HalfVerdict {
        if verdict != HalfVerdict::Unspecified && self.get(half_id).is_some() {
            // What stands already stands.
            self.decide(half_id, verdict).ok();
        }
        verdict
    }

    /// The first verdict stands.
    pub(crate) fn decide(&self, half_id: &str, verdict: HalfVerdict) -> Result<bool, Status> {
        let to = match verdict {
            HalfVerdict::Commit => HalfState::Committed,
            HalfVerdict::Rollback => HalfState::RolledBack,
            HalfVerdict::Unspecified => return Err(Status::invalid_argument("no verdict")),
        };
        let mut state = self.state();
        let half = state.halves.get_mut(half_id);
        let half = half.ok_or_else(|| Status::not_found("no such half id"))?;
        let changed = half.state == HalfState::Prepared;
        if changed {
            half.state = to;
        }
        if half.state != to {
            let details = ErrorDetails::with_error_info("HALF_DECIDED", "amends", []);
            let (code, text) = (Code::FailedPrecondition, "it was decided otherwise");
            return Err(Status::with_error_details(code, text, details));
        }
        drop(state);
        self.changed.notify_waiters();
        Ok(changed)
    }

    fn store(&self, request: &PrepareMessagesRequest) -> Result<PrepareMessagesResponse, Status> {
        let mut state = self.state();
        let half_id = request.half_id.clone();
        let messages = request.messages.iter().map(|message| PublishedMessage {
            id: message.message.clone().unwrap().id,
            created: true,
        });
        let messages = messages.collect();
        let half = state.halves.entry(half_id.clone()).or_insert(Stored {
            request: request.clone(),
            state: HalfState::Prepared,
        });
        if half.request != *request {
            return Err(Status::already_exists("the content differs"));
        }
        let answer = PrepareMessagesResponse {
            half_id,
            messages,
            state: half.state.into(),
        };
        drop(state);
        self.changed.notify_waiters();
        Ok(answer)
    }

    async fn serve_stream(
        self,
        join: JoinProducers,
        mut answers: Streaming<AnswerChecksRequest>,
        says: mpsc::Sender<Result<AnswerChecksResponse, Status>>,
    ) {
        let (questions, mut asked) = mpsc::channel(MAX_CHECKS);
        let cut = {
            let mut state = self.state();
            state.streams.push((join, questions.clone()));
            state.cut.clone()
        };
        self.changed.notify_waiters();
        let (mut check_id, mut waiting) = (0, BTreeMap::new());
        loop {
            tokio::select! {
                () = cut.cancelled() => break,
                Some((question, tell)) = asked.recv() => {
                    check_id += 1;
                    waiting.insert(check_id, tell);
                    let check = Check { check_id, question: Some(question), timeout: None };
                    if says.send(Ok(say(Say::Check(check)))).await.is_err() {
                        break;
                    }
                }
                answer = answers.message() => match answer.ok().flatten().and_then(|a| a.request) {
                    Some(Ask::Answer(answer)) => {
                        let tell: Option<oneshot::Sender<_>> = waiting.remove(&answer.check_id);
                        tell.unwrap().send(answer).ok();
                    }
                    Some(Ask::Keepalive(_)) => {}
                    _ => break,
                }
            }
        }
        let mut state = self.state();
        state
            .streams
            .retain(|(_, other)| !other.same_channel(&questions));
        drop(state);
        self.changed.notify_waiters();
    }
}

/// Asks a participant over the network.
pub(crate) async fn ask(
    producer: &RunningParticipant,
    question: CheckBackRequest,
) -> Result<CheckBackResponse, Status> {
    let url = format!("http://{}", producer.address());
    let channel = tonic::transport::Endpoint::from_shared(url).unwrap();
    let mut client = ProducerServiceClient::new(channel.connect().await.unwrap());
    client.check_back(question).await.map(Response::into_inner)
}

fn say(response: Say) -> AnswerChecksResponse {
    AnswerChecksResponse {
        response: Some(response),
    }
}

async fn suffer<T>(fault: Option<Fault>, done: impl FnOnce() -> Result<T, Status>) -> Answer<T> {
    match fault {
        Some(Fault::Refuse(status)) => Err(status),
        Some(Fault::HoldAnswer(gate)) => {
            let answer = done()?;
            gate.notified().await;
            Ok(Response::new(answer))
        }
        Some(Fault::Hang(arrived)) => {
            arrived.notify_one();
            std::future::pending().await
        }
        None => done().map(Response::new),
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[async_trait]
impl HalfMessageService for Halves {
    async fn prepare_messages(
        &self,
        request: Request<PrepareMessagesRequest>,
    ) -> Answer<PrepareMessagesResponse> {
        let fault = self.state().prepare_faults.pop_front();
        suffer(fault, || self.store(request.get_ref())).await
    }

    async fn decide_half(&self, request: Request<DecideHalfRequest>) -> Answer<DecideHalfResponse> {
        let request = request.into_inner();
        let fault = self.state().decide_faults.pop_front();
        suffer(fault, || {
            let changed = self.decide(&request.half_id, request.verdict())?;
            let state = self.get(&request.half_id).unwrap().state.into();
            Ok(DecideHalfResponse { state, changed })
        })
        .await
    }

    async fn check_halves(&self, _: Request<CheckHalvesRequest>) -> Answer<CheckHalvesResponse> {
        Err(Status::unimplemented("no test asks"))
    }

    async fn get_half(&self, _: Request<GetHalfRequest>) -> Answer<GetHalfResponse> {
        Err(Status::unimplemented("no test asks"))
    }

    async fn list_halves(&self, _: Request<ListHalvesRequest>) -> Answer<ListHalvesResponse> {
        Err(Status::unimplemented("no test asks"))
    }

    async fn list_producers(
        &self,
        _: Request<ListProducersRequest>,
    ) -> Answer<ListProducersResponse> {
        Err(Status::unimplemented("no test asks"))
    }

    type AnswerChecksStream =
        Pin<Box<dyn tokio_stream::Stream<Item = Result<AnswerChecksResponse, Status>> + Send>>;

    async fn answer_checks(
        &self,
        request: Request<Streaming<AnswerChecksRequest>>,
    ) -> Answer<Self::AnswerChecksStream> {
        let mut answers = request.into_inner();
        let first = answers.message().await?.and_then(|first| first.request);
        let Some(Ask::Join(join)) = first else {
            return Err(Status::invalid_argument("join first"));
        };
        let (says, said) = mpsc::channel(MAX_CHECKS);
        let keepalive_interval = Some(prost_types::Duration {
            seconds: 1,
            nanos: 0,
        });
        let joined = say(Say::Joined(ProducerJoined { keepalive_interval }));
        says.try_send(Ok(joined)).unwrap();
        tokio::spawn(self.clone().serve_stream(join, answers, says));
        Ok(Response::new(Box::pin(ReceiverStream::new(said))))
    }
}
