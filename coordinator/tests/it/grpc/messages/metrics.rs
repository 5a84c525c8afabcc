//! The numbers, as Prometheus reads them.

use std::time::Duration;

use amends_proto::v1;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Member, handled, message, publish, subscription};
use crate::grpc::api::Api;

const PATIENCE: Duration = Duration::from_secs(20);

/// What a path at the address for metrics answers, head and all.
async fn get(api: &Api, path: &str) -> String {
    let address = api.coordinator.metrics_address().unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = timeout(PATIENCE, stream.read_to_string(&mut answer)).await;
    read.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn numbers_of_messages_are_told() {
    let listen = ("metrics.listen", "127.0.0.1:0");
    let api = Api::start_with(&[("store.url", "memory:"), listen]).await;
    let mut member = Member::join(&api, subscription("billing"), 10).await;
    for id in ["m-1", "m-2"] {
        publish(&api, vec![message(id)]).await.unwrap();
        // Again: accepted once.
        publish(&api, vec![message(id)]).await.unwrap();
    }
    let token = member.delivery().await.token;
    member.dead(token, "no such customer").await;
    handled(&api, "m-1", "billing", v1::DeliveryState::Dead).await;

    let answer = get(&api, "/metrics").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(
        head.contains("application/openmetrics-text; version=1.0.0"),
        "{head}"
    );
    for line in [
        "amends_broker_up 1",
        "amends_broker_blocked 0",
        "amends_messages_accepted_total 2",
        "amends_messages_published_total 2",
        "amends_publish_returned_total 0",
        "amends_dead_letters_made_total 1",
        r#"amends_group_consumers{group="billing",topic="orders"} 1"#,
        r#"amends_group_dead_letters{group="billing",topic="orders"} 1"#,
        "# EOF",
    ] {
        assert!(body.lines().any(|it| it == line), "{line}: {body}");
    }
    assert!(!body.contains("at_broker{"), "there is no broker outside");
    let other = get(&api, "/").await;
    assert!(other.starts_with("HTTP/1.1 404"), "{other}");
}

#[tokio::test]
async fn nothing_is_told_where_nothing_is_configured() {
    let api = Api::start().await;
    assert_eq!(api.coordinator.metrics_address(), None);
}
