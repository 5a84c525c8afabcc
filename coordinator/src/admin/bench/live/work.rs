//! What is measured: one live saga with all calls of its caller.

use std::time::Duration;

use amends_proto::v1::live_saga_service_client::LiveSagaServiceClient;
use amends_proto::v1::{
    BeginLiveSagaRequest, CompleteLiveSagaRequest, FailLiveSagaRequest, LiveStep,
    RunLiveStepRequest, StepState, Transaction, TransactionState,
};
use clap::ValueEnum;
use futures_util::future::try_join_all;
use tokio::runtime::Handle;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::admin::bench::connections::Connections;
use crate::admin::bench::driver::{Fault, Work};
use crate::admin::bench::workload::{self, PlannedCall, Workload, input, output};
use crate::admin::definition_file::Span;
use crate::admin::error::CommandError;
use crate::admin::view::{state, step_state};

/// Enough for both sides to use all cores.
const CONNECTIONS: usize = 4;
/// The longest wait of one call.
const WAIT: Duration = Duration::from_secs(60);

/// The course that each live saga takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Mode {
    /// Every step succeeds, one after the other
    #[default]
    Ok,
    /// The last step is refused; the caller gives up, and the ones before it are undone
    Fail,
    /// Every step succeeds, all at the same time
    Parallel,
}

impl Mode {
    pub(super) fn name(self) -> &'static str {
        self.of_saga().name()
    }

    /// The calls are those of a saga of this mode.
    pub(super) fn of_saga(self) -> workload::Mode {
        match self {
            Self::Ok => workload::Mode::Ok,
            Self::Fail => workload::Mode::Fail,
            Self::Parallel => workload::Mode::Parallel,
        }
    }
}

/// Live sagas of one workload.
pub(super) struct LiveSagas {
    clients: Connections<LiveSagaServiceClient<Channel>>,
    /// Steps in their order, those of a stage at the same time.
    stages: Vec<Vec<PlannedCall>>,
    expected: TransactionState,
}

impl LiveSagas {
    pub(super) async fn connect(
        coordinator: &str,
        cores: &[Handle],
        workload: Workload,
    ) -> Result<Self, CommandError> {
        let client = LiveSagaServiceClient::new;
        let clients = Connections::open(coordinator, CONNECTIONS, cores, client).await?;
        // The way back is the coordinator's.
        let is_step = |stage: &Vec<PlannedCall>| stage.iter().all(|it| it.request.output.is_none());
        Ok(Self {
            clients,
            stages: workload.stages().into_iter().filter(is_step).collect(),
            expected: workload.expected(),
        })
    }

    async fn step(&self, gid: &str, call: &PlannedCall) -> Result<(), Fault> {
        let target = format!("{}/{}", call.request.service, call.request.step);
        let step = LiveStep {
            name: call.request.branch.clone(),
            compensation: target.clone(),
            target,
            input: Some(input()),
            ..LiveStep::default()
        };
        let request = RunLiveStepRequest {
            gid: gid.to_owned(),
            step: Some(step),
            wait: None,
        };
        let ran = self.clients.next().run_live_step(request).await?;
        let seen = ran.into_inner().step.map(|step| step.state());
        match (seen.unwrap_or(StepState::Unspecified), call.refused) {
            (StepState::Succeeded, false) | (StepState::Refused, true) => Ok(()),
            (other, _) => Err(Fault(format!("a step ended {}", step_state(other)))),
        }
    }

    async fn end(&self, gid: String) -> Result<Option<Transaction>, Fault> {
        let mut client = self.clients.next();
        if self.expected == TransactionState::Compensated {
            let request = FailLiveSagaRequest {
                gid,
                wait: Some(Span(WAIT).to_proto()),
                ..FailLiveSagaRequest::default()
            };
            return Ok(client
                .fail_live_saga(request)
                .await?
                .into_inner()
                .transaction);
        }
        let output = Some(output());
        let request = CompleteLiveSagaRequest { gid, output };
        let completed = client.complete_live_saga(request).await?;
        Ok(completed.into_inner().transaction)
    }
}

impl Work for LiveSagas {
    fn cores(&self) -> &[Handle] {
        self.clients.cores()
    }

    async fn once(&self) -> Result<(), Fault> {
        let gid = Uuid::now_v7().to_string();
        let request = BeginLiveSagaRequest {
            gid: gid.clone(),
            name: "bench".to_owned(),
            ..BeginLiveSagaRequest::default()
        };
        let begun = self.clients.next().begin_live_saga(request).await?;
        if !begun.into_inner().created {
            let what = "a new live saga was taken for an old one";
            return Err(Fault(what.to_owned()));
        }
        for stage in &self.stages {
            try_join_all(stage.iter().map(|call| self.step(&gid, call))).await?;
        }
        let summary = self.end(gid).await?.and_then(|seen| seen.summary);
        let seen = summary.map_or(TransactionState::Unspecified, |it| it.state());
        if seen == self.expected {
            return Ok(());
        }
        Err(Fault(format!("a live saga ended {}", state(seen))))
    }
}
