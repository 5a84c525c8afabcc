//! Publishing against a coordinator that loses answers and refuses.

use std::time::Duration;

use amends::{Client, ClientError, NewMessage};
use tonic::Status;

use crate::broker::{Broker, Fault};

fn client(broker: &Broker) -> Client {
    Client::connect(broker.url()).unwrap()
}

#[tokio::test]
async fn a_message_is_published_once_though_answers_are_lost() {
    let broker = Broker::start().await;
    broker.fault(Fault::LoseAnswer);
    broker.fault(Fault::Refuse(Status::resource_exhausted("busy")));
    let message = NewMessage::new("payTopic", &("o1", 500))
        .tag("pay_success")
        .key("o1")
        .order_key("o")
        .header("amount", "500");
    let id = message.id().to_owned();
    let published = client(&broker).publish(message).await.unwrap();
    assert_eq!(
        (published.id.as_str(), published.created),
        (id.as_str(), false)
    );
    assert_eq!(broker.published(1).await, std::slice::from_ref(&id));
    broker.publish_calls(3).await;
    let stored = broker.message(&id);
    assert_eq!(
        (
            stored.tag.as_str(),
            stored.key.as_str(),
            stored.order_key.as_str()
        ),
        ("pay_success", "o1", "o")
    );
    assert_eq!(stored.headers["amount"], "500");
    let payload = stored.payload.unwrap();
    assert_eq!(
        (payload.content_type.as_str(), &payload.data[..]),
        ("application/json", &b"[\"o1\",500]"[..])
    );
    assert!(
        client(&broker)
            .message(&id)
            .await
            .unwrap()
            .message
            .is_some()
    );
}

#[tokio::test]
async fn a_batch_is_all_or_none() {
    let broker = Broker::start().await;
    let batch = [NewMessage::new("a", &1), NewMessage::new("poison", &2)];
    let error = client(&broker).publish_all(batch).await.unwrap_err();
    assert!(matches!(error, ClientError::Invalid { .. }), "{error}");
    let batch = [
        NewMessage::new("a", &1).with_id("m1"),
        NewMessage::bytes("b", "text/plain", "two")
            .with_id("m2")
            .delay(Duration::from_secs(9)),
    ];
    let published = client(&broker).publish_all(batch).await.unwrap();
    assert!(published.iter().all(|message| message.created));
    assert_eq!(broker.published(2).await, ["m1", "m2"]);
    let other = NewMessage::new("a", &"other").with_id("m1");
    let error = client(&broker).publish(other).await.unwrap_err();
    assert!(matches!(error, ClientError::Conflict { .. }), "{error}");
    assert!(client(&broker).publish_all([]).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_cannot_be_right_is_not_sent() {
    let broker = Broker::start().await;
    let error = client(&broker)
        .publish(NewMessage::new("pay topic", &1))
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "MESSAGE_INVALID");
    let no_json = std::collections::BTreeMap::from([(vec![1], 1)]);
    let error = client(&broker)
        .publish(NewMessage::new("t", &no_json))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Data { .. }), "{error}");
}

#[tokio::test]
async fn taking_back() {
    let broker = Broker::start().await;
    let client = client(&broker);
    client
        .cancel_message("delayed", "changed my mind")
        .await
        .unwrap();
    let error = client.cancel_message("unknown", "").await.unwrap_err();
    assert!(matches!(error, ClientError::NotFound { .. }), "{error}");
    client
        .publish(NewMessage::new("t", &1).with_id("gone"))
        .await
        .unwrap();
    let error = client.cancel_message("gone", "").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "not possible now: MESSAGE_PUBLISHED: too late"
    );
}
