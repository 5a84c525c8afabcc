//! Registered definitions.

use amends_proto::v1;
use amends_proto::v1::start_saga_request::Source;

use super::api::{Api, brief, saga, seconds, state};

fn version(version: u32) -> v1::SagaDefinition {
    v1::SagaDefinition {
        version,
        description: format!("version {version}"),
        ..saga("order")
    }
}

fn reference(name: &str, version: u32) -> v1::DefinitionRef {
    v1::DefinitionRef {
        name: name.to_owned(),
        version,
    }
}

#[tokio::test]
async fn are_kept_by_name_and_version() {
    let api = Api::start().await;
    let mut client = api.sagas();
    for (definition, created) in [
        (version(1), true),
        (version(3), true),
        (version(1), false),
        (saga("other"), true),
    ] {
        let request = v1::RegisterDefinitionRequest {
            saga: Some(definition.clone()),
        };
        let registered = client
            .register_definition(request)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(registered.created, created);
        let kept = registered.definition.unwrap();
        assert_eq!(kept.hash.len(), 64);
        assert_eq!(kept.saga.unwrap().description, definition.description);
    }
    let mut different = version(1);
    different.description = "different".to_owned();
    let request = v1::RegisterDefinitionRequest {
        saga: Some(different),
    };
    let found = brief(client.register_definition(request).await);
    assert_eq!(found, "AlreadyExists DEFINITION_DIFFERS");

    for (asked, found) in [(0, 3), (1, 1), (3, 3)] {
        let request = v1::GetDefinitionRequest {
            r#ref: Some(reference("order", asked)),
        };
        let got = client.get_definition(request).await.unwrap().into_inner();
        assert_eq!(got.definition.unwrap().saga.unwrap().version, found);
    }
    for (asked, expected) in [
        (Some(reference("order", 2)), "NotFound DEFINITION_NOT_FOUND"),
        (
            Some(reference("absent", 0)),
            "NotFound DEFINITION_NOT_FOUND",
        ),
        (None, "InvalidArgument MISSING ref"),
    ] {
        let request = v1::GetDefinitionRequest { r#ref: asked };
        assert_eq!(brief(client.get_definition(request).await), expected);
    }

    let request = v1::StartSagaRequest {
        gid: "g".to_owned(),
        source: Some(Source::Registered(reference("order", 0))),
        wait: seconds(60),
        ..v1::StartSagaRequest::default()
    };
    let started = client
        .start_saga(request)
        .await
        .unwrap()
        .into_inner()
        .transaction
        .unwrap();
    assert_eq!(state(&started), v1::TransactionState::Succeeded);
    assert_eq!(started.summary.unwrap().version, 3);
}

#[tokio::test]
async fn are_listed_in_pages() {
    let api = Api::start().await;
    let mut client = api.sagas();
    for definition in [version(2), version(1), saga("other"), saga("another")] {
        let request = v1::RegisterDefinitionRequest {
            saga: Some(definition),
        };
        client.register_definition(request).await.unwrap();
    }
    for (name_prefix, expected) in [
        ("", vec!["another 1", "order 1", "order 2", "other 1"]),
        ("o", vec!["order 1", "order 2", "other 1"]),
        ("ord", vec!["order 1", "order 2"]),
        ("none", vec![]),
    ] {
        let mut found = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = v1::ListDefinitionsRequest {
                name_prefix: name_prefix.to_owned(),
                page_size: 2,
                page_token,
            };
            let page = client.list_definitions(request).await.unwrap().into_inner();
            assert!(page.definitions.len() <= 2);
            let sagas = page.definitions.into_iter().map(|it| it.saga.unwrap());
            found.extend(sagas.map(|it| format!("{} {}", it.name, it.version)));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(found, expected, "{name_prefix:?}");
    }
    let garbage = v1::ListDefinitionsRequest {
        page_token: "garbage!".to_owned(),
        ..v1::ListDefinitionsRequest::default()
    };
    let found = brief(client.list_definitions(garbage).await);
    assert_eq!(found, "InvalidArgument PAGE_TOKEN_INVALID page_token");
}
