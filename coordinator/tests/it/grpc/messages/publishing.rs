//! Publishing, looking, taking back.

use amends_proto::v1;

use super::{Member, get, id, message, publish, subscription};
use crate::grpc::api::{Api, brief, seconds};

#[tokio::test]
async fn an_id_is_published_once() {
    let api = Api::start().await;
    let created = |published: Vec<v1::PublishedMessage>| {
        let published = published.into_iter();
        published.map(|it| (it.id, it.created)).collect::<Vec<_>>()
    };
    let first = publish(&api, vec![message("m-1")]).await.unwrap();
    assert_eq!(created(first), [("m-1".to_owned(), true)]);
    let again = publish(&api, vec![message("m-1"), message("m-2")]).await;
    assert_eq!(
        created(again.unwrap()),
        [("m-1".to_owned(), false), ("m-2".to_owned(), true)]
    );
    let other = v1::Message {
        key: "order-8".to_owned(),
        ..message("m-1")
    };
    let different = publish(&api, vec![message("m-3"), other]).await;
    assert_eq!(brief(different), "AlreadyExists MESSAGE_ID_REUSED");
    let request = v1::GetMessageRequest {
        id: "m-3".to_owned(),
    };
    let missing = api.messages().get_message(request).await;
    assert_eq!(brief(missing), "NotFound MESSAGE_NOT_FOUND", "all or none");

    let nameless = publish(&api, vec![message(""), message("")]).await.unwrap();
    assert_ne!(nameless[0].id, nameless[1].id);
}

#[tokio::test]
async fn a_delayed_message_can_be_taken_back() {
    let api = Api::start().await;
    let delayed = |id: &str| v1::PublishMessage {
        message: Some(message(id)),
        delay: seconds(3_600),
    };
    let request = v1::PublishMessagesRequest {
        messages: vec![delayed("m-1"), delayed("m-2")],
    };
    let mut client = api.messages();
    client.publish_messages(request).await.unwrap();
    let list = v1::ListMessagesRequest {
        delayed: true,
        ..Default::default()
    };
    let found = client.list_messages(list.clone()).await.unwrap();
    assert_eq!(found.into_inner().messages.len(), 2);

    let request = v1::CancelMessagesRequest {
        ids: vec!["m-1".to_owned(), "nobody".to_owned()],
        reason: "withdrawn".to_owned(),
    };
    let results = client.cancel_messages(request.clone()).await.unwrap();
    let results = results.into_inner().results;
    assert!(results[0].done, "{results:?}");
    assert_eq!(results[1].code, "MESSAGE_NOT_FOUND");
    let taken_back = get(&api, "m-1").await;
    assert_eq!(taken_back.state(), v1::MessageState::RolledBack);
    assert_eq!(taken_back.last_error, "withdrawn");
    let found = client.list_messages(list).await.unwrap();
    assert_eq!(found.into_inner().messages.len(), 1);
}

#[tokio::test]
async fn messages_are_listed_by_page_and_filter() {
    let api = Api::start().await;
    let ids = ["m-1", "m-2", "m-3", "m-4", "m-5"];
    publish(&api, ids.map(message).to_vec()).await.unwrap();
    let elsewhere = v1::Message {
        topic: "mail".to_owned(),
        ..message("m-6")
    };
    publish(&api, vec![elsewhere]).await.unwrap();
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListMessagesRequest {
            topic: "orders".to_owned(),
            page_size: 2,
            page_token,
            ..Default::default()
        };
        let page = api.messages().list_messages(request).await.unwrap();
        let page = page.into_inner();
        assert!(page.messages.len() <= 2);
        let messages = page.messages.into_iter().map(|it| it.message.unwrap());
        found.extend(messages.map(|message| {
            assert!(message.payload.is_none());
            message.id
        }));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    found.sort();
    assert_eq!(found, ids);
}

#[tokio::test]
async fn what_no_group_wants_waits_for_one() {
    let api = Api::start().await;
    publish(&api, vec![message("m-1")]).await.unwrap();
    let waiting = loop {
        let found = get(&api, "m-1").await;
        if !found.last_error.is_empty() {
            break found;
        }
    };
    assert_eq!(waiting.state(), v1::MessageState::Committed);
    assert!(waiting.last_error.contains("unroutable"), "{waiting:?}");
    let mut member = Member::join(&api, subscription("billing"), 10).await;
    assert_eq!(id(&member.delivery().await), "m-1");
}

#[tokio::test]
async fn subscriptions_are_made_listed_and_counted() {
    let api = Api::start().await;
    let mut client = api.consumers();
    for (group, created) in [("a", true), ("b", true), ("a", false)] {
        let request = v1::CreateSubscriptionRequest {
            subscription: Some(subscription(group)),
        };
        let made = client.create_subscription(request).await.unwrap();
        assert_eq!(made.into_inner().created, created, "{group}");
    }
    publish(&api, vec![message("m-1"), message("m-2")])
        .await
        .unwrap();
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListSubscriptionsRequest {
            page_size: 1,
            page_token,
            ..Default::default()
        };
        let page = client.list_subscriptions(request).await.unwrap();
        let page = page.into_inner();
        found.extend(page.subscriptions);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let counts: Vec<_> = found
        .iter()
        .map(|it| (it.subscription.as_ref().unwrap().group.as_str(), it.ready))
        .collect();
    assert_eq!(counts, [("a", 2), ("b", 2)]);
    let subscription = found[0].subscription.as_ref().unwrap();
    assert_eq!(subscription.max_attempts, 16);
    assert_eq!(subscription.retry_schedule.len(), 16);

    let status = api
        .admin()
        .get_status(v1::GetStatusRequest::default())
        .await;
    let broker = status.unwrap().into_inner().broker.unwrap();
    assert_eq!(broker.kind, "embedded");
    assert_eq!(broker.state(), v1::broker_status::State::Up);
}
