//! The token, health and reflection.

use amends_proto::v1;
use amends_proto::v1::admin_service_client::AdminServiceClient;
use tonic::Request;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::api::{Api, brief, saga, start};

#[tokio::test]
async fn without_the_token_only_health_and_reflection_answer() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "s3cret\n").unwrap();
    let settings = [
        ("store.url", "memory:"),
        ("server.token_file", file.to_str().unwrap()),
    ];
    let api = Api::start_with(&settings).await;
    let get = v1::GetTransactionRequest {
        gid: "g".to_owned(),
    };
    let mut admin = AdminServiceClient::new(api.channel.clone());
    for found in [
        brief(api.sagas().start_saga(start("g", saga("order"))).await),
        brief(api.transactions().get_transaction(get).await),
        brief(
            api.registry()
                .list_participants(v1::ListParticipantsRequest::default())
                .await,
        ),
        brief(admin.get_status(v1::GetStatusRequest::default()).await),
    ] {
        assert_eq!(found, "Unauthenticated TOKEN_INVALID");
    }
    let mut request = Request::new(v1::GetStatusRequest::default());
    let token = "Bearer s3cret".parse().unwrap();
    request.metadata_mut().insert("authorization", token);
    admin.get_status(request).await.unwrap();

    let mut health = HealthClient::new(api.channel.clone());
    let health = health.check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(health.into_inner().status(), ServingStatus::Serving);

    let question = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(api.channel.clone());
    let answers = reflection
        .server_reflection_info(tokio_stream::once(question))
        .await;
    let answer = answers
        .unwrap()
        .into_inner()
        .message()
        .await
        .unwrap()
        .unwrap();
    let Some(MessageResponse::ListServicesResponse(services)) = answer.message_response else {
        panic!("{answer:?}");
    };
    let names: Vec<_> = services.service.iter().map(|it| it.name.as_str()).collect();
    for service in [
        "SagaService",
        "TransactionService",
        "RegistryService",
        "AdminService",
    ] {
        let name = format!("amends.v1.{service}");
        assert!(names.contains(&name.as_str()), "{names:?}");
    }
    assert!(names.contains(&"grpc.health.v1.Health"));
}
