//! A participant that keeps a consumer log, in the process of the test, so that
//! it outlives every coordinator.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use amends_proto::v1::execute_response::Answer;
use amends_proto::v1::participant_service_server::{ParticipantService, ParticipantServiceServer};
use amends_proto::v1::{ExecuteRequest, ExecuteResponse, Failure, Phase, Succeeded};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

/// Of so many calls one takes effect and then proves nothing.
const LOST_ANSWER_STRIDE: usize = 7;
/// Whose gid begins with this is refused by the last step.
pub(crate) const REFUSED: &str = "refused";

/// What one branch has seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Branch {
    /// Effects in force.
    pub(crate) in_force: i32,
    /// How often the effect was made, and taken back.
    pub(crate) made: u32,
    pub(crate) taken_back: u32,
    is_refused: bool,
    is_undone: bool,
}

/// All effects, by transaction and branch. A cheap handle.
#[derive(Clone)]
pub(crate) struct Ledger {
    branches: Arc<Mutex<HashMap<(String, String), Branch>>>,
    calls: Arc<watch::Sender<usize>>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            branches: Arc::default(),
            calls: Arc::new(watch::Sender::new(0)),
        }
    }

    pub(crate) fn branch(&self, gid: &str, branch: &str) -> Branch {
        let branches = self.branches.lock().unwrap();
        let key = (gid.to_owned(), branch.to_owned());
        branches.get(&key).cloned().unwrap_or_default()
    }

    pub(crate) fn calls(&self) -> usize {
        *self.calls.borrow()
    }

    /// Waits until so many calls have been made in all.
    pub(crate) async fn called(&self, times: usize) {
        let mut calls = self.calls.subscribe();
        calls.wait_for(|calls| *calls >= times).await.unwrap();
    }

    fn take(&self, call: &ExecuteRequest) -> Answer {
        let mut branches = self.branches.lock().unwrap();
        let branch = branches
            .entry((call.gid.clone(), call.branch.clone()))
            .or_default();
        if call.phase() == Phase::Undo {
            if branch.in_force > 0 {
                branch.in_force -= 1;
                branch.taken_back += 1;
            }
            branch.is_undone = true;
            return Answer::Succeeded(Succeeded { output: None });
        }
        branch.is_refused |= call.step == "last" && call.gid.starts_with(REFUSED);
        if branch.is_refused || branch.is_undone {
            return Answer::Refused(Failure {
                code: "NO".to_owned(),
                message: "refused".to_owned(),
            });
        }
        if branch.made == 0 {
            branch.made += 1;
            branch.in_force += 1;
        }
        Answer::Succeeded(Succeeded { output: None })
    }
}

#[tonic::async_trait]
impl ParticipantService for Ledger {
    async fn execute(
        &self,
        request: Request<ExecuteRequest>,
    ) -> Result<Response<ExecuteResponse>, Status> {
        let answer = self.take(&request.into_inner());
        let mut number = 0;
        self.calls.send_modify(|calls| {
            *calls += 1;
            number = *calls;
        });
        if number % LOST_ANSWER_STRIDE == 0 {
            return Err(Status::internal("the answer is lost"));
        }
        Ok(Response::new(ExecuteResponse {
            answer: Some(answer),
        }))
    }
}

/// Serves a ledger. On a runtime of its own: killing it cuts every connection.
pub(crate) struct Participant {
    pub(crate) address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Participant {
    pub(crate) async fn start<P: ParticipantService + Clone>(ledger: &P) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), ledger).await
    }

    pub(crate) async fn start_at<P: ParticipantService + Clone>(
        address: SocketAddr,
        ledger: &P,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let service = ParticipantServiceServer::new(ledger.clone());
        let bound = runtime.spawn(async move {
            let listener = TcpListener::bind(address).await.unwrap();
            let address = listener.local_addr().unwrap();
            let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
            let server = tonic::transport::Server::builder().add_service(service);
            tokio::spawn(server.serve_with_incoming(incoming));
            address
        });
        Self {
            address: bound.await.unwrap(),
            runtime: Some(runtime),
        }
    }

    /// Gone at once, calls under way included.
    pub(crate) async fn kill(mut self) -> SocketAddr {
        let runtime = self.runtime.take();
        tokio::task::spawn_blocking(move || drop(runtime))
            .await
            .unwrap();
        self.address
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
