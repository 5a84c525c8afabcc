//! Lists, records, waiting and watching.

use amends_proto::v1;
use amends_proto::v1::TransactionState::{Compensated, Prepared, Running, Stuck, Succeeded};
use sqlx::Connection as _;

use super::api::{Api, brief, seconds, state};

async fn listed(api: &Api, request: v1::ListTransactionsRequest) -> (Vec<String>, String) {
    let found = api.transactions().list_transactions(request).await;
    let found = found.unwrap().into_inner();
    let gids = found.transactions.into_iter().map(|it| it.gid);
    (gids.collect(), found.next_page_token)
}

async fn with(api: &Api, change: impl FnOnce(&mut v1::ListTransactionsRequest)) -> Vec<String> {
    let mut request = v1::ListTransactionsRequest::default();
    change(&mut request);
    let mut gids = listed(api, request).await.0;
    gids.sort();
    gids
}

#[tokio::test]
async fn lists_filter_and_page() {
    let api = Api::start().await;
    for gid in ["a-1", "a-2", "refused-1"] {
        api.run(gid).await;
    }
    api.begin_waiting("waits").await;
    let all = ["a-1", "a-2", "refused-1", "waits"];
    assert_eq!(with(&api, |_| {}).await, all);
    assert_eq!(with(&api, |it| it.gid_prefix = "a-".into()).await, all[..2]);
    assert_eq!(
        with(&api, |it| it.definition = "waiting".into()).await,
        all[3..]
    );
    assert_eq!(
        with(&api, |it| it.states = vec![Running.into()]).await,
        all[3..]
    );
    let ended = vec![Succeeded.into(), Compensated.into()];
    assert_eq!(with(&api, |it| it.states = ended).await, all[..3]);
    assert_eq!(
        with(&api, |it| it.states = vec![Prepared.into()]).await,
        [""; 0]
    );
    let far = prost_types::Timestamp {
        seconds: 4_000_000_000,
        nanos: 0,
    };
    assert_eq!(with(&api, |it| it.created_after = Some(far)).await, [""; 0]);
    assert_eq!(with(&api, |it| it.created_before = Some(far)).await, all);

    let mut token = String::new();
    let mut paged = Vec::new();
    loop {
        let request = v1::ListTransactionsRequest {
            page_size: 3,
            page_token: token,
            ..v1::ListTransactionsRequest::default()
        };
        let (gids, next) = listed(&api, request).await;
        assert!(gids.len() <= 3);
        paged.extend(gids);
        token = next;
        if token.is_empty() {
            break;
        }
    }
    paged.sort();
    assert_eq!(paged, all);
}

#[tokio::test]
async fn records_come_in_their_order_page_by_page() {
    let api = Api::start().await;
    let ended = api.run("g").await;
    let mut token = String::new();
    let mut records = Vec::new();
    loop {
        let request = v1::ListTransactionRecordsRequest {
            gid: "g".to_owned(),
            page_size: 2,
            page_token: token,
        };
        let page = api.transactions().list_transaction_records(request).await;
        let page = page.unwrap().into_inner();
        records.extend(page.records);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let numbers: Vec<_> = records.iter().map(|record| record.number).collect();
    assert_eq!(numbers, (1..=ended.record_count).collect::<Vec<_>>());
    let kinds: Vec<_> = records.iter().map(|record| record.kind.as_str()).collect();
    assert_eq!((kinds[0], *kinds.last().unwrap()), ("BEGAN", "SUCCEEDED"));
    assert!(
        records
            .iter()
            .all(|it| it.json.starts_with('{') && it.time.is_some())
    );
}

#[tokio::test]
async fn where_the_time_went_is_told_by_records_and_status() {
    let api = Api::start().await;
    api.run("g").await;
    let request = v1::ListTransactionRecordsRequest {
        gid: "g".to_owned(),
        ..v1::ListTransactionRecordsRequest::default()
    };
    let records = api.transactions().list_transaction_records(request).await;
    let records = records.unwrap().into_inner().records;
    let nothing = prost_types::Duration::default();
    for record in &records {
        let call = record.took.as_ref().map(|took| took.call.unwrap());
        match record.kind.as_str() {
            "BEGAN" => assert_eq!(call, Some(nothing)),
            "STEP_SUCCEEDED" => assert_ne!(call.unwrap(), nothing),
            _ => assert_eq!(call, None, "{}", record.kind),
        }
    }
    let steps = records.iter().filter(|it| it.kind == "STEP_SUCCEEDED");
    let mut admin = api.admin();
    let mut status = async |profile| {
        let status = admin.get_status(v1::GetStatusRequest { profile }).await;
        status.unwrap().into_inner().profile
    };
    assert_eq!(status(false).await, None);
    let profile = status(true).await.unwrap();
    let count = |parts: &[v1::PartOfTime]| {
        let counts = parts.iter().map(|part| {
            let buckets = part.buckets.iter();
            buckets.map(|bucket| bucket.count).sum::<u64>()
        });
        counts.collect::<Vec<_>>()
    };
    assert_eq!(count(&profile.sagas), [1; 6]);
    assert_eq!(count(&profile.calls), [steps.count() as u64; 6]);
    let nanos = |part: &v1::PartOfTime| part.sum.unwrap().nanos;
    let (whole, parts) = profile.sagas.split_first().unwrap();
    let rounding = parts.len() as i32 * 1_000;
    let sum: i32 = parts.iter().map(nanos).sum();
    assert!((nanos(whole) - sum).abs() <= rounding, "{profile:?}");
}

#[tokio::test]
async fn waiting_ends_with_the_time_or_the_transaction() {
    let api = Api::start().await;
    api.begin_waiting("g").await;
    let request = |timeout| v1::WaitTransactionRequest {
        gid: "g".to_owned(),
        timeout,
    };
    let waited = api
        .transactions()
        .wait_transaction(request(seconds(0)))
        .await;
    let waited = waited.unwrap().into_inner();
    assert!(!waited.finished);
    assert_eq!(state(&waited.transaction.unwrap()), Running);
    let mut client = api.transactions();
    let waiting = tokio::spawn(async move { client.wait_transaction(request(None)).await });
    let cancel = v1::CancelTransactionsRequest {
        gids: vec!["g".to_owned()],
        reason: "enough".to_owned(),
    };
    api.transactions()
        .cancel_transactions(cancel)
        .await
        .unwrap();
    let waited = waiting.await.unwrap().unwrap().into_inner();
    assert!(waited.finished);
    assert_eq!(state(&waited.transaction.unwrap()), Compensated);
}

#[tokio::test]
async fn watching_goes_on_to_the_end() {
    let api = Api::start().await;
    api.begin_waiting("g").await;
    let watch = || v1::WatchTransactionRequest {
        gid: "g".to_owned(),
    };
    let stream = api.transactions().watch_transaction(watch()).await;
    let mut stream = stream.unwrap().into_inner();
    let first = stream
        .message()
        .await
        .unwrap()
        .unwrap()
        .transaction
        .unwrap();
    assert_eq!(state(&first), Running);
    let cancel = v1::CancelTransactionsRequest {
        gids: vec!["g".to_owned()],
        reason: "enough".to_owned(),
    };
    api.transactions()
        .cancel_transactions(cancel)
        .await
        .unwrap();
    let mut last = first;
    while let Some(next) = stream.message().await.unwrap() {
        let next = next.transaction.unwrap();
        assert!(next.record_count >= last.record_count);
        last = next;
    }
    assert_eq!(state(&last), Compensated);
    // One that has ended is shown once.
    let stream = api.transactions().watch_transaction(watch()).await;
    let mut stream = stream.unwrap().into_inner();
    assert_eq!(
        state(
            &stream
                .message()
                .await
                .unwrap()
                .unwrap()
                .transaction
                .unwrap()
        ),
        Compensated
    );
    assert!(stream.message().await.unwrap().is_none());
}

/// A log that cannot be replayed: that one is stuck with its reason, the others go on.
#[tokio::test]
async fn a_corrupt_log_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = format!("sqlite:{}", folder.path().join("amends.db").display());
    let settings = [("store.url", path.as_str())];
    let api = Api::start_with(&settings).await;
    api.begin_waiting("bad").await;
    api.begin_waiting("good").await;
    // Another coordinator could not open the file; a client of the database can.
    let mut connection = sqlx::SqliteConnection::connect(&path).await.unwrap();
    let corrupt = "UPDATE transaction_log SET records = 'garbage' WHERE gid = 'bad'";
    sqlx::query(corrupt).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let api = api.restart(&settings).await;
    api.recovered().await;
    let bad = api.get("bad").await;
    assert_eq!(state(&bad), Stuck);
    let failure = bad.summary.unwrap().cause.unwrap().failure.unwrap();
    assert_eq!(failure.code, "LOG_CORRUPT");
    assert!(failure.message.contains("cannot be read"), "{failure:?}");
    let gid = || "bad".to_owned();
    let mut client = api.transactions();
    let wait = v1::WaitTransactionRequest {
        gid: gid(),
        timeout: None,
    };
    assert_eq!(
        brief(client.wait_transaction(wait).await),
        "DataLoss LOG_CORRUPT"
    );
    let cancel = v1::CancelTransactionsRequest {
        gids: vec![gid(), "good".to_owned()],
        reason: String::new(),
    };
    let results = client
        .cancel_transactions(cancel)
        .await
        .unwrap()
        .into_inner()
        .results;
    let accepted: Vec<_> = results.iter().map(|it| it.accepted).collect();
    assert_eq!(accepted, [false, true]);
    assert_eq!(results[0].failure.as_ref().unwrap().code, "LOG_CORRUPT");
    assert_eq!(api.end("good").await, Compensated);
}
