//! The pretended definitions and participants, and the status.

use std::collections::HashMap;
use std::time::Duration;

use amends_proto::v1::admin_service_server::AdminService;
use amends_proto::v1::part_of_time::Part;
use amends_proto::v1::registry_service_server::RegistryService;
use amends_proto::v1::saga_service_server::SagaService;
use amends_proto::v1::*;
use tonic::{Code, Request, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::transactions::transaction;
use super::{Answer, Fake, answer, at};

#[tonic::async_trait]
impl SagaService for Fake {
    async fn start_saga(&self, request: Request<StartSagaRequest>) -> Answer<StartSagaResponse> {
        let request = request.into_inner();
        if request.gid == "busy" {
            let delay = ErrorDetails::with_retry_info(Some(Duration::from_millis(1500)));
            return Err(Status::with_error_details(
                Code::ResourceExhausted,
                "too many live transactions",
                delay,
            ));
        }
        let mut started = transaction(&request.gid)?;
        started.input = request.input;
        if request.gid != "slow" {
            started.summary.as_mut().unwrap().state = TransactionState::Running.into();
        }
        answer(StartSagaResponse {
            transaction: Some(started),
            created: request.gid != "slow",
        })
    }

    async fn register_definition(
        &self,
        request: Request<RegisterDefinitionRequest>,
    ) -> Answer<RegisterDefinitionResponse> {
        let saga = request.into_inner().saga.unwrap();
        if saga.name == "cycle" {
            let mut details =
                ErrorDetails::with_error_info("DEFINITION_INVALID", "amends", HashMap::new());
            details.add_bad_request_violation("steps[0].after", "a and b wait for each other");
            return Err(Status::with_error_details(
                Code::InvalidArgument,
                "the definition is not valid",
                details,
            ));
        }
        let definition = Definition {
            saga: Some(saga),
            hash: "0123456789abcdef".to_owned(),
            create_time: at(0, 0),
        };
        answer(RegisterDefinitionResponse {
            definition: Some(definition),
            created: true,
        })
    }

    async fn get_definition(
        &self,
        request: Request<GetDefinitionRequest>,
    ) -> Answer<GetDefinitionResponse> {
        let DefinitionRef { name, version } = request.into_inner().r#ref.unwrap();
        let reserve = StepDefinition {
            name: "reserve-stock".to_owned(),
            target: "stock/reserve".to_owned(),
            compensation: "stock/reserve".to_owned(),
            ..Default::default()
        };
        let confirm = StepDefinition {
            name: "confirm".to_owned(),
            target: "grpc://orders:50051/shop.Orders/Confirm".to_owned(),
            after: vec!["reserve-stock".to_owned()],
            kind: StepKind::Pivot.into(),
            ..Default::default()
        };
        let saga = SagaDefinition {
            name,
            version: version.max(1),
            steps: vec![reserve, confirm],
            ..Default::default()
        };
        let definition = Definition {
            saga: Some(saga),
            hash: "0123456789abcdef".to_owned(),
            create_time: at(0, 0),
        };
        answer(GetDefinitionResponse {
            definition: Some(definition),
        })
    }

    async fn list_definitions(
        &self,
        _: Request<ListDefinitionsRequest>,
    ) -> Answer<ListDefinitionsResponse> {
        answer(ListDefinitionsResponse::default())
    }
}

#[tonic::async_trait]
impl RegistryService for Fake {
    async fn register_participant(
        &self,
        _: Request<RegisterParticipantRequest>,
    ) -> Answer<RegisterParticipantResponse> {
        Err(Status::unimplemented("fake"))
    }

    async fn heartbeat(&self, _: Request<HeartbeatRequest>) -> Answer<HeartbeatResponse> {
        Err(Status::unimplemented("fake"))
    }

    async fn deregister_participant(
        &self,
        _: Request<DeregisterParticipantRequest>,
    ) -> Answer<DeregisterParticipantResponse> {
        Err(Status::unimplemented("fake"))
    }

    async fn list_participants(
        &self,
        _: Request<ListParticipantsRequest>,
    ) -> Answer<ListParticipantsResponse> {
        let instance = |id: &str, reason: &str| Participant {
            service: "stock".to_owned(),
            instance_id: id.to_owned(),
            address: "127.0.0.1:7001".to_owned(),
            steps: vec![StepOffer {
                name: "reserve".to_owned(),
                compensable: true,
                ..Default::default()
            }],
            heartbeat_time: at(0, 0),
            available: reason.is_empty(),
            unavailable_reason: reason.to_owned(),
            ..Default::default()
        };
        let participants = vec![instance("i-1", ""), instance("i-2", "20 failures in a row")];
        answer(ListParticipantsResponse {
            participants,
            next_page_token: String::new(),
        })
    }
}

#[tonic::async_trait]
impl AdminService for Fake {
    async fn get_status(&self, request: Request<GetStatusRequest>) -> Answer<GetStatusResponse> {
        let profile = request.into_inner().profile.then(profile);
        answer(GetStatusResponse {
            version: "0.1.0".to_owned(),
            incarnation: "c-1".to_owned(),
            start_time: at(0, 0),
            store: "sqlite".to_owned(),
            live_transactions: 3,
            max_live_transactions: 100_000,
            recovered: true,
            silent_producers: vec!["mail".to_owned()],
            profile,
            broker: Some(BrokerStatus {
                kind: "rabbitmq".to_owned(),
                state: broker_status::State::Blocked.into(),
                reason: "memory alarm".to_owned(),
                unpublished: 12,
                more_unpublished: true,
            }),
        })
    }
}

/// Three sagas: twice 1 ms, once 4 ms, three quarters of it in calls.
fn profile() -> Profile {
    let part = |part: Part, micros: [u64; 2]| PartOfTime {
        part: part.into(),
        sum: Some(span(2 * micros[0] + micros[1])),
        buckets: vec![bucket(micros[0], 2), bucket(micros[1], 1)],
    };
    Profile {
        sagas: vec![
            part(Part::Whole, [1_000, 4_000]),
            part(Part::Call, [750, 3_000]),
            part(Part::Commit, [250, 1_000]),
        ],
        calls: vec![
            part(Part::Whole, [750, 3_000]),
            part(Part::Call, [750, 3_000]),
        ],
    }
}

fn bucket(micros: u64, count: u64) -> TimeBucket {
    TimeBucket {
        up_to: Some(span(micros)),
        count,
    }
}

fn span(micros: u64) -> prost_types::Duration {
    let nanos = i32::try_from(micros * 1_000).unwrap();
    prost_types::Duration { seconds: 0, nanos }
}
