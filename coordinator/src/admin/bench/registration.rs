//! Keeps the bench's participants registered.

use std::time::Duration;

use amends_proto::v1::registry_service_client::RegistryServiceClient;
use amends_proto::v1::{HeartbeatRequest, RegisterParticipantRequest};
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::{Channel, Endpoint};

use crate::admin::error::{CommandError, innermost};

/// Where the coordinator names no time between heartbeats.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(3);
const INSTANCE: &str = "bench-1";

/// Sends heartbeats until it is dropped.
#[derive(Debug)]
pub(super) struct Registration {
    _heartbeats: AbortOnDropHandle<()>,
}

impl Registration {
    /// Announces a service at an address.
    pub(super) async fn keep(
        coordinator: &str,
        service: &str,
        address: &str,
    ) -> Result<Self, CommandError> {
        let failed = |error: tonic::transport::Error| {
            CommandError::Failed(format!(
                "cannot connect to {coordinator}: {}",
                innermost(&error)
            ))
        };
        let endpoint = Endpoint::from_shared(format!("http://{coordinator}")).map_err(failed)?;
        let mut client = RegistryServiceClient::new(endpoint.connect().await.map_err(failed)?);
        let request = RegisterParticipantRequest {
            service: service.to_owned(),
            instance_id: INSTANCE.to_owned(),
            address: address.to_owned(),
            steps: Vec::new(),
        };
        let answer = client.register_participant(request.clone()).await?;
        let interval = answer.into_inner().heartbeat_interval;
        let interval = interval
            .and_then(|interval| Duration::try_from(interval).ok())
            .unwrap_or(DEFAULT_INTERVAL);
        let heartbeats = tokio::spawn(beat(client, request, interval));
        Ok(Self {
            _heartbeats: AbortOnDropHandle::new(heartbeats),
        })
    }
}

async fn beat(
    mut client: RegistryServiceClient<Channel>,
    request: RegisterParticipantRequest,
    interval: Duration,
) {
    loop {
        tokio::time::sleep(interval).await;
        let heartbeat = HeartbeatRequest {
            service: request.service.clone(),
            instance_id: request.instance_id.clone(),
        };
        // Forgotten or not reached: announcing it again is right in both cases,
        // and what fails then shows as faults of the calls.
        if client.heartbeat(heartbeat).await.is_err() {
            let _ = client.register_participant(request.clone()).await;
        }
    }
}
