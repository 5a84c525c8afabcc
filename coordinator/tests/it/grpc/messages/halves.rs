//! Half messages over the wire: prepared, decided, looked at.

use amends_proto::v1;
use tonic::{Request, Status};

use super::{Member, get, id, message, subscription};
use crate::grpc::api::{Api, brief, seconds};

fn prepare(half: &str, ids: &[&str]) -> v1::PrepareMessagesRequest {
    let messages = ids.iter().map(|id| v1::PublishMessage {
        message: Some(message(id)),
        delay: None,
    });
    v1::PrepareMessagesRequest {
        half_id: half.to_owned(),
        producer: "shop".to_owned(),
        messages: messages.collect(),
        check_after: None,
    }
}

fn decide(half: &str, verdict: v1::HalfVerdict) -> v1::DecideHalfRequest {
    v1::DecideHalfRequest {
        half_id: half.to_owned(),
        verdict: verdict.into(),
        producer: "shop".to_owned(),
        reason: String::new(),
    }
}

async fn prepared(
    api: &Api,
    request: v1::PrepareMessagesRequest,
) -> Result<v1::PrepareMessagesResponse, Status> {
    Ok(api.halves().prepare_messages(request).await?.into_inner())
}

async fn decided(
    api: &Api,
    request: v1::DecideHalfRequest,
) -> Result<(v1::HalfState, bool), Status> {
    let decided = api.halves().decide_half(request).await?.into_inner();
    Ok((decided.state(), decided.changed))
}

async fn half(api: &Api, id: &str) -> Result<v1::Half, Status> {
    let half_id = id.to_owned();
    let found = api
        .halves()
        .get_half(v1::GetHalfRequest { half_id })
        .await?;
    Ok(found.into_inner().half.unwrap())
}

#[tokio::test]
async fn what_is_committed_is_delivered_and_nothing_else() {
    let api = Api::start().await;
    let mut member = Member::join(&api, subscription("billing"), 10).await;
    for (half, ids) in [("kept", ["m-1", "m-2"]), ("dropped", ["m-3", "m-4"])] {
        let prepared = prepared(&api, prepare(half, &ids)).await.unwrap();
        assert_eq!(prepared.state(), v1::HalfState::Prepared);
        assert!(prepared.messages.iter().all(|it| it.created));
    }
    assert_eq!(get(&api, "m-1").await.state(), v1::MessageState::Prepared);
    let rollback = decide("dropped", v1::HalfVerdict::Rollback);
    let told = decided(&api, rollback).await.unwrap();
    assert_eq!(told, (v1::HalfState::RolledBack, true));
    let commit = decide("kept", v1::HalfVerdict::Commit);
    let told = decided(&api, commit).await.unwrap();
    assert_eq!(told, (v1::HalfState::Committed, true));
    for expected in ["m-1", "m-2"] {
        let delivered = member.delivery().await;
        assert_eq!(id(&delivered), expected);
        member.done(delivered.token).await;
    }
    let dropped = get(&api, "m-3").await;
    assert_eq!(dropped.state(), v1::MessageState::RolledBack);
    assert!(dropped.deliveries.is_empty());
    let kept = half(&api, "kept").await.unwrap();
    assert_eq!(kept.message_ids, ["m-1", "m-2"]);
    assert_eq!(kept.decided_by, "producer");
    assert!(kept.decide_time.is_some() && kept.next_check_time.is_none());
}

#[tokio::test]
async fn the_first_verdict_stands() {
    use v1::HalfVerdict::{Commit, Rollback};
    let api = Api::start().await;
    for (name, first, other, state) in [
        ("c", Commit, Rollback, v1::HalfState::Committed),
        ("r", Rollback, Commit, v1::HalfState::RolledBack),
    ] {
        prepared(&api, prepare(name, &[name])).await.unwrap();
        let told = decided(&api, decide(name, first)).await.unwrap();
        assert_eq!(told, (state, true));
        let told = decided(&api, decide(name, first)).await.unwrap();
        assert_eq!(told, (state, false));
        let refused = api.halves().decide_half(decide(name, other)).await;
        let status = refused.as_ref().unwrap_err().clone();
        let details = tonic_types::StatusExt::get_error_details(&status);
        let stands = &details.error_info().unwrap().metadata["state"];
        assert_eq!(
            stands,
            state.as_str_name().trim_start_matches("HALF_STATE_")
        );
        assert_eq!(brief(refused), "FailedPrecondition HALF_DECIDED");
        let again = prepared(&api, prepare(name, &[name])).await.unwrap();
        assert_eq!(again.state(), state);
        assert!(!again.messages[0].created);
    }
}

#[tokio::test]
async fn prepared_again_is_prepared_once() {
    let api = Api::start().await;
    let first = prepared(&api, prepare("", &["", ""])).await.unwrap();
    let same = prepare(&first.half_id, &["", ""]);
    let again = prepared(&api, same.clone()).await.unwrap();
    let ids = |it: &v1::PrepareMessagesResponse| -> Vec<String> {
        it.messages.iter().map(|it| it.id.clone()).collect()
    };
    assert_eq!(ids(&again), ids(&first));
    let mut fewer = same.clone();
    fewer.messages.pop();
    let mut delayed = same.clone();
    delayed.messages[1].delay = seconds(5);
    let mut tagged = same.clone();
    tagged.messages[0].message.as_mut().unwrap().tag = "other".to_owned();
    let elsewhere = v1::PrepareMessagesRequest {
        producer: "mail".to_owned(),
        ..same
    };
    for different in [fewer, delayed, tagged, elsewhere] {
        let refused = api.halves().prepare_messages(different).await;
        assert_eq!(brief(refused), "AlreadyExists HALF_ID_REUSED");
    }
    let taken = &first.messages[0].id;
    let refused = prepared(&api, prepare("other", &["new", taken])).await;
    assert_eq!(brief(refused), "AlreadyExists MESSAGE_ID_REUSED");
    assert_eq!(brief(half(&api, "other").await), "NotFound HALF_NOT_FOUND");
}

#[tokio::test]
async fn people_decide_with_a_reason() {
    let api = Api::start().await;
    prepared(&api, prepare("h", &["m"])).await.unwrap();
    let by_hand = |reason: &str| v1::DecideHalfRequest {
        producer: String::new(),
        reason: reason.to_owned(),
        ..decide("h", v1::HalfVerdict::Commit)
    };
    let silent = decided(&api, by_hand(" ")).await;
    assert_eq!(brief(silent), "InvalidArgument REASON_MISSING reason");
    decided(&api, by_hand("the bank said so")).await.unwrap();
    let found = half(&api, "h").await.unwrap();
    assert_eq!(
        (found.decided_by.as_str(), found.decide_reason.as_str()),
        ("operator", "the bank said so")
    );
}

#[tokio::test]
async fn foreign_and_unknown_ones_are_refused() {
    use v1::HalfVerdict::{Commit, Unspecified};
    let api = Api::start().await;
    prepared(&api, prepare("h", &["m"])).await.unwrap();
    for (request, expected) in [
        (decide("nothing", Commit), "NotFound HALF_NOT_FOUND"),
        (decide("m", Commit), "NotFound HALF_NOT_FOUND"),
        (
            decide("", Commit),
            "InvalidArgument HALF_ID_INVALID half_id",
        ),
        (
            decide("h", Unspecified),
            "InvalidArgument ENUM_UNKNOWN verdict",
        ),
        (
            v1::DecideHalfRequest {
                producer: "mail".to_owned(),
                ..decide("h", Commit)
            },
            "FailedPrecondition HALF_OF_ANOTHER_PRODUCER",
        ),
    ] {
        assert_eq!(brief(decided(&api, request).await), expected);
    }
    for (change, expected) in [
        (
            (|it| it.producer.clear()) as fn(&mut v1::PrepareMessagesRequest),
            "InvalidArgument NAME_INVALID producer",
        ),
        (
            |it| it.half_id = "a b".to_owned(),
            "InvalidArgument HALF_ID_INVALID half_id",
        ),
        (
            |it| it.messages.clear(),
            "InvalidArgument COUNT_INVALID messages",
        ),
        (
            |it| it.check_after = seconds(367 * 24 * 3_600),
            "InvalidArgument DURATION_INVALID check_after",
        ),
    ] {
        let mut request = prepare("i", &["n"]);
        change(&mut request);
        let refused = api.halves().prepare_messages(Request::new(request)).await;
        assert_eq!(brief(refused), expected);
    }
}

#[tokio::test]
async fn halves_are_listed_by_page() {
    let api = Api::start().await;
    for name in ["a", "b", "c"] {
        prepared(&api, prepare(name, &[name])).await.unwrap();
    }
    decided(&api, decide("b", v1::HalfVerdict::Commit))
        .await
        .unwrap();
    let mut request = v1::ListHalvesRequest {
        page_size: 2,
        ..Default::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = api
            .halves()
            .list_halves(request.clone())
            .await
            .unwrap()
            .into_inner();
        seen.extend(page.halves.into_iter().map(|it| it.half_id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    seen.sort();
    assert_eq!(seen, ["a", "b", "c"]);
    let request = v1::ListHalvesRequest {
        states: vec![v1::HalfState::Committed.into()],
        producer: "shop".to_owned(),
        ..Default::default()
    };
    let page = api
        .halves()
        .list_halves(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(page.halves.len(), 1);
    let mut client = api.halves();
    let producers = client.list_producers(v1::ListProducersRequest::default());
    let producers = producers.await.unwrap().into_inner().producers;
    assert_eq!(
        (producers[0].producer.as_str(), producers[0].prepared),
        ("shop", 2)
    );
}
