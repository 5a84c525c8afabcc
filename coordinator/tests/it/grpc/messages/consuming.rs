//! Consumers' streams.

use amends_proto::v1;
use amends_proto::v1::consume_request::Request;
use amends_proto::v1::consume_response::Response;
use amends_proto::v1::subscription::Filter;
use prost::Message as _;
use tonic::Code;

use super::{Member, get, handled, id, message, publish, subscription};
use crate::grpc::api::{Api, brief, json};

#[tokio::test]
async fn what_is_published_is_delivered_and_looked_up() {
    let api = Api::start().await;
    let mut member = Member::join(&api, subscription("billing"), 10).await;
    publish(&api, vec![message("m-1")]).await.unwrap();
    let delivered = member.delivery().await;
    assert_eq!((id(&delivered), delivered.attempt), ("m-1", 1));
    let carried = delivered.message.unwrap();
    assert!(carried.create_time.is_some());
    assert_eq!(
        v1::Message {
            create_time: None,
            ..carried
        },
        v1::Message {
            payload: Some(v1::Payload {
                content_type: "application/json".to_owned(),
                ..json(r#"{"order":7}"#).unwrap()
            }),
            ..message("m-1")
        }
    );
    handled(&api, "m-1", "billing", v1::DeliveryState::Leased).await;

    member.again(delivered.token, "not now").await;
    let second = member.delivery().await;
    assert_eq!((id(&second), second.attempt), ("m-1", 2));
    member.done(second.token).await;
    let done = handled(&api, "m-1", "billing", v1::DeliveryState::Done).await;
    assert_eq!((done.attempts, done.first_error.as_str()), (2, "not now"));

    let found = get(&api, "m-1").await;
    assert_eq!(found.state(), v1::MessageState::Published);
    assert!(found.message.unwrap().payload.is_some());
    let states: Vec<_> = found.deliveries.iter().map(|it| it.state()).collect();
    assert_eq!(states, [v1::DeliveryState::Done]);
}

#[tokio::test]
async fn no_more_is_delivered_than_there_is_credit_for() {
    let api = Api::start().await;
    let mut member = Member::join(&api, subscription("billing"), 1).await;
    let messages = ["m-1", "m-2", "m-3"].map(message).to_vec();
    publish(&api, messages).await.unwrap();
    let first = member.delivery().await;
    assert_eq!((id(&first), member.delivered.len()), ("m-1", 0));
    member.say(Request::Keepalive(v1::Keepalive {})).await;
    let answer = member.next().await.unwrap();
    assert!(matches!(answer, Some(Response::KeptAlive(_))), "{answer:?}");
    // Settling is worth one, and more can be had.
    member
        .say(Request::AddCredit(v1::AddCredit { credit: 1 }))
        .await;
    member.done(first.token).await;
    let second = member.delivery().await;
    let third = member.delivery().await;
    assert_eq!((id(&second), id(&third)), ("m-2", "m-3"));
}

#[tokio::test]
async fn a_settlement_counts_once() {
    let api = Api::start().await;
    let mut member = Member::join(&api, subscription("billing"), 10).await;
    publish(&api, vec![message("m-1")]).await.unwrap();
    let token = member.delivery().await.token;
    for (counted, stale) in [(vec![token], vec![]), (vec![], vec![token])] {
        member.done(token).await;
        let answer = member.next().await.unwrap();
        let Some(Response::Settled(settled)) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!((settled.tokens, settled.stale), (counted, stale));
    }
}

#[tokio::test]
async fn filters_decide_what_a_group_gets() {
    let api = Api::start().await;
    let filtered = |group: &str, filter| v1::Subscription {
        filter: Some(filter),
        ..subscription(group)
    };
    let sql = Filter::Sql("amount > 10 AND region <> 'uk'".to_owned());
    let mut large = Member::join(&api, filtered("large", sql), 10).await;
    let tags = Filter::Tags("refunded || sent".to_owned());
    let mut sent = Member::join(&api, filtered("sent", tags), 10).await;
    let with = |id: &str, tag: &str, amount: &str| v1::Message {
        tag: tag.to_owned(),
        headers: [("amount", amount), ("region", "eu")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..message(id)
    };
    let messages = vec![
        with("small", "paid", "5"),
        with("unreadable", "paid", "much"),
        with("large", "paid", "11"),
        with("sent", "sent", "1"),
    ];
    publish(&api, messages).await.unwrap();
    assert_eq!(id(&large.delivery().await), "large");
    assert_eq!(id(&sent.delivery().await), "sent");
    assert!(large.delivered.is_empty() && sent.delivered.is_empty());
    let groups = get(&api, "large").await.deliveries;
    let groups: Vec<_> = groups.iter().map(|it| it.group.as_str()).collect();
    assert_eq!(groups, ["large"]);
}

#[tokio::test]
async fn large_bodies_come_in_answers_of_bounded_size() {
    const MESSAGES: usize = 40;
    let api = Api::start().await;
    let large = |number: usize| v1::Message {
        payload: Some(v1::Payload {
            content_type: "application/octet-stream".to_owned(),
            data: vec![7; 60 * 1024].into(),
        }),
        ..message(&format!("m-{number}"))
    };
    let request = v1::CreateSubscriptionRequest {
        subscription: Some(subscription("billing")),
    };
    api.consumers().create_subscription(request).await.unwrap();
    publish(&api, (0..MESSAGES).map(large).collect())
        .await
        .unwrap();
    let mut member = Member::join(&api, subscription("billing"), 100).await;
    let mut seen = 0;
    while seen < MESSAGES {
        let Some(Response::Deliveries(some)) = member.next().await.unwrap() else {
            panic!("deliveries expected");
        };
        assert!(
            some.encoded_len() <= (1 << 20) + 1024,
            "{}",
            some.encoded_len()
        );
        seen += some.deliveries.len();
    }
}

#[tokio::test]
async fn a_stream_ends_when_a_request_breaks_a_rule() {
    let api = Api::start().await;
    let subscribe = v1::Subscribe {
        subscription: Some(subscription("billing")),
        instance_id: String::new(),
        credit: 1,
    };
    for (wrong, expected) in [
        (
            Request::Subscribe(subscribe.clone()),
            "InvalidArgument SUBSCRIBED_ALREADY",
        ),
        (
            Request::AddCredit(v1::AddCredit { credit: 1001 }),
            "InvalidArgument COUNT_INVALID credit",
        ),
        (
            Request::Settle(v1::Settle::default()),
            "InvalidArgument COUNT_INVALID settlements",
        ),
        (
            Request::Settle(v1::Settle {
                settlements: vec![v1::Settlement::default()],
            }),
            "InvalidArgument MISSING settlements.verdict",
        ),
    ] {
        let mut member = Member::join(&api, subscription("billing"), 1).await;
        member.say(wrong).await;
        assert_eq!(brief(member.next().await), expected);
    }
    for (first, expected) in [
        (
            Request::Keepalive(v1::Keepalive {}),
            "InvalidArgument MISSING subscribe",
        ),
        (
            Request::Subscribe(v1::Subscribe {
                credit: 0,
                ..subscribe
            }),
            "InvalidArgument COUNT_INVALID credit",
        ),
    ] {
        let opened = Member::open(&api, first).await.map(|_| ());
        assert_eq!(brief(opened), expected);
    }
}

#[tokio::test]
async fn what_a_consumer_left_unsettled_goes_to_the_next() {
    let api = Api::start().await;
    let mut first = Member::join(&api, subscription("billing"), 10).await;
    publish(&api, vec![message("m-1")]).await.unwrap();
    assert_eq!(id(&first.delivery().await), "m-1");
    drop(first);
    let mut second = Member::join(&api, subscription("billing"), 10).await;
    let again = second.delivery().await;
    // A lost consumer says nothing against the message.
    assert_eq!((id(&again), again.attempt), ("m-1", 1));
}

#[tokio::test]
async fn a_stream_ends_with_its_subscription() {
    let api = Api::start().await;
    let mut member = Member::join(&api, subscription("billing"), 10).await;
    let request = v1::DeleteSubscriptionRequest {
        group: "billing".to_owned(),
        topic: "orders".to_owned(),
        reason: "no longer needed".to_owned(),
    };
    let mut consumers = api.consumers();
    consumers
        .delete_subscription(request.clone())
        .await
        .unwrap();
    assert_eq!(
        brief(member.next().await),
        "FailedPrecondition UNSUBSCRIBED"
    );
    let again = consumers.delete_subscription(request).await;
    assert_eq!(brief(again), "NotFound SUBSCRIPTION_NOT_FOUND");
}

#[tokio::test]
async fn a_stopping_coordinator_says_so_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("a.db").display());
    let settings = [("store.url", url.as_str())];
    let api = Api::start_with(&settings).await;
    let mut member = Member::join(&api, subscription("billing"), 1).await;
    publish(&api, vec![message("m-1"), message("m-2")])
        .await
        .unwrap();
    assert_eq!(id(&member.delivery().await), "m-1");
    let ended = async {
        loop {
            if let Err(status) = member.next().await {
                return status;
            }
        }
    };
    let (api, status) = tokio::join!(api.restart(&settings), ended);
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let mut member = Member::join(&api, subscription("billing"), 10).await;
    assert_eq!(id(&member.delivery().await), "m-1");
    assert_eq!(id(&member.delivery().await), "m-2");
}
