//! `TccService`: begin TCCs, try their branches, confirm or cancel them.

use std::time::Duration;

use amends_core::answer::{Answer, Failure};
use amends_core::id::{Gid, StepName};
use amends_core::payload::Payload;
use amends_core::retry::RetryPolicy;
use amends_core::saga::Violation;
use amends_core::target::Target;
use amends_core::tcc::{self, Parent, Registration, Start, Tcc, TriedBy, Work};
use amends_core::time::Millis;
use amends_proto::v1;
use amends_proto::v1::report_try_request::Outcome;
use amends_proto::v1::tcc_service_server::TccService;
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::clock::runtime_now;
use crate::config::AllowList;
use crate::engine::{Command, Engine, EngineError, Rejected, View};

use super::saga::{MAX_WAIT, check_address, gid_of};
use super::status::invalid;
use super::{read, show, show_tcc};

/// Time to confirm where the request names none.
const DEFAULT_DEADLINE: Millis = Millis::from_secs(60);
/// How long a confirm waits for what has to come before its answer.
const CONFIRM_PATIENCE: Duration = Duration::from_secs(10);

/// The service over an engine.
pub(super) struct Tccs {
    pub(super) engine: Engine,
    pub(super) max_bytes: u64,
    pub(super) allow: AllowList,
}

#[tonic::async_trait]
impl TccService for Tccs {
    async fn begin_tcc(
        &self,
        request: Request<v1::BeginTccRequest>,
    ) -> Result<Response<v1::BeginTccResponse>, Status> {
        let request = request.into_inner();
        let start = Start {
            gid: gid_of(&request.gid, &request.request_id)?,
            name: request.name,
            deadline: read::span("deadline", request.deadline)?.unwrap_or(DEFAULT_DEADLINE),
            parent: request.parent.as_ref().map(parent).transpose()?,
        };
        let started = self.engine.begin_tcc(start).await?;
        Ok(Response::new(v1::BeginTccResponse {
            transaction: Some(self.show(&started.view)),
            created: started.created,
        }))
    }

    async fn try_branch(
        &self,
        request: Request<v1::TryBranchRequest>,
    ) -> Result<Response<v1::TryBranchResponse>, Status> {
        let request = request.into_inner();
        let gid = read::gid(&request.gid)?;
        let until = until(request.wait)?.unwrap_or_else(|| runtime_now() + MAX_WAIT);
        let registration = self.registration(request.branch, TriedBy::Coordinator)?;
        let name = registration.name.clone();
        let view = self.engine.try_branch(&gid, registration, until).await?;
        Ok(Response::new(v1::TryBranchResponse {
            branch: branch(&view, name.as_str()),
            state: show::state(view.transaction.public_state()).into(),
        }))
    }

    async fn register_branch(
        &self,
        request: Request<v1::RegisterBranchRequest>,
    ) -> Result<Response<v1::RegisterBranchResponse>, Status> {
        let request = request.into_inner();
        let gid = read::gid(&request.gid)?;
        let registration = self.registration(request.branch, TriedBy::Caller)?;
        let name = registration.name.clone();
        let command = tcc::Command::Register(Box::new(registration));
        let view = self.engine.command(&gid, Command::Tcc(command)).await?;
        Ok(Response::new(v1::RegisterBranchResponse {
            branch: branch(&view, name.as_str()),
        }))
    }

    async fn report_try(
        &self,
        request: Request<v1::ReportTryRequest>,
    ) -> Result<Response<v1::ReportTryResponse>, Status> {
        let request = request.into_inner();
        let gid = read::gid(&request.gid)?;
        let answer = match request.outcome {
            Some(Outcome::Succeeded(output)) => {
                let output = read::payload("succeeded", Some(output), self.max_bytes)?;
                Answer::Succeeded(output.unwrap_or_else(Payload::null))
            }
            Some(Outcome::Refused(why)) => Answer::Refused(Failure::new(why.code, why.message)),
            Some(Outcome::Unknown(why)) => Answer::Unknown(Failure::new(why.code, why.message)),
            None => return Err(invalid("outcome", "MISSING", "must be set")),
        };
        let name = request.branch.clone();
        let report = tcc::Command::Report {
            branch: request.branch,
            answer,
        };
        let view = self.engine.command(&gid, Command::Tcc(report)).await?;
        Ok(Response::new(v1::ReportTryResponse {
            branch: branch(&view, &name),
        }))
    }

    async fn confirm_tcc(
        &self,
        request: Request<v1::ConfirmTccRequest>,
    ) -> Result<Response<v1::ConfirmTccResponse>, Status> {
        let request = request.into_inner();
        let gid = read::gid(&request.gid)?;
        let until = until(request.wait)?;
        let patience = runtime_now() + CONFIRM_PATIENCE;
        let decided = self.engine.confirm_tcc(&gid, until.unwrap_or(patience));
        let view = self.ended(&gid, decided.await?, until).await?;
        Ok(Response::new(v1::ConfirmTccResponse {
            transaction: Some(self.show(&view)),
        }))
    }

    async fn cancel_tcc(
        &self,
        request: Request<v1::CancelTccRequest>,
    ) -> Result<Response<v1::CancelTccResponse>, Status> {
        let request = request.into_inner();
        let gid = read::gid(&request.gid)?;
        let until = until(request.wait)?;
        let reason = read::reason("reason", &request.reason)?;
        let decided = self.engine.cancel_tcc(&gid, reason).await?;
        let view = self.ended(&gid, decided, until).await?;
        Ok(Response::new(v1::CancelTccResponse {
            transaction: Some(self.show(&view)),
        }))
    }

    async fn get_tcc(
        &self,
        request: Request<v1::GetTccRequest>,
    ) -> Result<Response<v1::GetTccResponse>, Status> {
        let gid = read::gid(&request.into_inner().gid)?;
        let view = self.engine.get(&gid).await?;
        if view.transaction.tcc().is_none() {
            return Err(EngineError::from(Rejected::NotATcc).into());
        }
        Ok(Response::new(v1::GetTccResponse {
            transaction: Some(self.show(&view)),
        }))
    }
}

impl Tccs {
    /// A branch that keeps all rules and calls allowed addresses only.
    fn registration(
        &self,
        branch: Option<v1::TccBranch>,
        tried_by: TriedBy,
    ) -> Result<Registration, Status> {
        let Some(branch) = branch else {
            return Err(invalid("branch", "MISSING", "must be set"));
        };
        let or_try = |target: String| match target.is_empty() {
            true => branch.target.clone(),
            false => target,
        };
        let r#try = self.target("branch.target", &branch.target)?;
        let confirm = or_try(branch.confirm_target);
        let confirm = self.target("branch.confirm_target", &confirm)?;
        let cancel = or_try(branch.cancel_target);
        let cancel = self.target("branch.cancel_target", &cancel)?;
        let input = read::payload("branch.input", branch.input, self.max_bytes)?;
        let timeout = read::span("branch.timeout", branch.timeout)?;
        let settle_retry = "branch.settle_retry";
        let registration = Registration {
            name: branch_name("branch.name", &branch.name)?,
            work: Work::Participant {
                r#try,
                confirm,
                cancel,
                tried_by,
                input: input.unwrap_or_else(Payload::null),
            },
            timeout: timeout.unwrap_or(read::DEFAULT_TIMEOUT),
            retry: read::retry("branch.retry", branch.retry, RetryPolicy::STEP)?,
            settle_retry: read::retry(settle_retry, branch.settle_retry, RetryPolicy::UNDO)?,
        };
        match registration.check() {
            wrong if wrong.is_empty() => Ok(registration),
            wrong => Err(EngineError::Invalid(wrong.into_iter().map(of_branch).collect()).into()),
        }
    }

    fn target(&self, field: &str, text: &str) -> Result<Target, Status> {
        let target =
            Target::parse(text).map_err(|bad| invalid(field, "TARGET_INVALID", bad.to_string()))?;
        check_address(&self.allow, &target, || field.to_owned())?;
        Ok(target)
    }

    /// The TCC as it ended, where that was asked for.
    async fn ended(
        &self,
        gid: &Gid,
        decided: View,
        until: Option<Instant>,
    ) -> Result<View, EngineError> {
        match until {
            Some(until) if !decided.transaction.is_ended() => self.engine.wait(gid, until).await,
            _ => Ok(decided),
        }
    }

    fn show(&self, view: &View) -> v1::Transaction {
        show::transaction(view, self.engine.incarnation())
    }
}

/// Until when the call may wait, where that was asked for.
pub(super) fn until(wait: Option<prost_types::Duration>) -> Result<Option<Instant>, Status> {
    let wait = read::span("wait", wait)?.filter(|wait| *wait > Millis(0));
    Ok(wait.map(|wait| runtime_now() + Duration::from(wait).min(MAX_WAIT)))
}

fn parent(parent: &v1::TccParent) -> Result<Parent, Status> {
    let gid = Gid::new(&parent.gid);
    Ok(Parent {
        gid: gid.map_err(|bad| invalid("parent.gid", "GID_INVALID", bad.to_string()))?,
        branch: branch_name("parent.branch", &parent.branch)?,
    })
}

/// Named as in the request.
fn of_branch(wrong: Violation) -> Violation {
    Violation {
        field: format!("branch.{}", wrong.field),
        ..wrong
    }
}

fn branch_name(field: &str, text: &str) -> Result<StepName, Status> {
    StepName::new(text).map_err(|bad| invalid(field, "NAME_INVALID", bad.to_string()))
}

fn branch(view: &View, name: &str) -> Option<v1::Step> {
    let tcc: Option<&Tcc> = view.transaction.tcc();
    tcc.and_then(|tcc| show_tcc::branch(tcc, name))
}
