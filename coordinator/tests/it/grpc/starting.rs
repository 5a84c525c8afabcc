//! Starting sagas: what comes back, and what a repetition gets.

use amends_proto::v1;
use amends_proto::v1::TransactionState::{Compensated, Running, Succeeded};

use super::api::{Api, brief, json, saga, seconds, start, state, waiting};

#[tokio::test]
async fn who_waits_gets_the_end() {
    let api = Api::start().await;
    let ended = api.run("g").await;
    assert_eq!(state(&ended), Succeeded);
    assert_eq!(ended.output.unwrap().data.as_ref(), br#"{"done":true}"#);
    assert!(
        ended
            .steps
            .iter()
            .all(|step| step.state() == v1::StepState::Succeeded)
    );
    let refused = api.run("refused-1").await;
    assert_eq!(state(&refused), Compensated);
    let cause = refused.summary.unwrap().cause.unwrap();
    assert_eq!(
        (cause.step.as_str(), cause.failure.unwrap().code.as_str()),
        ("last", "NO")
    );
    assert_eq!(api.ledger.branch("refused-1", "first").in_force, 0);
    let request = v1::StartSagaRequest {
        wait: seconds(0),
        ..start("waits", waiting("waiting"))
    };
    let waits = api.sagas().start_saga(request).await.unwrap().into_inner();
    assert_eq!(state(&waits.transaction.unwrap()), Running);
    assert!(waits.created);
}

#[tokio::test]
async fn a_repeated_start_is_the_first_one() {
    let api = Api::start().await;
    api.begin_waiting("g").await;
    let again = api.sagas().start_saga(start("g", waiting("waiting"))).await;
    let again = again.unwrap().into_inner();
    assert!(!again.created);
    assert_eq!(state(&again.transaction.unwrap()), Running);
    let input = v1::StartSagaRequest {
        input: json("1"),
        ..start("g", waiting("waiting"))
    };
    for other in [input, start("g", saga("order"))] {
        let found = brief(api.sagas().start_saga(other).await);
        assert_eq!(found, "AlreadyExists GID_REUSED");
    }

    let mut gids = Vec::new();
    for (request_id, created) in [
        ("one", true),
        ("one", false),
        ("two", true),
        ("", true),
        ("", true),
    ] {
        let request = v1::StartSagaRequest {
            request_id: request_id.to_owned(),
            ..start("", saga("order"))
        };
        let started = api.sagas().start_saga(request).await.unwrap().into_inner();
        assert_eq!(started.created, created, "{request_id:?}");
        gids.push(started.transaction.unwrap().summary.unwrap().gid);
    }
    assert_eq!(gids[0], gids[1]);
    gids.sort();
    gids.dedup();
    assert_eq!(gids.len(), 4);
}

#[tokio::test]
async fn what_is_too_much_is_turned_away_with_a_delay() {
    let api = Api::start_with(&[
        ("store.url", "memory:"),
        ("engine.max_live", "1"),
        ("engine.evict_after", "2h"),
    ])
    .await;
    api.begin_waiting("g").await;
    let found = brief(api.sagas().start_saga(start("more", saga("order"))).await);
    assert_eq!(found, "ResourceExhausted OVERLOADED");
    let mut client = v1::admin_service_client::AdminServiceClient::new(api.channel.clone());
    let status = client
        .get_status(v1::GetStatusRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (status.live_transactions, status.max_live_transactions),
        (1, 1)
    );
    assert_eq!(
        (status.store.as_str(), status.version.as_str()),
        ("memory", env!("CARGO_PKG_VERSION"))
    );
    assert!(status.start_time.is_some() && !status.incarnation.is_empty());
}

/// A plain method is a step too, at an address that the configuration allows.
#[tokio::test]
async fn an_address_that_is_allowed_may_be_a_target() {
    let api = Api::start().await;
    let mut definition = saga("plain");
    definition.steps.truncate(1);
    definition.steps[0].target = "grpc://127.0.0.1:1/a.B/C".to_owned();
    definition.steps[0].compensation = String::new();
    definition.steps[0].retry.as_mut().unwrap().max_attempts = 1;
    let request = v1::StartSagaRequest {
        wait: seconds(60),
        ..start("g", definition)
    };
    let ended = api.sagas().start_saga(request).await.unwrap().into_inner();
    assert_eq!(state(&ended.transaction.unwrap()), Compensated);
}
