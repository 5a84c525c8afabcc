//! What is refused, and with which code.

use amends_proto::v1;
use amends_proto::v1::subscription::Filter;

use super::{message, subscription};
use crate::grpc::api::{Api, BODY_LIMIT, brief, seconds};

/// A message that is right but for this.
fn with(change: impl FnOnce(&mut v1::Message)) -> v1::Message {
    let mut message = message("");
    change(&mut message);
    message
}

#[tokio::test]
async fn wrong_messages_are_told_by_field() {
    let api = Api::start().await;
    let long = "x".repeat(300);
    let header = |name: &str| [(name.to_owned(), String::new())].into();
    let too_large = v1::Payload {
        content_type: "a/b".to_owned(),
        data: vec![0; BODY_LIMIT + 1].into(),
    };
    for (wrong, code, field) in [
        (with(|it| it.id = "a b".into()), "MESSAGE_ID_INVALID", "id"),
        (with(|it| it.topic = String::new()), "NAME_INVALID", "topic"),
        (with(|it| it.topic = "a/b".into()), "NAME_INVALID", "topic"),
        (with(|it| it.tag = "a b".into()), "NAME_INVALID", "tag"),
        (with(|it| it.key = long.clone()), "KEY_INVALID", "key"),
        (
            with(|it| it.order_key = long.clone()),
            "KEY_INVALID",
            "order_key",
        ),
        (
            with(|it| it.headers = header("amends-x")),
            "HEADERS_INVALID",
            "headers",
        ),
        (
            with(|it| it.headers = header("")),
            "HEADERS_INVALID",
            "headers",
        ),
        (
            with(|it| it.payload = Some(too_large)),
            "BODY_TOO_LARGE",
            "payload",
        ),
    ] {
        let published = super::publish(&api, vec![message(""), wrong]).await;
        let expected = format!("InvalidArgument {code} messages[1].message.{field}");
        assert_eq!(brief(published), expected);
    }
    for count in [0, 257] {
        let published = super::publish(&api, vec![message(""); count]).await;
        assert_eq!(brief(published), "InvalidArgument COUNT_INVALID messages");
    }
}

#[tokio::test]
async fn wrong_times_are_told_by_field() {
    let api = Api::start().await;
    let at = prost_types::Timestamp {
        seconds: 1,
        nanos: 0,
    };
    let timed = with(|it| it.deliver_time = Some(at));
    for (message, delay, expected) in [
        (None, None, "MISSING messages[0].message"),
        (Some(timed), seconds(1), "AMBIGUOUS messages[0].delay"),
        (
            Some(message("")),
            seconds(-1),
            "DURATION_INVALID messages[0].delay",
        ),
        (
            Some(message("")),
            seconds(400_000_000),
            "DURATION_INVALID messages[0].delay",
        ),
    ] {
        let messages = vec![v1::PublishMessage { message, delay }];
        let request = v1::PublishMessagesRequest { messages };
        let published = api.messages().publish_messages(request).await;
        assert_eq!(brief(published), format!("InvalidArgument {expected}"));
    }
}

#[tokio::test]
async fn wrong_subscriptions_are_told_by_field() {
    let api = Api::start().await;
    let base = || subscription("billing");
    let text = |text: &str| text.to_owned();
    for (wrong, expected) in [
        (
            v1::Subscription {
                group: text("a@b"),
                ..base()
            },
            "NAME_INVALID subscription.group",
        ),
        (
            v1::Subscription {
                topic: text(""),
                ..base()
            },
            "NAME_INVALID subscription.topic",
        ),
        (
            v1::Subscription { mode: 9, ..base() },
            "ENUM_UNKNOWN subscription.mode",
        ),
        (
            v1::Subscription {
                max_attempts: 65,
                ..base()
            },
            "RETRY_INVALID subscription.retry_schedule",
        ),
        (
            v1::Subscription {
                filter: Some(Filter::Tags(text("a || "))),
                ..base()
            },
            "FILTER_INVALID subscription.tags",
        ),
        (
            v1::Subscription {
                filter: Some(Filter::Sql(text("a >"))),
                ..base()
            },
            "FILTER_INVALID subscription.sql",
        ),
    ] {
        let request = v1::CreateSubscriptionRequest {
            subscription: Some(wrong),
        };
        let made = api.consumers().create_subscription(request).await;
        assert_eq!(brief(made), format!("InvalidArgument {expected}"));
    }
    let request = v1::CreateSubscriptionRequest {
        subscription: Some(v1::Subscription {
            filter: Some(Filter::Sql(text("a > 5 +"))),
            ..base()
        }),
    };
    let refused = api
        .consumers()
        .create_subscription(request)
        .await
        .unwrap_err();
    assert!(
        refused
            .message()
            .contains("at character 7: expected AND, OR or the end"),
        "{refused}"
    );
}

#[tokio::test]
async fn wrong_questions_are_told_by_field() {
    let api = Api::start().await;
    let (mut messages, mut consumers) = (api.messages(), api.consumers());
    let text = |text: &str| text.to_owned();
    let list = v1::ListMessagesRequest {
        states: vec![99],
        ..Default::default()
    };
    assert_eq!(
        brief(messages.list_messages(list).await),
        "InvalidArgument ENUM_UNKNOWN states"
    );
    let list = v1::ListMessagesRequest {
        page_token: text("x"),
        ..Default::default()
    };
    assert_eq!(
        brief(messages.list_messages(list).await),
        "InvalidArgument PAGE_TOKEN_INVALID page_token"
    );
    let cancel = v1::CancelMessagesRequest::default();
    assert_eq!(
        brief(messages.cancel_messages(cancel).await),
        "InvalidArgument COUNT_INVALID ids"
    );
    let retry = v1::RetryMessagesRequest {
        ids: vec![text("a b")],
    };
    assert_eq!(
        brief(messages.retry_messages(retry).await),
        "InvalidArgument MESSAGE_ID_INVALID ids"
    );
    let lookup = v1::LookupDeliveriesRequest::default();
    assert_eq!(
        brief(consumers.lookup_deliveries(lookup).await),
        "InvalidArgument MISSING message_id"
    );
    let lookup = v1::LookupDeliveriesRequest {
        message_id: text("a"),
        key: text("b"),
        ..Default::default()
    };
    assert_eq!(
        brief(consumers.lookup_deliveries(lookup).await),
        "InvalidArgument AMBIGUOUS key"
    );
    let letter = v1::GetDeadLetterRequest { id: text("nobody") };
    assert_eq!(
        brief(api.dead_letters().get_dead_letter(letter).await),
        "NotFound DEAD_LETTER_NOT_FOUND"
    );
}
