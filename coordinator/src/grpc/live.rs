//! `LiveSagaService`: begin live sagas, run their steps, complete them or turn them back.

use amends_core::answer::Failure;
use amends_core::id::{Gid, StepName};
use amends_core::payload::Payload;
use amends_core::retry::RetryPolicy;
use amends_core::saga::{CompensateVia, Live, LiveCommand, LiveStart, LiveStep};
use amends_core::target::Target;
use amends_core::time::Millis;
use amends_proto::v1;
use amends_proto::v1::live_saga_service_server::LiveSagaService;
use tonic::{Request, Response, Status};

use crate::clock::runtime_now;
use crate::config::AllowList;
use crate::engine::{Engine, EngineError, Rejected, View};

use super::saga::{MAX_WAIT, check_address, gid_of};
use super::status::invalid;
use super::tcc::until;
use super::{read, show};

/// How long a caller may be silent where the request says nothing.
const DEFAULT_LEASE: Millis = Millis::from_secs(30);
/// The reason where the caller gives none.
const NO_REASON: &str = "FAILED";

/// The service over an engine.
pub(super) struct LiveSagas {
    pub(super) engine: Engine,
    pub(super) max_bytes: u64,
    pub(super) allow: AllowList,
}

#[tonic::async_trait]
impl LiveSagaService for LiveSagas {
    async fn begin_live_saga(
        &self,
        request: Request<v1::BeginLiveSagaRequest>,
    ) -> Result<Response<v1::BeginLiveSagaResponse>, Status> {
        let request = request.into_inner();
        let gid = match (request.gid.as_str(), request.key.as_str()) {
            ("", key) if !key.is_empty() => read::gid(&format!("{}/{key}", request.name))?,
            (gid, _) => gid_of(gid, &request.request_id)?,
        };
        let start = LiveStart {
            gid,
            name: request.name,
            key: request.key,
            caller: request.caller,
            lease: read::span("lease", request.lease)?.unwrap_or(DEFAULT_LEASE),
            deadline: read::span("deadline", request.deadline)?,
        };
        let started = self.engine.begin_live(start).await?;
        Ok(Response::new(v1::BeginLiveSagaResponse {
            transaction: Some(self.show(&started.view)),
            created: started.created,
        }))
    }

    async fn run_live_step(
        &self,
        request: Request<v1::RunLiveStepRequest>,
    ) -> Result<Response<v1::RunLiveStepResponse>, Status> {
        let request = request.into_inner();
        let gid = read::gid(&request.gid)?;
        let until = until(request.wait)?.unwrap_or_else(|| runtime_now() + MAX_WAIT);
        let (name, step) = self.step(request.step)?;
        let run = self.engine.run_live_step(&gid, name.clone(), step, until);
        let view = run.await?;
        let saga = view.transaction.saga();
        Ok(Response::new(v1::RunLiveStepResponse {
            step: saga.and_then(|saga| show::step_of(saga, name.as_str())),
            state: show::state(view.transaction.public_state()).into(),
        }))
    }

    async fn heartbeat_live_saga(
        &self,
        request: Request<v1::HeartbeatLiveSagaRequest>,
    ) -> Result<Response<v1::HeartbeatLiveSagaResponse>, Status> {
        let gid = read::gid(&request.into_inner().gid)?;
        let view = self.engine.heartbeat_live(&gid).await?;
        let lease_until = live_of(&view).map(Live::lease_until);
        Ok(Response::new(v1::HeartbeatLiveSagaResponse {
            lease_expire_time: lease_until.map(show::timestamp),
        }))
    }

    async fn complete_live_saga(
        &self,
        request: Request<v1::CompleteLiveSagaRequest>,
    ) -> Result<Response<v1::CompleteLiveSagaResponse>, Status> {
        let request = request.into_inner();
        let gid = read::gid(&request.gid)?;
        let output = read::payload("output", request.output, self.max_bytes)?;
        let output = output.unwrap_or_else(Payload::null).compact();
        let until = runtime_now() + MAX_WAIT;
        let view = self.engine.complete_live(&gid, output, until).await?;
        Ok(Response::new(v1::CompleteLiveSagaResponse {
            transaction: Some(self.show(&view)),
        }))
    }

    async fn fail_live_saga(
        &self,
        request: Request<v1::FailLiveSagaRequest>,
    ) -> Result<Response<v1::FailLiveSagaResponse>, Status> {
        let request = request.into_inner();
        let gid = read::gid(&request.gid)?;
        let until = until(request.wait)?;
        let failure = request.failure.unwrap_or_default();
        let code = match read::reason("failure.code", &failure.code)? {
            code if code.is_empty() => NO_REASON.to_owned(),
            code => code,
        };
        let message = read::reason("failure.message", &failure.message)?;
        let fail = LiveCommand::Fail {
            step: StepName::new(&request.step).ok(),
            failure: Failure::new(code, message),
        };
        let decided = self.engine.live(&gid, fail).await?;
        let view = match until {
            Some(until) if !decided.transaction.is_ended() => self.engine.wait(&gid, until).await?,
            _ => decided,
        };
        Ok(Response::new(v1::FailLiveSagaResponse {
            transaction: Some(self.show(&view)),
        }))
    }

    async fn get_live_saga(
        &self,
        request: Request<v1::GetLiveSagaRequest>,
    ) -> Result<Response<v1::GetLiveSagaResponse>, Status> {
        let gid: Gid = read::gid(&request.into_inner().gid)?;
        let view = self.engine.get(&gid).await?;
        if live_of(&view).is_none() {
            let not_live = Rejected::Saga(amends_core::saga::Rejected::NotLive);
            return Err(EngineError::from(not_live).into());
        }
        Ok(Response::new(v1::GetLiveSagaResponse {
            transaction: Some(self.show(&view)),
        }))
    }
}

impl LiveSagas {
    /// A step that keeps all rules and calls allowed addresses only.
    fn step(&self, step: Option<v1::LiveStep>) -> Result<(StepName, LiveStep), Status> {
        let Some(step) = step else {
            return Err(invalid("step", "MISSING", "must be set"));
        };
        let name = StepName::new(&step.name)
            .map_err(|bad| invalid("step.name", "NAME_INVALID", bad.to_string()))?;
        let compensation = Some(&step.compensation).filter(|target| !target.is_empty());
        let compensation = compensation.map(|target| self.target("step.compensation", target));
        let compensation = compensation.transpose()?;
        let via = read::compensate_via("step.compensate_via", step.compensate_via)?;
        let to_plain = matches!(compensation, Some(Target::Grpc { .. }));
        let input = read::payload("step.input", step.input, self.max_bytes)?;
        let timeout = read::span("step.timeout", step.timeout)?;
        let asked = LiveStep {
            target: self.target("step.target", &step.target)?,
            compensation,
            input: input.unwrap_or_else(Payload::null).compact(),
            timeout: timeout.unwrap_or(read::DEFAULT_TIMEOUT),
            retry: read::retry("step.retry", step.retry, RetryPolicy::STEP)?,
            undo_retry: read::retry("step.undo_retry", step.undo_retry, RetryPolicy::UNDO)?,
            fencing: read::fencing("step.fencing", step.fencing, &step.target)?,
            compensate_via: match via {
                None if to_plain => CompensateVia::Call,
                None => CompensateVia::Queue,
                Some(via) => via,
            },
        };
        match asked.check() {
            wrong if wrong.is_empty() => Ok((name, asked)),
            wrong => Err(EngineError::Invalid(wrong).into()),
        }
    }

    fn target(&self, field: &str, text: &str) -> Result<Target, Status> {
        let target =
            Target::parse(text).map_err(|bad| invalid(field, "TARGET_INVALID", bad.to_string()))?;
        check_address(&self.allow, &target, || field.to_owned())?;
        Ok(target)
    }

    fn show(&self, view: &View) -> v1::Transaction {
        show::transaction(view, self.engine.incarnation())
    }
}

fn live_of(view: &View) -> Option<&Live> {
    view.transaction.saga()?.live()
}
