//! A load of sagas, and the check that each of them ended and left what it says.

use std::time::Duration;

use amends_proto::v1::saga_service_client::SagaServiceClient;
use amends_proto::v1::start_saga_request::Source;
use amends_proto::v1::transaction_service_client::TransactionServiceClient;
use amends_proto::v1::{
    RetryPolicy, SagaDefinition, StartSagaRequest, StepDefinition, TransactionState,
    WaitTransactionRequest,
};
use futures_util::{StreamExt as _, stream};
use tonic::transport::Channel;

use super::ledger::{Ledger, REFUSED};

/// Sagas begun at the same time, and waited for.
pub(super) const AT_ONCE: usize = 16;
const STEPS: [&str; 4] = ["first", "left", "right", "last"];

fn duration(span: Duration) -> Option<prost_types::Duration> {
    span.try_into().ok()
}

/// `first`, then `left` and `right`, then `last`, which refuses some.
fn definition() -> SagaDefinition {
    let after = |step: &str| match step {
        "first" => vec![],
        "last" => vec!["left".to_owned(), "right".to_owned()],
        _ => vec!["first".to_owned()],
    };
    let retry = RetryPolicy {
        max_attempts: 1_000,
        initial_backoff: duration(Duration::from_millis(5)),
        max_backoff: duration(Duration::from_millis(50)),
        multiplier: 2.0,
    };
    let step = |step: &str| StepDefinition {
        name: step.to_owned(),
        target: format!("shop/{step}"),
        compensation: format!("shop/{step}"),
        after: after(step),
        retry: Some(retry),
        undo_retry: Some(retry),
        ..StepDefinition::default()
    };
    SagaDefinition {
        name: "order".to_owned(),
        version: 1,
        steps: STEPS.map(step).into(),
        ..SagaDefinition::default()
    }
}

/// Half of them will be refused.
pub(super) fn gids(round: &str, count: usize) -> Vec<String> {
    let kind = |n| if n % 2 == 0 { "fine" } else { REFUSED };
    (0..count)
        .map(|n| format!("{}-{round}-{n}", kind(n)))
        .collect()
}

/// None: nobody is there, or a process that was killed has no address yet.
pub(super) async fn connect(address: &str) -> Option<Channel> {
    let endpoint = tonic::transport::Endpoint::new(address.to_owned()).ok()?;
    endpoint.connect().await.ok()
}

/// Starts sagas; the ids of those that were accepted. The others met a
/// coordinator that was gone.
pub(super) async fn start(address: &str, gids: &[String]) -> Vec<String> {
    start_many(address, gids, AT_ONCE).await
}

/// The same with so many at the same time.
pub(super) async fn start_many(address: &str, gids: &[String], at_once: usize) -> Vec<String> {
    let Some(channel) = connect(address).await else {
        return Vec::new();
    };
    let starts = gids.iter().cloned().map(move |gid| {
        let mut client = SagaServiceClient::new(channel.clone());
        let request = StartSagaRequest {
            gid: gid.clone(),
            source: Some(Source::Definition(definition())),
            ..StartSagaRequest::default()
        };
        async move { client.start_saga(request).await.ok().map(|_| gid) }
    });
    let accepted = stream::iter(starts).buffer_unordered(at_once);
    accepted.filter_map(std::future::ready).collect().await
}

/// Waits for the end of each, and checks what is in force.
pub(super) async fn check(address: &str, gids: &[String], ledger: &Ledger, what: &str) {
    let channel = connect(address).await.expect(what);
    let ends = gids.iter().cloned().map(|gid| {
        let mut client = TransactionServiceClient::new(channel.clone());
        async move {
            let request = WaitTransactionRequest {
                gid: gid.clone(),
                timeout: None,
            };
            let ended = client.wait_transaction(request).await;
            let ended = ended.unwrap_or_else(|error| panic!("{what}, {gid}: {error}"));
            (gid, ended.into_inner())
        }
    });
    let mut ends = stream::iter(ends).buffer_unordered(AT_ONCE);
    while let Some((gid, ended)) = ends.next().await {
        assert!(ended.finished, "{what}, {gid} does not end");
        let (state, in_force) = match gid.starts_with(REFUSED) {
            true => (TransactionState::Compensated, 0),
            false => (TransactionState::Succeeded, 1),
        };
        let summary = ended.transaction.unwrap().summary.unwrap();
        assert_eq!(summary.state(), state, "{what}, {gid}");
        for step in STEPS {
            let branch = ledger.branch(&gid, step);
            assert_eq!(
                branch.in_force, in_force,
                "{what}, {gid}, {step}: {branch:?}"
            );
            assert!(branch.made <= 1 && branch.taken_back <= branch.made);
        }
    }
}
