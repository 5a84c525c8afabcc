//! Every wrong request: its code, its stable reason, its fields.

use amends_proto::v1;
use amends_proto::v1::start_saga_request::Source;
use bytes::Bytes;

use super::api::{Api, BODY_LIMIT, brief, json, saga, seconds, start, step};

/// What a start is answered with after a change to a right one.
async fn refused(api: &Api, change: impl FnOnce(&mut v1::StartSagaRequest)) -> String {
    let mut request = start("g", saga("order"));
    change(&mut request);
    brief(api.sagas().start_saga(request).await)
}

/// The same after a change to its definition.
async fn invalid(api: &Api, change: impl FnOnce(&mut v1::SagaDefinition)) -> String {
    let mut definition = saga("order");
    change(&mut definition);
    refused(api, |request| {
        request.source = Some(Source::Definition(definition))
    })
    .await
}

#[tokio::test]
async fn starts() {
    let api = Api::start().await;
    let reference = |name: &str, version| {
        let name = name.to_owned();
        Some(Source::Registered(v1::DefinitionRef { name, version }))
    };
    let long = "g".repeat(129);
    let duration = "InvalidArgument DURATION_INVALID";
    for (found, expected) in [
        (
            refused(&api, |it| it.gid = long.clone()).await,
            "InvalidArgument GID_INVALID gid",
        ),
        (
            refused(&api, |it| it.gid = "a b".into()).await,
            "InvalidArgument GID_INVALID gid",
        ),
        (
            refused(&api, |it| {
                (it.gid, it.request_id) = (String::new(), long.clone())
            })
            .await,
            "InvalidArgument REQUEST_ID_INVALID request_id",
        ),
        (
            refused(&api, |it| it.source = None).await,
            "InvalidArgument MISSING source",
        ),
        (
            refused(&api, |it| it.source = reference("none", 0)).await,
            "NotFound DEFINITION_NOT_FOUND",
        ),
        (
            refused(&api, |it| it.source = reference("none", 7)).await,
            "NotFound DEFINITION_NOT_FOUND",
        ),
        (
            refused(&api, |it| it.source = reference("No Name", 0)).await,
            "InvalidArgument NAME_INVALID registered.name",
        ),
        (
            refused(&api, |it| it.input = json("{")).await,
            "InvalidArgument BODY_INVALID input",
        ),
        (
            refused(&api, |it| {
                it.input = json(&format!("\"{}\"", "a".repeat(BODY_LIMIT)))
            })
            .await,
            "InvalidArgument BODY_TOO_LARGE input",
        ),
        (
            refused(&api, |it| {
                let content_type = "a".repeat(300);
                it.input = Some(v1::Payload {
                    content_type,
                    data: Bytes::new(),
                });
            })
            .await,
            "InvalidArgument CONTENT_TYPE_INVALID input",
        ),
        (
            refused(&api, |it| it.wait = seconds(-1)).await,
            &format!("{duration} wait"),
        ),
        (
            refused(&api, |it| it.deadline = seconds(-1)).await,
            &format!("{duration} deadline"),
        ),
        (
            refused(&api, |it| it.deadline = seconds(0)).await,
            &format!("{duration} deadline"),
        ),
        (
            refused(&api, |it| it.deadline = seconds(i64::MAX)).await,
            &format!("{duration} deadline"),
        ),
    ] {
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn definitions() {
    let api = Api::start().await;
    let not_allowed = "InvalidArgument ADDRESS_NOT_ALLOWED";
    for (found, expected) in [
        (
            invalid(&api, |it| it.steps.clear()).await,
            "InvalidArgument STEP_COUNT steps",
        ),
        (
            invalid(&api, |it| {
                it.name = "No Name".into();
                it.version = 0;
                it.steps.push(step("first"));
                it.steps[1].after = vec!["absent".into()];
            })
            .await,
            "InvalidArgument NAME_INVALID name, version, steps[2].name, steps[1].after[0]",
        ),
        (
            invalid(&api, |it| it.steps[0].after = vec!["last".into()]).await,
            "InvalidArgument CYCLE steps",
        ),
        (
            invalid(&api, |it| it.deadline = seconds(-5)).await,
            "InvalidArgument DURATION_INVALID deadline",
        ),
        (
            invalid(&api, |it| it.steps[1].timeout = seconds(1_000_000_000)).await,
            "InvalidArgument DURATION_INVALID steps[1].timeout",
        ),
        (
            invalid(&api, |it| it.steps[1].kind = 99).await,
            "InvalidArgument ENUM_UNKNOWN steps[1].kind",
        ),
        (
            invalid(&api, |it| it.steps[1].fencing = 99).await,
            "InvalidArgument ENUM_UNKNOWN steps[1].fencing",
        ),
        (
            invalid(&api, |it| {
                it.steps[1].input = json("{\"$ref\": \"$.steps.absent\"}")
            })
            .await,
            "InvalidArgument STEP_UNKNOWN steps[1].input",
        ),
        (
            invalid(&api, |it| {
                it.steps[0].target = "grpc://10.1.2.3:80/a.B/C".into()
            })
            .await,
            &format!("{not_allowed} steps[0].target"),
        ),
        (
            invalid(&api, |it| {
                it.steps[1].compensation = "grpc://10.1.2.3:80/a.B/C".into()
            })
            .await,
            &format!("{not_allowed} steps[1].compensation"),
        ),
    ] {
        assert_eq!(found, expected);
    }
    let request = v1::RegisterDefinitionRequest { saga: None };
    let found = brief(api.sagas().register_definition(request).await);
    assert_eq!(found, "InvalidArgument MISSING saga");
}

#[tokio::test]
async fn questions() {
    let api = Api::start().await;
    api.run("g").await;
    let mut client = api.transactions();
    let absent = || "absent".to_owned();
    let garbage = || "garbage!".to_owned();
    let list = |change: fn(&mut v1::ListTransactionsRequest)| {
        let mut request = v1::ListTransactionsRequest::default();
        change(&mut request);
        request
    };
    let unknown = "NotFound TRANSACTION_NOT_FOUND";
    let token = "InvalidArgument PAGE_TOKEN_INVALID page_token";
    for (found, expected) in [
        (
            brief(
                client
                    .get_transaction(v1::GetTransactionRequest { gid: String::new() })
                    .await,
            ),
            "InvalidArgument GID_INVALID gid",
        ),
        (
            brief(
                client
                    .get_transaction(v1::GetTransactionRequest { gid: absent() })
                    .await,
            ),
            unknown,
        ),
        (
            brief(
                client
                    .watch_transaction(v1::WatchTransactionRequest { gid: absent() })
                    .await
                    .map(drop),
            ),
            unknown,
        ),
        (
            brief(
                client
                    .wait_transaction(v1::WaitTransactionRequest {
                        gid: absent(),
                        timeout: None,
                    })
                    .await,
            ),
            unknown,
        ),
        (
            brief(
                client
                    .wait_transaction(v1::WaitTransactionRequest {
                        gid: absent(),
                        timeout: seconds(-1),
                    })
                    .await,
            ),
            "InvalidArgument DURATION_INVALID timeout",
        ),
        (
            brief(
                client
                    .list_transaction_records(v1::ListTransactionRecordsRequest {
                        gid: absent(),
                        ..Default::default()
                    })
                    .await,
            ),
            unknown,
        ),
        (
            brief(
                client
                    .list_transaction_records(v1::ListTransactionRecordsRequest {
                        gid: "g".into(),
                        page_token: garbage(),
                        ..Default::default()
                    })
                    .await,
            ),
            token,
        ),
        (
            brief(
                client
                    .list_transactions(list(|it| it.page_token = "garbage!".into()))
                    .await,
            ),
            token,
        ),
        // Well-formed, but of another list.
        (
            brief(
                client
                    .list_transactions(list(|it| it.page_token = "NQ".into()))
                    .await,
            ),
            token,
        ),
        (
            brief(
                client
                    .list_transactions(list(|it| it.states = vec![99]))
                    .await,
            ),
            "InvalidArgument ENUM_UNKNOWN states",
        ),
        (
            brief(
                client
                    .list_transactions(list(|it| {
                        it.created_after = Some(prost_types::Timestamp {
                            seconds: i64::MAX,
                            nanos: 0,
                        });
                    }))
                    .await,
            ),
            "InvalidArgument TIME_INVALID created_after",
        ),
    ] {
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn actions() {
    let api = Api::start().await;
    let mut client = api.transactions();
    let g = || vec!["g".to_owned()];
    let long = "r".repeat(3_000);
    for (found, expected) in [
        (
            brief(
                client
                    .cancel_transactions(v1::CancelTransactionsRequest::default())
                    .await,
            ),
            "InvalidArgument COUNT_INVALID gids",
        ),
        (
            brief(
                client
                    .retry_transactions(v1::RetryTransactionsRequest {
                        gids: vec!["g".into(); 1_001],
                    })
                    .await,
            ),
            "InvalidArgument COUNT_INVALID gids",
        ),
        (
            brief(
                client
                    .cancel_transactions(v1::CancelTransactionsRequest {
                        gids: g(),
                        reason: long.clone(),
                    })
                    .await,
            ),
            "InvalidArgument TOO_LONG reason",
        ),
        (
            brief(
                client
                    .force_transactions(v1::ForceTransactionsRequest {
                        gids: g(),
                        ..Default::default()
                    })
                    .await,
            ),
            "InvalidArgument REASON_MISSING reason",
        ),
        (
            brief(
                client
                    .mark_step_undone(v1::MarkStepUndoneRequest {
                        gid: "g".into(),
                        ..Default::default()
                    })
                    .await,
            ),
            "InvalidArgument REASON_MISSING reason",
        ),
        (
            brief(
                client
                    .force_transactions(v1::ForceTransactionsRequest {
                        gids: g(),
                        reason: "why".into(),
                        operator: long,
                    })
                    .await,
            ),
            "InvalidArgument TOO_LONG operator",
        ),
    ] {
        assert_eq!(found, expected);
    }
}
