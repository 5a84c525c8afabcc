//! Participants that announce themselves.

use amends_proto::v1;

use super::api::{Api, brief};

fn register(service: &str, instance_id: &str, address: &str) -> v1::RegisterParticipantRequest {
    v1::RegisterParticipantRequest {
        service: service.to_owned(),
        instance_id: instance_id.to_owned(),
        address: address.to_owned(),
        steps: vec![v1::StepOffer {
            name: "reserve".to_owned(),
            ..v1::StepOffer::default()
        }],
    }
}

/// All instances of a service, or of all but `shop`, which is configured.
async fn listed(api: &Api, service: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListParticipantsRequest {
            service: service.to_owned(),
            page_size: 1,
            page_token,
        };
        let page = api.registry().list_participants(request).await;
        let page = page.unwrap().into_inner();
        assert!(page.participants.len() <= 1);
        found.extend(page.participants);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let others = found.into_iter().filter(|it| it.service != "shop");
    others
        .map(|it| format!("{}/{}", it.service, it.instance_id))
        .collect()
}

#[tokio::test]
async fn come_stay_over_a_restart_and_leave() {
    let folder = tempfile::tempdir().unwrap();
    let path = format!("sqlite:{}", folder.path().join("amends.db").display());
    let settings = [("store.url", path.as_str())];
    let api = Api::start_with(&settings).await;
    let mut client = api.registry();
    for (service, instance, address) in [
        ("stock", "one", "127.0.0.1:7001"),
        ("stock", "two", "127.0.0.1:7002"),
        ("money", "one", "127.0.0.1:7003"),
    ] {
        let registered = client
            .register_participant(register(service, instance, address))
            .await;
        assert!(
            registered
                .unwrap()
                .into_inner()
                .heartbeat_interval
                .unwrap()
                .seconds
                > 0
        );
    }
    assert_eq!(
        listed(&api, "").await,
        ["money/one", "stock/one", "stock/two"]
    );
    assert_eq!(listed(&api, "stock").await, ["stock/one", "stock/two"]);
    assert_eq!(listed(&api, "none").await, [""; 0]);

    let beat = |service: &str, instance: &str| v1::HeartbeatRequest {
        service: service.to_owned(),
        instance_id: instance.to_owned(),
    };
    client.heartbeat(beat("stock", "one")).await.unwrap();
    for unknown in [beat("stock", "three"), beat("none", "one")] {
        assert_eq!(
            brief(client.heartbeat(unknown).await),
            "NotFound NOT_REGISTERED"
        );
    }
    let leave = |service: &str| v1::DeregisterParticipantRequest {
        service: service.to_owned(),
        instance_id: "one".to_owned(),
    };
    // Twice is fine.
    for _ in 0..2 {
        client.deregister_participant(leave("money")).await.unwrap();
    }
    drop(client);

    let api = api.restart(&settings).await;
    assert_eq!(listed(&api, "").await, ["stock/one", "stock/two"]);
    api.registry()
        .heartbeat(beat("stock", "two"))
        .await
        .unwrap();
    let gone = api.registry().heartbeat(beat("money", "one")).await;
    assert_eq!(brief(gone), "NotFound NOT_REGISTERED");
}

#[tokio::test]
async fn are_refused_with_a_reason() {
    let api = Api::start().await;
    for (request, expected) in [
        (
            register("No Name", "one", "127.0.0.1:7001"),
            "InvalidArgument NAME_INVALID",
        ),
        (
            register("stock", "one", "10.0.0.1:7001"),
            "InvalidArgument ADDRESS_NOT_ALLOWED",
        ),
        (
            register("stock", "one", "nonsense"),
            "InvalidArgument ADDRESS_INVALID",
        ),
    ] {
        let found = brief(api.registry().register_participant(request).await);
        assert_eq!(found, expected);
    }
    let garbage = v1::ListParticipantsRequest {
        page_token: "garbage!".to_owned(),
        ..v1::ListParticipantsRequest::default()
    };
    let found = brief(api.registry().list_participants(garbage).await);
    assert_eq!(found, "InvalidArgument PAGE_TOKEN_INVALID page_token");
}
