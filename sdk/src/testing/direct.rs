//! Calls of steps without a coordinator and without a server.

use std::sync::Arc;

use bytes::Bytes;

use crate::consumer_log::{self, Call, Fault, Phase};
use crate::service::StepData;
use crate::{Database, Service, ServiceDef, StepCx, StepError, StepRef, StepResult, TccRef};

/// Calls steps as a coordinator would, through the consumer log.
#[derive(Debug)]
pub struct Direct {
    database: Database,
    service: ServiceDef,
}

/// Takes a service and the database with its own tables; the SDK's tables
/// must be there, see [`Database::create_tables_if_missing`].
pub fn direct<S: Service>(database: &Database, service: S) -> Direct {
    Direct {
        database: database.clone(),
        service: Arc::new(service).define(),
    }
}

impl Direct {
    /// Calls a step. The branch has the step's name.
    ///
    /// # Errors
    /// Whatever the coordinator would be answered.
    pub async fn run<I: StepData, O: StepData>(
        &self,
        step: StepRef<I, O>,
        gid: &str,
        input: &I,
    ) -> StepResult<O> {
        let input = serde_json::to_vec(input)?.into();
        let output = self
            .raw(step.step(), Phase::Do, gid, input, Fault::None)
            .await?;
        Ok(serde_json::from_slice(&output)?)
    }

    /// Calls a step whose attempt fails after its code has run: the
    /// transaction is rolled back, or the answer of an external step is lost.
    ///
    /// # Errors
    /// Unknown, unless the step had been answered before.
    pub async fn run_failing<I: StepData, O: StepData>(
        &self,
        step: StepRef<I, O>,
        gid: &str,
        input: &I,
    ) -> StepResult<O> {
        let input = serde_json::to_vec(input)?.into();
        let output = self
            .raw(step.step(), Phase::Do, gid, input, Fault::AfterTheWork)
            .await?;
        Ok(serde_json::from_slice(&output)?)
    }

    /// Calls the undo of a step.
    ///
    /// # Errors
    /// Whatever the coordinator would be answered.
    pub async fn undo<I: StepData, O: StepData>(
        &self,
        step: StepRef<I, O>,
        gid: &str,
        input: &I,
    ) -> StepResult<()> {
        let input = serde_json::to_vec(input)?.into();
        self.raw(step.step(), Phase::Undo, gid, input, Fault::None)
            .await
            .map(drop)
    }

    /// Calls the try of a branch. The branch has the name of the [`TccRef`].
    ///
    /// # Errors
    /// Whatever the coordinator would be answered.
    pub async fn try_branch<I: StepData, O: StepData>(
        &self,
        branch: TccRef<I, O>,
        gid: &str,
        input: &I,
    ) -> StepResult<O> {
        let input = serde_json::to_vec(input)?.into();
        let output = self
            .raw(branch.name(), Phase::Try, gid, input, Fault::None)
            .await?;
        Ok(serde_json::from_slice(&output)?)
    }

    /// Calls the confirm of a branch.
    ///
    /// # Errors
    /// Whatever the coordinator would be answered.
    pub async fn confirm<I: StepData, O: StepData>(
        &self,
        branch: TccRef<I, O>,
        gid: &str,
        input: &I,
    ) -> StepResult<()> {
        let input = serde_json::to_vec(input)?.into();
        self.raw(branch.name(), Phase::Confirm, gid, input, Fault::None)
            .await
            .map(drop)
    }

    /// Calls the cancel of a branch.
    ///
    /// # Errors
    /// Whatever the coordinator would be answered.
    pub async fn cancel<I: StepData, O: StepData>(
        &self,
        branch: TccRef<I, O>,
        gid: &str,
        input: &I,
    ) -> StepResult<()> {
        let input = serde_json::to_vec(input)?.into();
        self.raw(branch.name(), Phase::Cancel, gid, input, Fault::None)
            .await
            .map(drop)
    }

    pub(super) async fn raw(
        &self,
        step: &str,
        phase: Phase,
        gid: &str,
        input: Bytes,
        fault: Fault,
    ) -> StepResult<Bytes> {
        let Some(step) = self.service.step(step) else {
            let name = self.service.name();
            return Err(StepError::unknown(format!("`{name}` has no step `{step}`")));
        };
        let cx = StepCx::new(gid, step.name(), step.name());
        let call = Call {
            service: self.service.name(),
            phase,
            cx,
            input,
            output: None,
        };
        consumer_log::execute(&self.database, step, &call, fault).await
    }

    pub(super) fn database(&self) -> &Database {
        &self.database
    }
}
