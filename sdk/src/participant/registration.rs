//! Keeps services known to the coordinator: registers, sends heartbeats,
//! registers again when the coordinator has forgotten or was away, leaves.

use std::collections::BTreeMap;
use std::time::Duration;

use amends_proto::v1;
use amends_proto::v1::registry_service_client::RegistryServiceClient;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Code, Status};

use super::ParticipantError;
use crate::access::{Access, Wire};
use crate::backoff::Backoff;
use crate::step_ref::{Compensation, Effects};
use crate::{ServiceDef, StepError};

/// Bounds one call to the registry, and the first registration at start.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);

/// The interval until the coordinator names one, and the bounds of what it may name.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
const MIN_INTERVAL: Duration = Duration::from_millis(100);
const MAX_INTERVAL: Duration = Duration::from_secs(60);

const RETRY: Backoff = Backoff {
    first: Duration::from_millis(200),
    most: Duration::from_secs(5),
};

/// What there is to register.
pub(super) struct Registration {
    client: RegistryServiceClient<Wire>,
    requests: Vec<v1::RegisterParticipantRequest>,
}

impl Registration {
    pub(super) fn new<'a>(
        url: &str,
        access: &Access,
        services: &BTreeMap<&'static str, ServiceDef>,
        groups: impl Iterator<Item = &'a str>,
        address: &str,
    ) -> Result<Self, ParticipantError> {
        let wire = access
            .connect(url, Some(CALL_TIMEOUT))
            .map_err(|error| ParticipantError::Configuration(error.to_string()))?;
        let instance_id = uuid::Uuid::now_v7().to_string();
        // Every service is a producer group; the others have no steps.
        let requests = groups
            .map(|group| v1::RegisterParticipantRequest {
                service: group.to_owned(),
                instance_id: instance_id.clone(),
                address: address.to_owned(),
                steps: services.get(group).map(offers).unwrap_or_default(),
            })
            .collect();
        Ok(Self {
            client: RegistryServiceClient::new(wire),
            requests,
        })
    }

    /// Tries once, so that a mistake in the configuration shows at once; then
    /// goes on in the background.
    pub(super) async fn start(mut self) -> Result<Registered, ParticipantError> {
        let interval = match self.register().await {
            Ok(interval) => Some(interval),
            Err((service, status)) if is_final(&status) => {
                return Err(ParticipantError::Rejected {
                    service,
                    source: Box::new(status),
                });
            }
            Err((_, status)) => {
                warn(&status);
                None
            }
        };
        let stop = CancellationToken::new();
        let (known, known_by_others) = watch::channel(interval.is_some());
        let task = tokio::spawn(self.keep(interval, known, stop.clone()));
        Ok(Registered {
            known: known_by_others,
            task,
            stop: stop.drop_guard(),
        })
    }

    /// Registers all services; the shortest interval counts.
    async fn register(&mut self) -> Result<Duration, (String, Status)> {
        let mut interval = MAX_INTERVAL;
        for request in &self.requests {
            let answer = self.client.register_participant(request.clone()).await;
            let answer = answer
                .map_err(|status| (request.service.clone(), status))?
                .into_inner();
            interval = interval.min(usable(answer.heartbeat_interval));
        }
        Ok(interval)
    }

    async fn heartbeat(&mut self) -> Result<Duration, Status> {
        let mut interval = MAX_INTERVAL;
        for request in &self.requests {
            let beat = v1::HeartbeatRequest {
                service: request.service.clone(),
                instance_id: request.instance_id.clone(),
            };
            let answer = self.client.heartbeat(beat).await?.into_inner();
            interval = interval.min(usable(answer.heartbeat_interval));
        }
        Ok(interval)
    }

    /// Until told to stop: register until it succeeds, then heartbeats until
    /// one fails, and again from the beginning.
    async fn keep(
        mut self,
        mut interval: Option<Duration>,
        known: watch::Sender<bool>,
        stop: CancellationToken,
    ) {
        let mut failed = 0;
        loop {
            let wait = interval.unwrap_or_else(|| RETRY.wait(failed + 1));
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
            }
            let done = match interval {
                Some(_) => self.heartbeat().await,
                None => self.register().await.map_err(|(_, status)| status),
            };
            match done {
                Ok(next) => {
                    failed = 0;
                    interval = Some(next);
                }
                // Forgotten, which is no failure: registered again right below.
                Err(status) if status.code() == Code::NotFound && interval.is_some() => {
                    failed = 0;
                    interval = None;
                }
                Err(status) => {
                    warn(&status);
                    failed = failed.saturating_add(1);
                    interval = None;
                }
            }
            known.send_replace(interval.is_some());
        }
        self.deregister().await;
    }

    /// Best effort: what is not taken out of use here is when its heartbeat stops.
    async fn deregister(&mut self) {
        for request in &self.requests {
            let leave = v1::DeregisterParticipantRequest {
                service: request.service.clone(),
                instance_id: request.instance_id.clone(),
            };
            if let Err(status) = self.client.deregister_participant(leave).await {
                warn(&status);
            }
        }
    }
}

/// A registration that is kept up in the background.
#[derive(Debug)]
pub(super) struct Registered {
    known: watch::Receiver<bool>,
    task: JoinHandle<()>,
    stop: DropGuard,
}

impl Registered {
    pub(super) async fn registered(&self) {
        // An error means that the task has ended: nothing to wait for.
        self.known.clone().wait_for(|known| *known).await.ok();
    }

    pub(super) async fn leave(self) {
        drop(self.stop);
        tokio::time::timeout(CALL_TIMEOUT, self.task).await.ok();
    }
}

fn offers(service: &ServiceDef) -> Vec<v1::StepOffer> {
    let offers = service.steps().map(|step| v1::StepOffer {
        name: step.name().to_owned(),
        description: step.description().to_owned(),
        compensable: step.compensation() == Compensation::Undo,
        external: step.effects() == Effects::External,
    });
    offers.collect()
}

/// What asking again cannot change.
fn is_final(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::InvalidArgument
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::Unauthenticated
            | Code::Unimplemented
    )
}

fn usable(interval: Option<prost_types::Duration>) -> Duration {
    let interval = interval.and_then(|interval| Duration::try_from(interval).ok());
    interval
        .unwrap_or(DEFAULT_INTERVAL)
        .clamp(MIN_INTERVAL, MAX_INTERVAL)
}

fn warn(status: &Status) {
    let failure = StepError::from(status.clone());
    tracing::warn!(%failure, "the coordinator's registry did not answer; trying again");
}
