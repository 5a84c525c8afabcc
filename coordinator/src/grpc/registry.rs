//! `RegistryService`: participants announce themselves.
//!
//! Registrations are stored, heartbeats are not: after a restart everybody
//! registered gets one fresh lease, so that work resumes at once.

use std::sync::Arc;

use amends_proto::v1;
use amends_proto::v1::registry_service_server::RegistryService;
use tonic::{Code, Request, Response, Status};

use crate::participant::{InstanceKey, InstanceView, Offer, Registration, Registry, RegistryError};
use crate::store::{Store, StoredParticipant};

use super::status::{status, store_error};
use super::{page, read, show};

/// The service over a registry.
pub(super) struct Registrations {
    pub(super) registry: Arc<Registry>,
    pub(super) store: Arc<dyn Store>,
}

#[tonic::async_trait]
impl RegistryService for Registrations {
    async fn register_participant(
        &self,
        request: Request<v1::RegisterParticipantRequest>,
    ) -> Result<Response<v1::RegisterParticipantResponse>, Status> {
        let request = request.into_inner();
        let offers = request.steps.into_iter().map(offer).collect();
        let accepted = self
            .registry
            .register(
                &request.service,
                &request.instance_id,
                &request.address,
                offers,
            )
            .map_err(|e| registry_error(&e))?;
        self.store
            .put_participant(&to_stored(&accepted.registration))
            .await
            .map_err(|e| store_error(&e))?;
        for InstanceKey {
            service,
            instance_id,
        } in &accepted.replaced
        {
            self.store
                .remove_participant(service, instance_id)
                .await
                .map_err(|e| store_error(&e))?;
        }
        tracing::info!(
            service = request.service,
            address = request.address,
            "participant registered"
        );
        let heartbeat_interval = Some(show::span(accepted.heartbeat_interval.into()));
        Ok(Response::new(v1::RegisterParticipantResponse {
            heartbeat_interval,
        }))
    }

    async fn heartbeat(
        &self,
        request: Request<v1::HeartbeatRequest>,
    ) -> Result<Response<v1::HeartbeatResponse>, Status> {
        let request = request.into_inner();
        let interval = self
            .registry
            .heartbeat(&request.service, &request.instance_id)
            .map_err(|e| registry_error(&e))?;
        Ok(Response::new(v1::HeartbeatResponse {
            heartbeat_interval: Some(show::span(interval.into())),
        }))
    }

    async fn deregister_participant(
        &self,
        request: Request<v1::DeregisterParticipantRequest>,
    ) -> Result<Response<v1::DeregisterParticipantResponse>, Status> {
        let request = request.into_inner();
        self.registry
            .deregister(&request.service, &request.instance_id);
        self.store
            .remove_participant(&request.service, &request.instance_id)
            .await
            .map_err(|e| store_error(&e))?;
        tracing::info!(service = request.service, "participant left");
        Ok(Response::new(v1::DeregisterParticipantResponse {}))
    }

    async fn list_participants(
        &self,
        request: Request<v1::ListParticipantsRequest>,
    ) -> Result<Response<v1::ListParticipantsResponse>, Status> {
        let request = request.into_inner();
        let after: Option<(String, String)> = page::place(&request.page_token)?;
        let size = read::page_size(request.page_size) as usize;
        let service = (!request.service.is_empty()).then_some(request.service.as_str());
        let key = |view: &InstanceView| {
            (
                view.registration.service.clone(),
                view.registration.instance_id.clone(),
            )
        };
        let all = self.registry.list(service).into_iter();
        let mut rest: Vec<_> = all
            .filter(|view| after.as_ref().is_none_or(|after| key(view) > *after))
            .collect();
        let more = rest.len() > size;
        rest.truncate(size);
        let next = rest
            .last()
            .filter(|_| more)
            .map(|last| page::token(&key(last)));
        let participants = rest.into_iter().map(participant).collect();
        Ok(Response::new(v1::ListParticipantsResponse {
            participants,
            next_page_token: next.unwrap_or_default(),
        }))
    }
}

/// A registration in its stored form.
fn to_stored(registration: &Registration) -> StoredParticipant {
    StoredParticipant {
        service: registration.service.clone(),
        instance_id: registration.instance_id.clone(),
        address: registration.address.clone(),
        offers: serde_json::to_string(&registration.offers).unwrap_or_default(),
        registered_at: registration.registered_at,
    }
}

/// A stored registration. What it offers is for people only: unreadable means none.
#[must_use]
pub fn from_stored(stored: StoredParticipant) -> Registration {
    Registration {
        offers: serde_json::from_str(&stored.offers).unwrap_or_default(),
        service: stored.service,
        instance_id: stored.instance_id,
        address: stored.address,
        registered_at: stored.registered_at,
    }
}

fn offer(step: v1::StepOffer) -> Offer {
    Offer {
        name: step.name,
        description: step.description,
        compensable: step.compensable,
        external: step.external,
    }
}

fn participant(view: InstanceView) -> v1::Participant {
    let registration = view.registration;
    let steps = registration.offers.into_iter().map(|offer| v1::StepOffer {
        name: offer.name,
        description: offer.description,
        compensable: offer.compensable,
        external: offer.external,
    });
    v1::Participant {
        service: registration.service,
        instance_id: registration.instance_id,
        address: registration.address,
        steps: steps.collect(),
        register_time: Some(show::timestamp(registration.registered_at)),
        heartbeat_time: Some(show::timestamp(view.heartbeat_at)),
        available: view.unavailable.is_none(),
        unavailable_reason: view
            .unavailable
            .map(|why| why.to_string())
            .unwrap_or_default(),
        in_flight: view.in_flight,
    }
}

fn registry_error(error: &RegistryError) -> Status {
    let code = match error {
        RegistryError::NotRegistered { .. } => Code::NotFound,
        RegistryError::TooMany => Code::ResourceExhausted,
        _ => Code::InvalidArgument,
    };
    status(code, error.code(), error.to_string())
}
