//! `amends bench participant`: answers at once and remembers nothing but how
//! often it was called.
//!
//! What a step does follows from its name (see `workload`). Two names are for
//! the bench itself: `counts` answers how often it was called, `release` lets
//! everything that hangs go. It has no consumer log and no database, so that
//! what is measured is the coordinator.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use amends_proto::v1::execute_response::Answer;
use amends_proto::v1::participant_service_server::{ParticipantService, ParticipantServiceServer};
use amends_proto::v1::{ExecuteRequest, ExecuteResponse, Failure, Payload, Phase, Succeeded};
use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use super::workload::{self, HANG, REFUSE, WORK};
use crate::admin::error::CommandError;
use crate::admin::exit::Exit;
use crate::admin::output::print_line;
use crate::config::value::parse_duration;

/// Calls under way on one connection; more than any load asks for.
const MAX_STREAMS: u32 = 65_536;

/// Asks how often it was called.
pub(super) const COUNTS: &str = "counts";
/// Lets everything that hangs go.
pub(super) const RELEASE: &str = "release";

/// Arguments of `amends bench participant`.
#[derive(Debug, Args)]
pub(super) struct ParticipantArgs {
    /// How long each step takes
    #[arg(long, value_parser = duration, default_value = "0s", value_name = "TIME")]
    delay: Duration,
}

/// How often steps were called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) forward: u64,
    pub(super) undo: u64,
}

/// Serves until standard input ends, as it does when the bench ends.
pub(super) async fn run(args: &ParticipantArgs) -> Result<Exit, CommandError> {
    let failed = |error: &dyn std::error::Error| CommandError::Failed(error.to_string());
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .map_err(|error| failed(&error))?;
    let address = listener.local_addr().map_err(|error| failed(&error))?;
    let service = ParticipantServiceServer::new(Participant::new(args.delay));
    let server = Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .add_service(service)
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    print_line(&format!("amends bench participant listening on {address}"))?;
    tokio::select! {
        ended = server => ended.map_err(|error| failed(&error))?,
        () = end_of_input() => {}
    }
    Ok(Exit::Done)
}

async fn end_of_input() {
    let read = || io::copy(&mut io::stdin().lock(), &mut io::sink());
    // However it ends, nobody is there any more.
    let _ = tokio::task::spawn_blocking(read).await;
}

struct Participant {
    delay: Duration,
    forward: AtomicU64,
    undo: AtomicU64,
    released: watch::Sender<bool>,
}

impl Participant {
    fn new(delay: Duration) -> Self {
        Self {
            delay,
            forward: AtomicU64::new(0),
            undo: AtomicU64::new(0),
            released: watch::Sender::new(false),
        }
    }

    fn count(&self, phase: Phase) {
        let counter = match phase {
            Phase::Undo => &self.undo,
            Phase::Do | Phase::Unspecified => &self.forward,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn counts(&self) -> Result<Payload, Status> {
        let counts = Counts {
            forward: self.forward.load(Ordering::Relaxed),
            undo: self.undo.load(Ordering::Relaxed),
        };
        let json =
            serde_json::to_vec(&counts).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Payload {
            content_type: String::new(),
            data: json.into(),
        })
    }

    async fn work(&self, phase: Phase) -> Answer {
        self.count(phase);
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        succeeded(workload::output())
    }
}

#[tonic::async_trait]
impl ParticipantService for Participant {
    async fn execute(
        &self,
        request: Request<ExecuteRequest>,
    ) -> Result<Response<ExecuteResponse>, Status> {
        let request = request.into_inner();
        let answer = match request.step.as_str() {
            WORK => self.work(request.phase()).await,
            REFUSE => {
                self.count(request.phase());
                Answer::Refused(Failure {
                    code: "REFUSED".to_owned(),
                    message: "as asked for".to_owned(),
                })
            }
            HANG => {
                // The sender lives as long as this service.
                let _ = self
                    .released
                    .subscribe()
                    .wait_for(|released| *released)
                    .await;
                self.work(request.phase()).await
            }
            COUNTS => succeeded(self.counts()?),
            RELEASE => {
                self.released.send_replace(true);
                succeeded(workload::output())
            }
            other => return Err(Status::not_found(format!("no step {other:?} here"))),
        };
        Ok(Response::new(ExecuteResponse {
            answer: Some(answer),
        }))
    }
}

fn succeeded(output: Payload) -> Answer {
    Answer::Succeeded(Succeeded {
        output: Some(output),
    })
}

/// For clap: a time with its unit.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "expected a time with its unit, such as 5ms".to_owned())
}
