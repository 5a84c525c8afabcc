//! `ReportService`: what became of steps that travelled as messages.

use amends_core::id::StepName;
use amends_core::saga::Phase;
use amends_proto::v1;
use amends_proto::v1::report_service_server::ReportService;
use tonic::{Request, Response, Status};

use super::read;
use super::status::invalid;
use crate::messages::Commands;
use crate::participant::from_response;

/// The service over those who wait.
pub(super) struct Reports {
    pub(super) commands: Commands,
}

#[tonic::async_trait]
impl ReportService for Reports {
    async fn report_step(
        &self,
        request: Request<v1::ReportStepRequest>,
    ) -> Result<Response<v1::ReportStepResponse>, Status> {
        let request = request.into_inner();
        let gid = read::gid(&request.gid)?;
        let branch = StepName::new(&request.branch)
            .map_err(|bad| invalid("branch", "NAME_INVALID", bad.to_string()))?;
        let phase = match v1::Phase::try_from(request.phase) {
            Ok(v1::Phase::Do) => Phase::Do,
            Ok(v1::Phase::Undo) => Phase::Undo,
            _ => {
                let message = format!("{} is not a phase that is reported", request.phase);
                return Err(invalid("phase", "ENUM_UNKNOWN", message));
            }
        };
        let Some(answer) = request.answer.filter(|answer| answer.answer.is_some()) else {
            return Err(invalid("answer", "MISSING", "is required"));
        };
        let awaited = self
            .commands
            .report(&gid, &branch, phase, from_response(answer));
        tracing::debug!(%gid, %branch, ?phase, awaited, "reported");
        Ok(Response::new(v1::ReportStepResponse { awaited }))
    }
}
