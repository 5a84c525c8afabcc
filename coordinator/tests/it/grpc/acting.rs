//! Operator actions: a result for each transaction.

use amends_proto::v1;
use amends_proto::v1::TransactionState::{Compensated, Forced, Stuck, Unspecified};

use super::api::{Api, seconds, start, state, waiting};

fn brief(results: &[v1::ActionResult]) -> Vec<String> {
    let text = |it: &v1::ActionResult| match &it.failure {
        None => format!("{} accepted", it.gid),
        Some(failure) => format!("{} {}", it.gid, failure.code),
    };
    assert!(results.iter().all(|it| it.accepted == it.failure.is_none()));
    results.iter().map(text).collect()
}

fn gids(gids: &[&str]) -> Vec<String> {
    gids.iter().map(|gid| (*gid).to_owned()).collect()
}

#[tokio::test]
async fn each_transaction_has_its_result() {
    let api = Api::start().await;
    api.run("ended").await;
    api.begin_waiting("a").await;
    api.begin_waiting("b").await;
    let mut client = api.transactions();
    let cancel = v1::CancelTransactionsRequest {
        gids: gids(&["a", "absent", "ended"]),
        reason: "no need any more".to_owned(),
    };
    let results = client
        .cancel_transactions(cancel)
        .await
        .unwrap()
        .into_inner()
        .results;
    assert_eq!(
        brief(&results),
        [
            "a accepted",
            "absent TRANSACTION_NOT_FOUND",
            "ended TRANSACTION_ENDED"
        ]
    );
    assert_eq!(results[1].state(), Unspecified);
    assert_eq!(api.end("a").await, Compensated);
    let failure = api
        .get("a")
        .await
        .summary
        .unwrap()
        .cause
        .unwrap()
        .failure
        .unwrap();
    assert_eq!(
        (failure.code.as_str(), failure.message.as_str()),
        ("CANCELLED", "no need any more")
    );

    let retry = v1::RetryTransactionsRequest {
        gids: gids(&["b", "ended"]),
    };
    let results = client
        .retry_transactions(retry)
        .await
        .unwrap()
        .into_inner()
        .results;
    assert_eq!(brief(&results), ["b accepted", "ended TRANSACTION_ENDED"]);
    let force = v1::ForceTransactionsRequest {
        gids: gids(&["b", "b"]),
        reason: "settled by phone".to_owned(),
        operator: "olga".to_owned(),
    };
    let results = client
        .force_transactions(force)
        .await
        .unwrap()
        .into_inner()
        .results;
    assert_eq!(
        results.iter().filter(|it| it.accepted).count(),
        1,
        "{results:?}"
    );
    assert_eq!(api.end("b").await, Forced);
}

/// Starts a saga, cancels it, and waits until its undo is stuck.
async fn stuck(api: &Api, gid: &str) -> v1::Transaction {
    let mut definition = waiting("stuck");
    definition.steps[0].compensation = "nobody/first".to_owned();
    definition.steps[0].undo_retry = Some(v1::RetryPolicy {
        max_attempts: 1,
        initial_backoff: seconds(3_600),
        max_backoff: seconds(3_600),
        multiplier: 1.0,
    });
    let request = start(gid, definition);
    api.sagas().start_saga(request).await.unwrap();
    let mut client = api.transactions();
    let cancel = v1::CancelTransactionsRequest {
        gids: gids(&[gid]),
        reason: String::new(),
    };
    let results = client.cancel_transactions(cancel).await.unwrap();
    assert!(results.into_inner().results[0].accepted);
    let watch = v1::WatchTransactionRequest {
        gid: gid.to_owned(),
    };
    let mut changes = client.watch_transaction(watch).await.unwrap().into_inner();
    loop {
        let seen = changes.message().await.unwrap().unwrap();
        let seen = seen.transaction.unwrap();
        if state(&seen) == Stuck {
            return seen;
        }
    }
}

#[tokio::test]
async fn an_undo_that_nobody_can_do_is_stuck_until_somebody_says_it_is_done() {
    use v1::available_action::Action::{Cancel, Force, MarkUndone, Retry};
    let api = Api::start().await;
    let seen = stuck(&api, "g").await;
    let enabled = |wanted| {
        let mut actions = seen.available_actions.iter();
        actions.any(|it| it.action() == wanted && it.enabled)
    };
    assert_eq!(
        [Cancel, Force, MarkUndone, Retry].map(enabled),
        [false, true, true, true]
    );
    assert_eq!(seen.steps[0].state(), v1::StepState::Stuck);
    for (step, expected) in [
        ("absent", "g STEP_UNKNOWN"),
        ("first", "g accepted"),
        ("first", "g TRANSACTION_ENDED"),
    ] {
        let mark = v1::MarkStepUndoneRequest {
            gid: "g".to_owned(),
            step: step.to_owned(),
            reason: "by phone".to_owned(),
            operator: "olga".to_owned(),
        };
        let marked = api.transactions().mark_step_undone(mark).await;
        let result = marked.unwrap().into_inner().result;
        assert_eq!(brief(&[result.unwrap()]), [expected]);
    }
    assert_eq!(api.end("g").await, Compensated);
}
