//! The calls to the coordinator.

use std::time::Duration;

use amends_proto::v1;
use amends_proto::v1::live_saga_service_client::LiveSagaServiceClient;

use crate::access::Wire;
use crate::client::{Attempt, Budget, MAX_ANSWER_BYTES, known, repeat};
use crate::saga::convert;
use crate::{Client, ClientError};

/// The coordinator holds an answer back no longer than this.
const MAX_SERVER_WAIT: Duration = Duration::from_secs(60);

/// Reasons with which the coordinator says that a live saga goes forward no more.
const OVER: [&str; 3] = [
    "LIVE_SAGA_TURNED_BACK",
    "DEADLINE_PASSED",
    "TRANSACTION_ENDED",
];
/// A step is still under way.
const STEPS_OPEN: &str = "STEPS_OPEN";

/// One live saga at the coordinator.
#[derive(Clone, Debug)]
pub(super) struct Api {
    pub(super) client: Client,
    pub(super) gid: String,
}

/// Whether an error says that the saga goes forward no more.
pub(super) fn is_over(error: &ClientError) -> bool {
    OVER.contains(&error.reason())
}

pub(super) fn has_open_steps(error: &ClientError) -> bool {
    error.reason() == STEPS_OPEN
}

impl Api {
    fn wire(&self) -> LiveSagaServiceClient<Wire> {
        LiveSagaServiceClient::new(self.client.wire().clone())
            .max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    fn budget(&self) -> Budget {
        Budget::new(self.client.patience())
    }

    pub(super) async fn begin(
        &self,
        request: &v1::BeginLiveSagaRequest,
    ) -> Result<v1::Transaction, ClientError> {
        let answer = repeat(
            self.budget(),
            || Attempt::plain(request.clone()),
            |request| {
                let mut api = self.wire();
                async move { api.begin_live_saga(request).await }
            },
        )
        .await?;
        known(answer.transaction)
    }

    /// Waits for the outcome of a step as long as that takes.
    pub(super) async fn step(&self, step: &v1::LiveStep) -> Result<v1::Step, ClientError> {
        let attempt = || Attempt {
            request: v1::RunLiveStepRequest {
                gid: self.gid.clone(),
                step: Some(step.clone()),
                wait: convert::duration(MAX_SERVER_WAIT),
            },
            server_wait: MAX_SERVER_WAIT,
        };
        loop {
            let budget = Budget::new(MAX_SERVER_WAIT + self.client.patience());
            let answer = repeat(budget, attempt, |request| {
                let mut api = self.wire();
                async move { api.run_live_step(request).await }
            })
            .await?;
            let step = answer.step;
            let step = step.ok_or_else(|| ClientError::unexpected("an answer without its step"))?;
            if matches!(
                step.state(),
                v1::StepState::Succeeded | v1::StepState::Refused
            ) {
                return Ok(step);
            }
        }
    }

    /// Once, within `time`.
    pub(super) async fn heartbeat(&self, time: Duration) -> Result<(), ClientError> {
        let request = v1::HeartbeatLiveSagaRequest {
            gid: self.gid.clone(),
        };
        let answer = repeat(
            Budget::new(time),
            || Attempt::plain(request.clone()),
            |request| {
                let mut api = self.wire();
                async move { api.heartbeat_live_saga(request).await }
            },
        );
        answer.await.map(|_| ())
    }

    /// Completes it, once every step that is under way has ended.
    pub(super) async fn complete(&self, output: Vec<u8>) -> Result<v1::Transaction, ClientError> {
        let request = v1::CompleteLiveSagaRequest {
            gid: self.gid.clone(),
            output: Some(convert::json_payload(output)),
        };
        let attempt = || Attempt {
            request: request.clone(),
            server_wait: MAX_SERVER_WAIT,
        };
        loop {
            let budget = Budget::new(MAX_SERVER_WAIT + self.client.patience());
            let answer = repeat(budget, attempt, |request| {
                let mut api = self.wire();
                async move { api.complete_live_saga(request).await }
            })
            .await;
            match answer {
                Err(error) if has_open_steps(&error) => {}
                answer => return known(answer?.transaction),
            }
        }
    }

    pub(super) async fn fail(
        &self,
        step: String,
        failure: v1::Failure,
    ) -> Result<v1::Transaction, ClientError> {
        let request = v1::FailLiveSagaRequest {
            gid: self.gid.clone(),
            step,
            failure: Some(failure),
            wait: None,
        };
        let answer = repeat(
            self.budget(),
            || Attempt::plain(request.clone()),
            |request| {
                let mut api = self.wire();
                async move { api.fail_live_saga(request).await }
            },
        )
        .await?;
        known(answer.transaction)
    }

    pub(super) async fn get(&self) -> Result<v1::Transaction, ClientError> {
        let request = v1::GetLiveSagaRequest {
            gid: self.gid.clone(),
        };
        let answer = repeat(
            self.budget(),
            || Attempt::plain(request.clone()),
            |request| {
                let mut api = self.wire();
                async move { api.get_live_saga(request).await }
            },
        )
        .await?;
        known(answer.transaction)
    }
}
