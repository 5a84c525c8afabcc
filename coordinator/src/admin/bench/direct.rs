//! The calls of a saga or TCC, made by a client without a coordinator.
//!
//! As well made as the coordinator's own: the same client, the same number of
//! connections, a bound on each call that the participant is told.

use std::time::Duration;

use amends_proto::v1::execute_response::Answer;
use amends_proto::v1::participant_service_client::ParticipantServiceClient;
use amends_proto::v1::{ExecuteRequest, Payload};
use futures_util::future::try_join_all;
use tokio::runtime::Handle;
use tonic::Request;
use tonic::transport::Channel;
use uuid::Uuid;

use super::connections::Connections;
use super::driver::{Fault, Work};
use super::participant::{COUNTS, Counts, RELEASE};
use super::workload::PlannedCall;
use crate::admin::error::CommandError;

/// The default of a step's timeout.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A client of a participant.
#[derive(Debug)]
pub(super) struct Direct {
    clients: Connections<ParticipantServiceClient<Channel>>,
    stages: Vec<Vec<PlannedCall>>,
}

impl Direct {
    pub(super) async fn connect(
        participant: &str,
        connections: usize,
        cores: &[Handle],
        stages: Vec<Vec<PlannedCall>>,
    ) -> Result<Self, CommandError> {
        let client = ParticipantServiceClient::new;
        let clients = Connections::open(participant, connections, cores, client).await?;
        Ok(Self { clients, stages })
    }

    /// How often the participant's steps were called so far, by anybody.
    pub(super) async fn counts(&self) -> Result<Counts, CommandError> {
        let unreadable = |why: &dyn std::fmt::Display| {
            CommandError::Failed(format!("the participant does not say its counts: {why}"))
        };
        let payload = self.ask(COUNTS).await?;
        serde_json::from_slice(&payload.data).map_err(|error| unreadable(&error))
    }

    /// Makes the participant answer all that hangs.
    pub(super) async fn release(&self) -> Result<(), CommandError> {
        self.ask(RELEASE).await.map(drop)
    }

    async fn ask(&self, step: &str) -> Result<Payload, CommandError> {
        let request = ExecuteRequest {
            step: step.to_owned(),
            ..ExecuteRequest::default()
        };
        let response = self.clients.next().execute(request).await?;
        match response.into_inner().answer {
            Some(Answer::Succeeded(succeeded)) => Ok(succeeded.output.unwrap_or_default()),
            _ => Err(CommandError::Failed(format!(
                "the participant does not answer {step}"
            ))),
        }
    }

    async fn call(&self, call: &PlannedCall, gid: &str) -> Result<(), Fault> {
        let mut request = Request::new(ExecuteRequest {
            gid: gid.to_owned(),
            ..call.request.clone()
        });
        request.set_timeout(CALL_TIMEOUT);
        let mut client = self.clients.next();
        let answer = tokio::time::timeout(CALL_TIMEOUT, client.execute(request));
        let answer = answer
            .await
            .map_err(|_elapsed| Fault("a direct call took too long".to_owned()))??;
        match (answer.into_inner().answer, call.refused) {
            (Some(Answer::Succeeded(_)), false) | (Some(Answer::Refused(_)), true) => Ok(()),
            _ => Err(Fault("a direct call had another answer".to_owned())),
        }
    }
}

impl Work for Direct {
    fn cores(&self) -> &[Handle] {
        self.clients.cores()
    }

    async fn once(&self) -> Result<(), Fault> {
        let gid = Uuid::now_v7().to_string();
        for stage in &self.stages {
            match stage.as_slice() {
                [call] => self.call(call, &gid).await?,
                calls => {
                    try_join_all(calls.iter().map(|call| self.call(call, &gid))).await?;
                }
            }
        }
        Ok(())
    }
}
