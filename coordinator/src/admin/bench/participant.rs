//! `amends bench participant`: answers at once and remembers nothing but how
//! often it was called.
//!
//! What a step does follows from its name (see `workload`). Two names are for
//! the bench itself: `counts` answers how often it was called, `release` lets
//! everything that hangs go. It has no consumer log and no database, so that
//! what is measured is the coordinator.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use amends_proto::v1::execute_response::Answer;
use amends_proto::v1::participant_service_server::{ParticipantService, ParticipantServiceServer};
use amends_proto::v1::{
    ExecuteRequest, ExecuteResponse, Failure, InProgress, Payload, Phase, Succeeded,
};
use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use super::serving::serve;
use super::workload::{self, HANG, LATER, REFUSE, WORK};
use crate::admin::error::CommandError;
use crate::admin::exit::Exit;
use crate::config::value::parse_duration;

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
    /// When to call again the step that asks for it
    #[arg(long, value_parser = duration, default_value = "1h", value_name = "TIME")]
    later: Duration,
}

/// How often steps were called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) forward: u64,
    pub(super) undo: u64,
    /// How often to come back later was the answer.
    pub(super) later: u64,
}

impl Counts {
    /// Steps and undos that were counted after those.
    pub(super) fn since(self, before: Self) -> u64 {
        self.forward + self.undo - before.forward - before.undo
    }
}

/// Serves until standard input ends, as it does when the bench ends.
pub(super) async fn run(args: &ParticipantArgs, cores: &[Handle]) -> Result<Exit, CommandError> {
    let service = ParticipantServiceServer::new(Participant::new(args));
    serve("participant", Routes::new(service), cores).await
}

struct Participant {
    delay: Duration,
    retry_after: Duration,
    forward: AtomicU64,
    undo: AtomicU64,
    later: AtomicU64,
    released: watch::Sender<bool>,
}

impl Participant {
    fn new(args: &ParticipantArgs) -> Self {
        Self {
            delay: args.delay,
            retry_after: args.later,
            forward: AtomicU64::new(0),
            undo: AtomicU64::new(0),
            later: AtomicU64::new(0),
            released: watch::Sender::new(false),
        }
    }

    fn count(&self, phase: Phase) {
        let counter = match phase {
            Phase::Undo | Phase::Cancel => &self.undo,
            Phase::Do | Phase::Try | Phase::Confirm | Phase::Unspecified => &self.forward,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn counts(&self) -> Result<Payload, Status> {
        let counts = Counts {
            forward: self.forward.load(Ordering::Relaxed),
            undo: self.undo.load(Ordering::Relaxed),
            later: self.later.load(Ordering::Relaxed),
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
            LATER if !*self.released.borrow() => {
                self.later.fetch_add(1, Ordering::Relaxed);
                Answer::InProgress(InProgress {
                    retry_after: prost_types::Duration::try_from(self.retry_after).ok(),
                })
            }
            LATER => self.work(request.phase()).await,
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
