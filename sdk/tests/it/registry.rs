//! A coordinator's registry, as far as a participant sees it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use amends::proto;
use amends::proto::registry_service_server::{RegistryService, RegistryServiceServer};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status};

const MAX_EVENTS: usize = 1000;

/// Knows what it was called with, in order.
#[derive(Clone)]
pub(crate) struct Registry {
    knows: Arc<AtomicBool>,
    refuses: Arc<std::sync::Mutex<Option<Code>>>,
    events: mpsc::Sender<(&'static str, proto::RegisterParticipantRequest)>,
    seen: Arc<Mutex<mpsc::Receiver<(&'static str, proto::RegisterParticipantRequest)>>>,
}

impl Default for Registry {
    fn default() -> Self {
        let (events, seen) = mpsc::channel(MAX_EVENTS);
        let seen = Arc::new(Mutex::new(seen));
        Self {
            knows: Arc::default(),
            refuses: Arc::default(),
            events,
            seen,
        }
    }
}

impl Registry {
    /// One that accepts nobody for now.
    pub(crate) fn refusing(code: Code) -> Self {
        let registry = Self::default();
        *registry.refuses.lock().unwrap() = Some(code);
        registry
    }

    /// Accepts everybody from now on.
    pub(crate) fn accept(&self) {
        *self.refuses.lock().unwrap() = None;
    }

    /// Forgets everybody, like a coordinator that was started anew.
    pub(crate) fn forget(&self) {
        self.knows.store(false, Ordering::SeqCst);
    }

    /// Waits for the next call of this kind, past all others.
    pub(crate) async fn next(&self, kind: &str) -> proto::RegisterParticipantRequest {
        let mut seen = self.seen.lock().await;
        loop {
            let (this, request) = seen.recv().await.unwrap();
            if this == kind {
                return request;
            }
        }
    }

    fn note(&self, kind: &'static str, request: proto::RegisterParticipantRequest) {
        self.events.try_send((kind, request)).unwrap();
    }
}

/// Serves a registry for as long as the test runs.
pub(crate) fn serve(registry: Registry, listener: TcpListener) -> SocketAddr {
    let address = listener.local_addr().unwrap();
    let server = Server::builder().add_service(RegistryServiceServer::new(registry));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    address
}

fn soon() -> Option<prost_types::Duration> {
    Some(prost_types::Duration {
        seconds: 0,
        nanos: 100_000_000,
    })
}

#[tonic::async_trait]
impl RegistryService for Registry {
    async fn register_participant(
        &self,
        request: Request<proto::RegisterParticipantRequest>,
    ) -> Result<Response<proto::RegisterParticipantResponse>, Status> {
        if let Some(code) = *self.refuses.lock().unwrap() {
            return Err(Status::new(code, "not you"));
        }
        self.knows.store(true, Ordering::SeqCst);
        self.note("register", request.into_inner());
        Ok(Response::new(proto::RegisterParticipantResponse {
            heartbeat_interval: soon(),
        }))
    }

    async fn heartbeat(
        &self,
        _: Request<proto::HeartbeatRequest>,
    ) -> Result<Response<proto::HeartbeatResponse>, Status> {
        if !self.knows.load(Ordering::SeqCst) {
            return Err(Status::not_found("who are you?"));
        }
        self.note("heartbeat", proto::RegisterParticipantRequest::default());
        Ok(Response::new(proto::HeartbeatResponse {
            heartbeat_interval: soon(),
        }))
    }

    async fn deregister_participant(
        &self,
        _: Request<proto::DeregisterParticipantRequest>,
    ) -> Result<Response<proto::DeregisterParticipantResponse>, Status> {
        self.note("deregister", proto::RegisterParticipantRequest::default());
        Ok(Response::new(proto::DeregisterParticipantResponse {}))
    }

    async fn list_participants(
        &self,
        _: Request<proto::ListParticipantsRequest>,
    ) -> Result<Response<proto::ListParticipantsResponse>, Status> {
        Err(Status::unimplemented("no test asks"))
    }
}
