//! The gRPC side: `Execute` in, consumer log, answer out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amends_proto::v1;
use amends_proto::v1::execute_response::Answer;
use amends_proto::v1::participant_service_server::ParticipantService;
use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status};

use crate::consumer_log::{self, Call, Fault, Phase};
use crate::message::is_json;
use crate::saga::convert::JSON;
use crate::service::StepDef;
use crate::{Database, ServiceDef, StepCx, StepError, StepResult};

/// Executes the calls of all services of a participant.
pub(super) struct Executor {
    calls: Arc<Calls>,
    tracker: TaskTracker,
    places: Arc<Semaphore>,
}

/// Calls of the steps of all services of a participant, however they come.
pub(super) struct Calls {
    database: Database,
    services: BTreeMap<&'static str, ServiceDef>,
}

impl Executor {
    pub(super) fn new(calls: Arc<Calls>, concurrency: usize) -> Self {
        Self {
            calls,
            tracker: TaskTracker::new(),
            places: Arc::new(Semaphore::new(concurrency)),
        }
    }

    /// The calls under way.
    pub(super) fn tracker(&self) -> TaskTracker {
        self.tracker.clone()
    }
}

#[tonic::async_trait]
impl ParticipantService for Executor {
    // The work runs in a task of its own: a caller that hangs up must not
    // leave an external step without its answer in the log.
    async fn execute(
        &self,
        request: Request<v1::ExecuteRequest>,
    ) -> Result<Response<v1::ExecuteResponse>, Status> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            Status::resource_exhausted("this participant executes as many calls as it may")
        })?;
        let deadline = deadline(&request);
        let calls = Arc::clone(&self.calls);
        let work = self.tracker.spawn(async move {
            let _place = place;
            calls.execute(request.into_inner(), deadline).await
        });
        work.await
            .map_err(|error| Status::unknown(error.to_string()))?
            .map(Response::new)
    }
}

impl Calls {
    pub(super) fn new(database: Database, services: BTreeMap<&'static str, ServiceDef>) -> Self {
        Self { database, services }
    }

    pub(super) fn services(&self) -> &BTreeMap<&'static str, ServiceDef> {
        &self.services
    }

    pub(super) async fn execute(
        &self,
        request: v1::ExecuteRequest,
        deadline: Option<Instant>,
    ) -> Result<v1::ExecuteResponse, Status> {
        let phase = match request.phase() {
            v1::Phase::Do => Phase::Do,
            v1::Phase::Undo => Phase::Undo,
            v1::Phase::Try => Phase::Try,
            v1::Phase::Confirm => Phase::Confirm,
            v1::Phase::Cancel => Phase::Cancel,
            v1::Phase::Unspecified => return Err(Status::invalid_argument("phase is not set")),
        };
        if request.gid.is_empty() || request.branch.is_empty() {
            return Err(Status::invalid_argument("gid and branch must not be empty"));
        }
        let (service, step) = self.find(&request.service, &request.step)?;
        if step.is_tcc() != phase.is_of_tcc() {
            let (name, is) = match step.is_tcc() {
                true => (step.name(), "a branch of TCCs, no step of sagas"),
                false => (step.name(), "a step of sagas, no branch of TCCs"),
            };
            return Err(Status::unimplemented(format!("`{name}` is {is}")));
        }
        let input = request.input.unwrap_or_default();
        let cx = StepCx::new(request.gid, request.branch, request.step)
            .with_attempt(request.attempt)
            .with_deadline(deadline);
        let call = Call {
            service: service.name(),
            phase,
            cx,
            // Bytes of another kind are no JSON, and are refused as such.
            input: if is_json(&input.content_type) {
                input.data
            } else {
                NOT_JSON
            },
            output: request
                .output
                .map(|p| p.data)
                .filter(|data| !data.is_empty()),
        };
        answer(consumer_log::execute(&self.database, step, &call, Fault::None).await)
    }

    fn find(&self, service: &str, step: &str) -> Result<(&ServiceDef, &StepDef), Status> {
        let service = self.services.get(service).ok_or_else(|| {
            let known: Vec<_> = self.services.keys().collect();
            Status::not_found(format!("no service `{service}` here, only {known:?}"))
        })?;
        let step = service.step(step).ok_or_else(|| {
            let known: Vec<_> = service.steps().map(StepDef::name).collect();
            let name = service.name();
            Status::unimplemented(format!("`{name}` has no step `{step}`, only {known:?}"))
        })?;
        Ok((service, step))
    }
}

/// Stands for a body that is not JSON; it decodes as nothing.
const NOT_JSON: Bytes = Bytes::from_static(b"(not application/json)");

fn answer(done: StepResult<Bytes>) -> Result<v1::ExecuteResponse, Status> {
    let answer = match done {
        Ok(output) => Answer::Succeeded(v1::Succeeded {
            output: Some(v1::Payload {
                content_type: JSON.to_owned(),
                data: output,
            }),
        }),
        Err(StepError::Refused { code, message }) => Answer::Refused(v1::Failure { code, message }),
        Err(StepError::InProgress { retry_after }) => Answer::InProgress(v1::InProgress {
            retry_after: retry_after.and_then(|after| after.try_into().ok()),
        }),
        Err(unknown @ StepError::Unknown(_)) => return Err(Status::unknown(unknown.to_string())),
    };
    Ok(v1::ExecuteResponse {
        answer: Some(answer),
    })
}

/// When the caller stops waiting: from the `grpc-timeout` header, a number
/// of at most eight digits and a unit.
fn deadline<T>(request: &Request<T>) -> Option<Instant> {
    let header = request.metadata().get("grpc-timeout")?.to_str().ok()?;
    Instant::now().checked_add(grpc_timeout(header)?)
}

fn grpc_timeout(header: &str) -> Option<Duration> {
    let (number, unit) = header.split_at_checked(header.len().checked_sub(1)?)?;
    if number.len() > 8 {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_read_as_grpc_writes_them() {
        let check = |header: &str, expected: Option<Duration>| {
            assert_eq!(grpc_timeout(header), expected, "{header}");
        };
        check("10S", Some(Duration::from_secs(10)));
        check("250m", Some(Duration::from_millis(250)));
        check("99999999n", Some(Duration::from_nanos(99_999_999)));
        check("1H", Some(Duration::from_secs(3600)));
        check("999999999S", None);
        check("10", None);
        check("S", None);
        check("", None);
        check("ü", None);
    }

    #[test]
    fn what_is_not_json_decodes_as_nothing() {
        assert!(serde_json::from_slice::<serde_json::Value>(&NOT_JSON).is_err());
    }
}
