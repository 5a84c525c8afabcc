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
        request.source = Some(Source::Definition(definition));
    })
    .await
}

#[tokio::test]
async fn ids_and_sources() {
    let api = Api::start().await;
    let reference = |name: &str, version| {
        let name = name.to_owned();
        Some(Source::Registered(v1::DefinitionRef { name, version }))
    };
    let long = "g".repeat(129);
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
                (it.gid, it.request_id) = (String::new(), long.clone());
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
    ] {
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn bodies_and_spans() {
    let api = Api::start().await;
    let duration = "InvalidArgument DURATION_INVALID";
    for (found, expected) in [
        (
            refused(&api, |it| it.input = json("{")).await,
            "InvalidArgument BODY_INVALID input",
        ),
        (
            refused(&api, |it| {
                it.input = json(&format!("\"{}\"", "a".repeat(BODY_LIMIT)));
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
                it.steps[1].input = json("{\"$ref\": \"$.steps.absent\"}");
            })
            .await,
            "InvalidArgument STEP_UNKNOWN steps[1].input",
        ),
        (
            invalid(&api, |it| {
                it.steps[0].target = "grpc://10.1.2.3:80/a.B/C".into();
            })
            .await,
            &format!("{not_allowed} steps[0].target"),
        ),
        (
            invalid(&api, |it| {
                it.steps[1].compensation = "grpc://10.1.2.3:80/a.B/C".into();
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
async fn questions_about_one() {
    let api = Api::start().await;
    api.run("g").await;
    let mut client = api.transactions();
    let get = |gid: &str| v1::GetTransactionRequest {
        gid: gid.to_owned(),
    };
    let wait = |timeout| v1::WaitTransactionRequest {
        gid: "absent".to_owned(),
        timeout,
    };
    let records = |gid: &str, token: &str| v1::ListTransactionRecordsRequest {
        gid: gid.to_owned(),
        page_token: token.to_owned(),
        ..v1::ListTransactionRecordsRequest::default()
    };
    let watch = v1::WatchTransactionRequest {
        gid: "absent".to_owned(),
    };
    let unknown = "NotFound TRANSACTION_NOT_FOUND";
    for (found, expected) in [
        (
            brief(client.get_transaction(get("")).await),
            "InvalidArgument GID_INVALID gid",
        ),
        (brief(client.get_transaction(get("absent")).await), unknown),
        (
            brief(client.watch_transaction(watch).await.map(drop)),
            unknown,
        ),
        (brief(client.wait_transaction(wait(None)).await), unknown),
        (
            brief(client.wait_transaction(wait(seconds(-1))).await),
            "InvalidArgument DURATION_INVALID timeout",
        ),
        (
            brief(client.list_transaction_records(records("absent", "")).await),
            unknown,
        ),
        (
            brief(
                client
                    .list_transaction_records(records("g", "garbage!"))
                    .await,
            ),
            "InvalidArgument PAGE_TOKEN_INVALID page_token",
        ),
    ] {
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn questions_about_many() {
    let api = Api::start().await;
    let check = async |change: fn(&mut v1::ListTransactionsRequest), expected: &str| {
        let mut request = v1::ListTransactionsRequest::default();
        change(&mut request);
        let found = brief(api.transactions().list_transactions(request).await);
        assert_eq!(found, format!("InvalidArgument {expected}"));
    };
    let token = "PAGE_TOKEN_INVALID page_token";
    check(|it| it.page_token = "garbage!".into(), token).await;
    // Well-formed, but of another list.
    check(|it| it.page_token = "NQ".into(), token).await;
    check(|it| it.states = vec![99], "ENUM_UNKNOWN states").await;
    let end_of_time = |it: &mut v1::ListTransactionsRequest| {
        it.created_after = Some(prost_types::Timestamp {
            seconds: i64::MAX,
            nanos: 0,
        });
    };
    check(end_of_time, "TIME_INVALID created_after").await;
}

#[tokio::test]
async fn actions() {
    let api = Api::start().await;
    let mut client = api.transactions();
    let g = || vec!["g".to_owned()];
    let long = "r".repeat(3_000);
    let many = v1::RetryTransactionsRequest {
        gids: vec!["g".to_owned(); 1_001],
    };
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
            brief(client.retry_transactions(many).await),
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
