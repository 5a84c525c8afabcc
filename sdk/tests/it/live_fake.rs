//! A coordinator's live sagas, as far as the SDK sees them, in this process and with faults on demand.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use amends::proto::live_saga_service_server::{LiveSagaService, LiveSagaServiceServer};
use amends::proto::*;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status, async_trait};
use tonic_types::{ErrorDetails, StatusExt};

/// One live saga.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    pub begun: BeginLiveSagaRequest,
    pub steps: Vec<LiveStep>,
    pub state: TransactionState,
    pub output: Option<Payload>,
    pub cause: Option<Cause>,
    pub heartbeats: usize,
    /// Answers that it has lost so far.
    lost: HashSet<String>,
}

/// The running coordinator; a handle.
#[derive(Clone)]
pub struct LiveFake {
    sagas: Arc<Mutex<HashMap<String, Kept>>>,
    changed: Arc<Notify>,
    loses_answers: bool,
    address: SocketAddr,
}

type Answer<T> = Result<Response<T>, Status>;

impl LiveFake {
    pub async fn start() -> Self {
        Self::start_with(false).await
    }

    /// Does each thing, and loses its answer the first time.
    pub async fn start_losing_answers() -> Self {
        Self::start_with(true).await
    }

    async fn start_with(loses_answers: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self {
            sagas: Arc::default(),
            changed: Arc::default(),
            loses_answers,
            address: listener.local_addr().unwrap(),
        };
        let server = Server::builder().add_service(LiveSagaServiceServer::new(fake.clone()));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        fake
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn saga(&self, gid: &str) -> Kept {
        self.sagas().get(gid).cloned().unwrap_or_default()
    }

    pub fn ids(&self) -> Vec<String> {
        self.sagas().keys().cloned().collect()
    }

    fn sagas(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        self.sagas.lock().unwrap()
    }

    /// Waits until something holds of a saga.
    pub async fn until(&self, gid: &str, holds: impl Fn(&Kept) -> bool) -> Kept {
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            let saga = self.saga(gid);
            if holds(&saga) {
                return saga;
            }
            changed.await;
        }
    }

    /// As an operator would.
    pub fn turn_back(&self, gid: &str, code: &str) {
        let mut sagas = self.sagas();
        let saga = sagas.get_mut(gid).unwrap();
        saga.state = TransactionState::Compensated;
        saga.cause = Some(cause("", code));
        drop(sagas);
        self.changed.notify_waiters();
    }

    /// Does it, and may lose the answer.
    fn with<T>(
        &self,
        gid: &str,
        what: &str,
        work: impl FnOnce(&mut Kept) -> Result<T, Status>,
    ) -> Result<T, Status> {
        let mut sagas = self.sagas();
        let saga = sagas
            .get_mut(gid)
            .ok_or_else(|| reasoned(Code::NotFound, "TRANSACTION_NOT_FOUND"))?;
        let done = work(saga);
        let lost = self.loses_answers && saga.lost.insert(what.to_owned());
        drop(sagas);
        self.changed.notify_waiters();
        if lost {
            return Err(Status::unavailable("the answer is lost"));
        }
        done
    }
}

pub fn cause(step: &str, code: &str) -> Cause {
    Cause {
        step: step.to_owned(),
        failure: Some(Failure {
            code: code.to_owned(),
            message: "why".to_owned(),
        }),
    }
}

fn reasoned(code: Code, reason: &str) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, "amends", HashMap::new());
    Status::with_error_details(code, "as the fake says", details)
}

fn forward(saga: &Kept) -> Result<(), Status> {
    match saga.state {
        TransactionState::Running => Ok(()),
        TransactionState::Compensated => {
            Err(reasoned(Code::FailedPrecondition, "LIVE_SAGA_TURNED_BACK"))
        }
        _ => Err(reasoned(Code::FailedPrecondition, "TRANSACTION_ENDED")),
    }
}

fn shown(gid: &str, saga: &Kept) -> Option<Transaction> {
    let summary = TransactionSummary {
        gid: gid.to_owned(),
        state: saga.state.into(),
        cause: saga.cause.clone(),
        ..TransactionSummary::default()
    };
    Some(Transaction {
        summary: Some(summary),
        output: saga.output.clone(),
        ..Transaction::default()
    })
}

#[async_trait]
impl LiveSagaService for LiveFake {
    async fn begin_live_saga(
        &self,
        request: Request<BeginLiveSagaRequest>,
    ) -> Answer<BeginLiveSagaResponse> {
        let begun = request.into_inner();
        let gid = begun.gid.clone();
        let mut created = false;
        self.sagas().entry(gid.clone()).or_insert_with(|| {
            created = true;
            Kept {
                begun: begun.clone(),
                state: TransactionState::Running,
                ..Kept::default()
            }
        });
        self.with(&gid, "begin", |saga| {
            let other = saga.begun.caller != begun.caller;
            if other && saga.state == TransactionState::Running {
                return Err(reasoned(Code::FailedPrecondition, "ALREADY_RUNNING"));
            }
            Ok(Response::new(BeginLiveSagaResponse {
                transaction: shown(&gid, saga),
                created,
            }))
        })
    }

    /// Steps of the service `no` are refused, of `never` do not end, all others answer with their input.
    async fn run_live_step(
        &self,
        request: Request<RunLiveStepRequest>,
    ) -> Answer<RunLiveStepResponse> {
        let RunLiveStepRequest { gid, step, .. } = request.into_inner();
        let asked = step.unwrap();
        let name = asked.name.clone();
        self.with(&gid, &name, |saga| {
            forward(saga)?;
            match saga.steps.iter().find(|step| step.name == name) {
                Some(step) if *step != asked => {
                    return Err(reasoned(Code::FailedPrecondition, "STEP_DIFFERS"));
                }
                Some(_) => {}
                None => saga.steps.push(asked.clone()),
            }
            Ok(())
        })?;
        if asked.target.starts_with("never/") {
            let over = self.until(&gid, |saga| saga.state != TransactionState::Running);
            forward(&over.await)?;
        }
        let mut step = Step {
            name,
            state: StepState::Succeeded.into(),
            output: asked.input,
            ..Step::default()
        };
        if asked.target.starts_with("no/") {
            step.state = StepState::Refused.into();
            step.output = None;
            step.last_failure = cause("", "OUT_OF_STOCK").failure;
        }
        Ok(Response::new(RunLiveStepResponse {
            step: Some(step),
            state: TransactionState::Running.into(),
        }))
    }

    async fn heartbeat_live_saga(
        &self,
        request: Request<HeartbeatLiveSagaRequest>,
    ) -> Answer<HeartbeatLiveSagaResponse> {
        let gid = request.into_inner().gid;
        self.with(&gid, "heartbeat", |saga| {
            saga.heartbeats += 1;
            forward(saga)
        })?;
        Ok(Response::new(HeartbeatLiveSagaResponse::default()))
    }

    async fn complete_live_saga(
        &self,
        request: Request<CompleteLiveSagaRequest>,
    ) -> Answer<CompleteLiveSagaResponse> {
        let CompleteLiveSagaRequest { gid, output } = request.into_inner();
        self.with(&gid, "complete", |saga| {
            if saga.state != TransactionState::Succeeded {
                forward(saga)?;
                saga.state = TransactionState::Succeeded;
                saga.output = output;
            }
            Ok(Response::new(CompleteLiveSagaResponse {
                transaction: shown(&gid, saga),
            }))
        })
    }

    async fn fail_live_saga(
        &self,
        request: Request<FailLiveSagaRequest>,
    ) -> Answer<FailLiveSagaResponse> {
        let FailLiveSagaRequest {
            gid, step, failure, ..
        } = request.into_inner();
        self.with(&gid, "fail", |saga| {
            match saga.state {
                TransactionState::Running => {
                    saga.state = TransactionState::Compensated;
                    saga.cause = Some(Cause { step, failure });
                }
                TransactionState::Compensated => {}
                _ => forward(saga)?,
            }
            Ok(Response::new(FailLiveSagaResponse {
                transaction: shown(&gid, saga),
            }))
        })
    }

    async fn get_live_saga(
        &self,
        request: Request<GetLiveSagaRequest>,
    ) -> Answer<GetLiveSagaResponse> {
        let gid = request.into_inner().gid;
        self.with(&gid, "get", |saga| {
            Ok(Response::new(GetLiveSagaResponse {
                transaction: shown(&gid, saga),
            }))
        })
    }
}
