//! Broken promises and operators: STUCK is seen at once, and people decide.

use amends_proto::v1;
use amends_proto::v1::StepState::{Cancelled, Confirmed, Stuck};
use amends_proto::v1::TransactionState;
use amends_proto::v1::available_action::Action;

use super::scene::{Scene, steps};
use crate::grpc::api::{seconds, state};
use crate::store::place::Place;

/// How each action went, as `accepted` or with its code.
fn outcome(results: Vec<v1::ActionResult>) -> Vec<String> {
    let text = |it: v1::ActionResult| match it.failure {
        None => "accepted".to_owned(),
        Some(failure) => failure.code,
    };
    results.into_iter().map(text).collect()
}

async fn retry(scene: &Scene, gid: &str) -> Vec<String> {
    let gids = vec![gid.to_owned()];
    let retry = v1::RetryTransactionsRequest { gids };
    let answer = scene.api.transactions().retry_transactions(retry).await;
    outcome(answer.unwrap().into_inner().results)
}

async fn mark_done(scene: &Scene, gid: &str, branch: &str) -> Vec<String> {
    let request = v1::MarkStepUndoneRequest {
        gid: gid.to_owned(),
        step: branch.to_owned(),
        reason: "settled by phone".to_owned(),
        operator: "olga".to_owned(),
    };
    let answer = scene.api.transactions().mark_step_undone(request).await;
    outcome(vec![answer.unwrap().into_inner().result.unwrap()])
}

/// `CANCEL: no`, `MARK_DONE strict: yes`.
fn actions(seen: &v1::Transaction) -> Vec<String> {
    let text = |it: &v1::AvailableAction| {
        let name = it.action().as_str_name().replace("ACTION_", "");
        let enabled = if it.enabled { "yes" } else { "no" };
        assert_eq!(it.enabled, it.disabled_reason.is_empty());
        format!("{name} {}: {enabled}", it.step).replace(" :", ":")
    };
    seen.available_actions.iter().map(text).collect()
}

/// One whose branch `strict` breaks its promise.
async fn broken(scene: &Scene, gid: &str, confirms: bool) -> v1::Transaction {
    scene.begin(gid).await;
    scene.tried(gid, "fine", "hold").await.unwrap();
    scene.tried(gid, "strict", "strict").await.unwrap();
    match confirms {
        true => scene.decide_confirm(gid).await.unwrap(),
        false => scene.decide_cancel(gid).await.unwrap(),
    };
    loop {
        // The other branch may end a moment later.
        let seen = scene.reaches(gid, TransactionState::Stuck).await;
        if matches!(steps(&seen)[0], Confirmed | Cancelled) {
            return seen;
        }
    }
}

pub(super) async fn a_refusal_is_stuck_at_once_until_an_operator_retries(place: &Place) {
    let mut scene = Scene::start(place).await;
    let seen = broken(&scene, "t", true).await;
    assert_eq!(steps(&seen), [Confirmed, Stuck]);
    assert_eq!(seen.steps[1].stuck_reason, "NO_ACCOUNT: closed meanwhile");
    assert!(seen.steps[1].next_attempt_time.is_none(), "{seen:?}");
    assert_eq!(
        actions(&seen),
        [
            "CANCEL: no",
            "RETRY: yes",
            "FORCE: yes",
            "MARK_DONE strict: yes"
        ]
    );
    let list = v1::ListTransactionsRequest {
        states: vec![TransactionState::Stuck.into()],
        kinds: vec![v1::TransactionKind::Tcc.into()],
        ..v1::ListTransactionsRequest::default()
    };
    // Lists tell what is durable; nobody waits for this record, so it comes a moment later.
    let listed = loop {
        let list = list.clone();
        let listed = scene.api.transactions().list_transactions(list).await;
        let listed = listed.unwrap().into_inner().transactions;
        if !listed.is_empty() {
            break listed;
        }
    };
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].gid, "t");
    // A repeated confirm says how it stands.
    assert_eq!(
        state(&scene.decide_confirm("t").await.unwrap()),
        TransactionState::Stuck
    );
    if scene.is_durable() {
        scene = scene.restart().await;
        assert_eq!(state(&scene.get("t").await), TransactionState::Stuck);
    }
    let confirms = |scene: &Scene| scene.vault.branch("t", "strict").confirms;
    assert_eq!(confirms(&scene), 1, "a refusal is not retried by itself");
    assert_eq!(
        mark_done(&scene, "t", "fine").await,
        ["BRANCH_NOT_BEING_SETTLED"]
    );
    assert_eq!(mark_done(&scene, "t", "none").await, ["BRANCH_UNKNOWN"]);
    assert_eq!(retry(&scene, "t").await, ["accepted"]);
    scene.vault.called(5).await;
    scene.reaches("t", TransactionState::Stuck).await;
    assert_eq!(confirms(&scene), 2);
    scene.vault.open();
    while state(&scene.get("t").await) == TransactionState::Stuck {
        // The answer to the call before may still be on its way.
        retry(&scene, "t").await;
    }
    assert_eq!(scene.api.end("t").await, TransactionState::Succeeded);
    assert_eq!(retry(&scene, "t").await, ["TRANSACTION_ENDED"]);
    assert_eq!(scene.vault.states("t", &["fine", "strict"]), ["taken"; 2]);
    assert_eq!(scene.vault.branch("t", "fine").confirms, 1);
    scene.vault.audit();
}

pub(super) async fn a_refused_cancel_can_be_declared_done(place: &Place) {
    let scene = Scene::start(place).await;
    let seen = broken(&scene, "t", false).await;
    assert_eq!(steps(&seen), [Cancelled, Stuck]);
    assert_eq!(mark_done(&scene, "t", "strict").await, ["accepted"]);
    assert_eq!(scene.api.end("t").await, TransactionState::Compensated);
    assert_eq!(
        mark_done(&scene, "t", "strict").await,
        ["TRANSACTION_ENDED"]
    );
    let records = v1::ListTransactionRecordsRequest {
        gid: "t".to_owned(),
        ..v1::ListTransactionRecordsRequest::default()
    };
    let records = scene
        .api
        .transactions()
        .list_transaction_records(records)
        .await;
    let texts: Vec<String> = records
        .unwrap()
        .into_inner()
        .records
        .into_iter()
        .map(|it| it.text)
        .collect();
    let by_hand = "strict declared done by olga: settled by phone";
    assert!(texts.iter().any(|text| text == by_hand), "{texts:#?}");
    // It was declared, not done.
    assert_eq!(
        scene.vault.states("t", &["fine", "strict"]),
        ["released", "held"]
    );
    scene.vault.audit();
}

pub(super) async fn a_refused_confirm_can_be_ended_by_hand(place: &Place) {
    let scene = Scene::start(place).await;
    broken(&scene, "t", true).await;
    let force = |reason: &str| v1::ForceTransactionsRequest {
        gids: vec!["t".to_owned()],
        reason: reason.to_owned(),
        operator: "olga".to_owned(),
    };
    let mut client = scene.api.transactions();
    let found = crate::grpc::api::brief(client.force_transactions(force(" ")).await);
    assert_eq!(found, "InvalidArgument REASON_MISSING reason");
    let forced = client.force_transactions(force("refunded")).await.unwrap();
    assert_eq!(outcome(forced.into_inner().results), ["accepted"]);
    assert_eq!(scene.api.end("t").await, TransactionState::Forced);
    for found in [scene.confirm("t").await, scene.cancel("t").await] {
        let found = crate::grpc::api::brief(found);
        assert_eq!(found, "FailedPrecondition TRANSACTION_ENDED");
    }
    assert_eq!(scene.vault.branch("t", "strict").confirms, 1);
    scene.vault.audit();
}

pub(super) async fn what_proves_nothing_is_stuck_after_its_budget_and_goes_on(place: &Place) {
    let scene = Scene::start(place).await;
    scene.begin("t").await;
    scene.tried("t", "down", "down").await.unwrap();
    scene.decide_confirm("t").await.unwrap();
    let seen = scene.reaches("t", TransactionState::Stuck).await;
    assert_eq!(scene.vault.branch("t", "down").confirms, 2, "its budget");
    let due = seen.steps[0].next_attempt_time.expect("a slow retry");
    assert!(due.seconds > seen.summary.unwrap().update_time.unwrap().seconds);
    scene.vault.open();
    assert_eq!(retry(&scene, "t").await, ["accepted"]);
    assert_eq!(scene.api.end("t").await, TransactionState::Succeeded);
    assert_eq!(scene.vault.branch("t", "down").state(), "taken");
    scene.vault.audit();
}

pub(super) async fn an_operator_cancels_and_everybody_can_watch(place: &Place) {
    let scene = Scene::start(place).await;
    let begun = scene.begin("t").await;
    assert_eq!(actions(&begun), ["CANCEL: yes", "RETRY: no", "FORCE: yes"]);
    scene.tried("t", "held", "hold").await.unwrap();
    assert_eq!(retry(&scene, "t").await, ["NOTHING_WAITS"]);
    assert_eq!(
        mark_done(&scene, "t", "held").await,
        ["BRANCH_NOT_BEING_SETTLED"]
    );
    let cancel = v1::CancelTransactionsRequest {
        gids: vec!["t".to_owned(), "absent".to_owned()],
        reason: "the customer called".to_owned(),
    };
    let watching = scene.reaches("t", TransactionState::Compensated);
    let mut client = scene.api.transactions();
    let (seen, cancelled) = tokio::join!(watching, client.cancel_transactions(cancel));
    let cancelled = outcome(cancelled.unwrap().into_inner().results);
    assert_eq!(cancelled, ["accepted", "TRANSACTION_NOT_FOUND"]);
    assert_eq!(Action::Cancel, seen.available_actions[0].action());
    assert!(seen.available_actions.iter().all(|it| !it.enabled));
    let wait = v1::WaitTransactionRequest {
        gid: "t".to_owned(),
        timeout: seconds(60),
    };
    let waited = client.wait_transaction(wait).await.unwrap().into_inner();
    assert!(waited.finished);
    assert_eq!(waited.transaction.unwrap(), scene.get("t").await);
    assert_eq!(scene.vault.branch("t", "held").state(), "released");
    scene.vault.audit();
}
