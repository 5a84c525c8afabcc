//! `LiveSagaService` over the wire, and what the tools see of live sagas.

use amends_proto::v1;
use amends_proto::v1::live_saga_service_client::LiveSagaServiceClient;
use tonic::transport::Channel;

use super::api::{Api, brief, json, quick, seconds, state};
use v1::{StepState, TransactionState};

fn live(api: &Api) -> LiveSagaServiceClient<Channel> {
    LiveSagaServiceClient::new(api.channel.clone())
}

fn begin(gid: &str) -> v1::BeginLiveSagaRequest {
    v1::BeginLiveSagaRequest {
        gid: gid.to_owned(),
        name: "order".to_owned(),
        caller: "one".to_owned(),
        ..v1::BeginLiveSagaRequest::default()
    }
}

fn step(gid: &str, name: &str) -> v1::RunLiveStepRequest {
    let step = v1::LiveStep {
        name: name.to_owned(),
        target: format!("shop/{name}"),
        compensation: format!("shop/{name}"),
        input: json("{}"),
        retry: quick(),
        undo_retry: quick(),
        ..v1::LiveStep::default()
    };
    v1::RunLiveStepRequest {
        gid: gid.to_owned(),
        step: Some(step),
        wait: None,
    }
}

async fn ran(api: &Api, gid: &str, name: &str) -> v1::Step {
    let ran = live(api).run_live_step(step(gid, name)).await.unwrap();
    ran.into_inner().step.unwrap()
}

fn complete(gid: &str, output: &str) -> v1::CompleteLiveSagaRequest {
    v1::CompleteLiveSagaRequest {
        gid: gid.to_owned(),
        output: json(output),
    }
}

fn fail(gid: &str) -> v1::FailLiveSagaRequest {
    v1::FailLiveSagaRequest {
        gid: gid.to_owned(),
        step: "last".to_owned(),
        failure: Some(v1::Failure {
            code: "GAVE_UP".to_owned(),
            message: "enough".to_owned(),
        }),
        wait: seconds(30),
    }
}

#[tokio::test]
async fn it_runs_step_by_step_and_keeps_its_result() {
    let api = Api::start().await;
    let by_key = v1::BeginLiveSagaRequest {
        key: "4711".to_owned(),
        lease: seconds(9),
        deadline: seconds(60),
        ..begin("")
    };
    let begun = live(&api).begin_live_saga(by_key.clone()).await.unwrap();
    let begun = begun.into_inner();
    assert!(begun.created);
    let transaction = begun.transaction.unwrap();
    let gid = transaction.summary.as_ref().unwrap().gid.as_str();
    assert_eq!(gid, "order/4711");
    let shown = transaction.live.clone().unwrap();
    assert_eq!((shown.key.as_str(), shown.lease), ("4711", seconds(9)));
    assert_eq!(ran(&api, gid, "first").await.state(), StepState::Succeeded);
    assert_eq!(ran(&api, gid, "first").await.state(), StepState::Succeeded);
    let beat = v1::HeartbeatLiveSagaRequest {
        gid: gid.to_owned(),
    };
    let beat = live(&api).heartbeat_live_saga(beat).await.unwrap();
    assert!(beat.into_inner().lease_expire_time.is_some());
    let done = live(&api).complete_live_saga(complete(gid, "1")).await;
    let done = done.unwrap().into_inner().transaction.unwrap();
    assert_eq!(state(&done), TransactionState::Succeeded);
    let again = live(&api).complete_live_saga(complete(gid, "2")).await;
    let again = again.unwrap().into_inner().transaction.unwrap();
    assert_eq!(again.output.unwrap().data.as_ref(), b"1");
    let second = v1::BeginLiveSagaRequest {
        caller: "two".to_owned(),
        ..by_key
    };
    let second = live(&api)
        .begin_live_saga(second)
        .await
        .unwrap()
        .into_inner();
    assert!(!second.created);
    assert_eq!(
        second.transaction.unwrap().output.unwrap().data.as_ref(),
        b"1"
    );
    assert_eq!(api.ledger.branch(gid, "first").made, 1);
}

#[tokio::test]
async fn a_refusal_is_shown_and_what_the_caller_gives_up_is_undone() {
    let api = Api::start().await;
    let gid = "refused-1";
    live(&api).begin_live_saga(begin(gid)).await.unwrap();
    ran(&api, gid, "first").await;
    let last = ran(&api, gid, "last").await;
    assert_eq!(last.state(), StepState::Refused);
    assert_eq!(last.last_failure.unwrap().code, "NO");
    let get = v1::GetLiveSagaRequest {
        gid: gid.to_owned(),
    };
    let open = live(&api).get_live_saga(get).await.unwrap().into_inner();
    assert_eq!(state(&open.transaction.unwrap()), TransactionState::Running);
    let failed = live(&api).fail_live_saga(fail(gid)).await.unwrap();
    let failed = failed.into_inner().transaction.unwrap();
    assert_eq!(state(&failed), TransactionState::Compensated);
    let cause = failed.summary.unwrap().cause.unwrap();
    assert_eq!(cause.step, "last");
    assert_eq!(cause.failure.unwrap().code, "GAVE_UP");
    assert_eq!(api.ledger.branch(gid, "first").in_force, 0);
    live(&api).fail_live_saga(fail(gid)).await.unwrap();
    let late = live(&api).complete_live_saga(complete(gid, "1")).await;
    assert_eq!(brief(late), "FailedPrecondition LIVE_SAGA_TURNED_BACK");
}

#[tokio::test]
async fn the_tools_see_it_and_cancel_it() {
    let api = Api::start().await;
    live(&api).begin_live_saga(begin("g")).await.unwrap();
    ran(&api, "g", "first").await;
    let list = v1::ListTransactionsRequest {
        kinds: vec![v1::TransactionKind::Live.into()],
        ..v1::ListTransactionsRequest::default()
    };
    let listed = api.transactions().list_transactions(list).await.unwrap();
    let listed = listed.into_inner().transactions;
    let names: Vec<_> = listed.iter().map(|it| it.definition.as_str()).collect();
    assert_eq!(names, ["order"]);
    assert_eq!(listed[0].kind(), v1::TransactionKind::Live);
    let cancel = v1::CancelTransactionsRequest {
        gids: vec!["g".to_owned()],
        reason: "the customer called".to_owned(),
    };
    let cancelled = api.transactions().cancel_transactions(cancel).await;
    assert!(cancelled.unwrap().into_inner().results[0].accepted);
    assert_eq!(api.end("g").await, TransactionState::Compensated);
    let late = live(&api).run_live_step(step("g", "last")).await;
    assert_eq!(brief(late), "FailedPrecondition LIVE_SAGA_TURNED_BACK");
    let records = v1::ListTransactionRecordsRequest {
        gid: "g".to_owned(),
        ..v1::ListTransactionRecordsRequest::default()
    };
    let records = api.transactions().list_transaction_records(records).await;
    let records = records.unwrap().into_inner().records;
    let kinds: Vec<_> = records.iter().map(|it| it.kind.as_str()).collect();
    assert_eq!(kinds[..3], ["LIVE_BEGAN", "STEP_ADDED", "STEP_SUCCEEDED"]);
    assert_eq!(records[1].step, "first");
    assert_eq!(records[1].text, "first is to be called at shop/first");
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_field() {
    let api = Api::start().await;
    live(&api).begin_live_saga(begin("g")).await.unwrap();
    let second = v1::BeginLiveSagaRequest {
        caller: "two".to_owned(),
        ..begin("g")
    };
    let second = live(&api).begin_live_saga(second).await;
    assert_eq!(brief(second), "FailedPrecondition ALREADY_RUNNING");
    let other = v1::BeginLiveSagaRequest {
        deadline: seconds(1),
        ..begin("g")
    };
    let other = live(&api).begin_live_saga(other).await;
    assert_eq!(brief(other), "AlreadyExists GID_REUSED");
    let lease = v1::BeginLiveSagaRequest {
        lease: seconds(7_200),
        ..begin("h")
    };
    let lease = live(&api).begin_live_saga(lease).await;
    assert_eq!(brief(lease), "InvalidArgument DURATION_INVALID lease");
    let nobody = live(&api).run_live_step(step("nobody", "a")).await;
    assert_eq!(brief(nobody), "NotFound TRANSACTION_NOT_FOUND");
    api.run("saga").await;
    let get = v1::GetLiveSagaRequest {
        gid: "saga".to_owned(),
    };
    let not_live = live(&api).get_live_saga(get).await;
    assert_eq!(brief(not_live), "FailedPrecondition NOT_A_LIVE_SAGA");
    let not_live = live(&api).run_live_step(step("saga", "a")).await;
    assert_eq!(brief(not_live), "FailedPrecondition NOT_A_LIVE_SAGA");
}

#[tokio::test]
async fn a_step_that_breaks_a_rule_is_refused_with_its_field() {
    let api = Api::start().await;
    live(&api).begin_live_saga(begin("g")).await.unwrap();
    let found = |change: fn(&mut v1::LiveStep)| {
        let mut request = step("g", "first");
        change(request.step.as_mut().unwrap());
        let mut client = live(&api);
        async move { brief(client.run_live_step(request).await) }
    };
    let address = "grpc://203.0.113.9:1/a.B/C".to_owned();
    for (found, expected) in [
        (
            found(|it| it.name = "No".into()).await,
            "NAME_INVALID step.name",
        ),
        (
            found(|it| it.target = "x".into()).await,
            "TARGET_INVALID step.target",
        ),
        (
            found(|it| it.compensation = "x".into()).await,
            "TARGET_INVALID step.compensation",
        ),
        (
            found(|it| it.compensate_via = v1::CompensateVia::Broadcast.into()).await,
            "COMPENSATE_VIA_INVALID compensate_via",
        ),
        (
            found(|it| it.fencing = 9).await,
            "ENUM_UNKNOWN step.fencing",
        ),
        (
            found(|it| it.input = json("{")).await,
            "BODY_INVALID step.input",
        ),
        (
            found(|it| it.timeout = seconds(0)).await,
            "DURATION_INVALID timeout",
        ),
    ] {
        assert_eq!(found, format!("InvalidArgument {expected}"));
    }
    let mut far = step("g", "first");
    far.step.as_mut().unwrap().target = address;
    let far = live(&api).run_live_step(far).await;
    assert_eq!(
        brief(far),
        "InvalidArgument ADDRESS_NOT_ALLOWED step.target"
    );
}
