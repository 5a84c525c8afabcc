use std::collections::BTreeMap;

use super::*;

const NOW: Timestamp = Timestamp(1_000_000_000_000);

fn topic() -> Topic {
    Topic::new("orders").unwrap()
}

fn full() -> Message {
    let headers = [
        ("colour", "blue"),
        ("CC", "not another address"),
        ("x-death", "is ours here"),
        ("ünïcode", "ä\n\u{1F980}"),
    ];
    let long = (
        "n".repeat(300),
        "a name longer than the protocol's".to_owned(),
    );
    let headers: BTreeMap<String, String> = headers
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into_iter()
        .chain([long])
        .collect();
    Message {
        id: MessageId::new("order/7").unwrap(),
        topic: topic(),
        tag: Tag::new("paid.v2").unwrap(),
        key: MessageKey::new("Bestellung Nr. 7 ä").unwrap(),
        order_key: Some(OrderKey::new(&"ö".repeat(255)).unwrap()),
        headers: Headers::trusted(headers),
        payload: Payload::new("application/json", Bytes::from_static(b" {\"a\": 1.50} ")),
        deliver_at: Some(Timestamp(1_763_000_000_123)),
        created_at: Timestamp(1_763_000_000_007),
    }
}

fn delivered(properties: BasicProperties, tag: &str, body: &[u8]) -> Delivery {
    let mut delivery = Delivery::mock(1, "amends.orders".into(), tag.into(), false, body.to_vec());
    delivery.properties = properties;
    delivery
}

fn there_and_back(message: &Message) -> Read {
    let body = message.payload.data();
    let delivery = delivered(properties(message), message.tag.as_str(), body);
    read(delivery, &topic(), NOW)
}

#[test]
fn every_property_comes_back() {
    let message = full();
    assert_eq!(there_and_back(&message).unwrap().as_ref(), &message);

    let bare = Message {
        tag: Tag::new("").unwrap(),
        key: MessageKey::new("").unwrap(),
        order_key: None,
        headers: Headers::default(),
        payload: Payload::new(&"x".repeat(256), Bytes::from_static(b"\0\xff")),
        deliver_at: None,
        ..full()
    };
    assert_eq!(there_and_back(&bare).unwrap().as_ref(), &bare);
}

#[test]
fn what_others_publish_is_understood() {
    let mut table = FieldTable::default();
    table.insert("colour".into(), AMQPValue::LongString("blue".into()));
    table.insert("count".into(), AMQPValue::LongInt(7));
    table.insert("urgent".into(), AMQPValue::Boolean(true));
    table.insert("amends-order-key".into(), AMQPValue::LongString("k".into()));
    table.insert("x-delivery-count".into(), AMQPValue::LongLongInt(3));
    table.insert(
        "nested".into(),
        AMQPValue::FieldTable(FieldTable::default()),
    );
    let properties = BasicProperties::default()
        .with_message_id("theirs-1".into())
        .with_timestamp(1_763_000_000)
        .with_headers(table);
    let message = read(delivered(properties, "paid", b"{}"), &topic(), NOW).unwrap();
    assert_eq!(message.id.as_str(), "theirs-1");
    assert_eq!(message.tag.as_str(), "paid");
    assert_eq!(message.order_key.as_ref().map(OrderKey::as_str), Some("k"));
    let headers: Vec<_> = message.headers.iter().collect();
    assert_eq!(
        headers,
        [("colour", "blue"), ("count", "7"), ("urgent", "true")]
    );
    assert!(message.payload.is_json());
    assert_eq!(message.created_at, Timestamp(1_763_000_000_000));
}

#[test]
fn without_an_id_each_delivery_is_a_message_of_its_own() {
    let bare = || {
        read(
            delivered(BasicProperties::default(), "", b"x"),
            &topic(),
            NOW,
        )
        .unwrap()
    };
    assert_eq!(bare().created_at, NOW);
    assert_ne!(bare().id, bare().id);
}

#[test]
fn what_cannot_be_read_comes_with_its_bytes_and_the_reason() {
    let check = |properties: BasicProperties, tag: &str, expected: &str| {
        let (message, why) = read(delivered(properties, tag, b"body"), &topic(), NOW).unwrap_err();
        assert!(why.contains(expected), "{why}");
        assert_eq!(message.payload.data().as_ref(), b"body");
    };
    let ours = |name: &str, value: AMQPValue| {
        let mut table = properties(&full()).headers().clone().unwrap();
        table.insert(name.into(), value);
        properties(&full()).with_headers(table)
    };
    check(properties(&full()), "not a tag", "its tag: contains ' '");
    check(
        properties(&full()).with_message_id("a b".into()),
        "paid",
        "its id: contains ' '",
    );
    check(
        ours(ENVELOPE, AMQPValue::LongLongInt(2)),
        "paid",
        "version 2",
    );
    check(
        ours(HEADERS, AMQPValue::LongString("{broken".into())),
        "paid",
        "its headers: ",
    );
    let mut many = FieldTable::default();
    for n in 0..65 {
        many.insert(format!("h{n}").into(), AMQPValue::LongInt(n));
    }
    check(
        BasicProperties::default().with_headers(many),
        "paid",
        "65 headers",
    );
}

#[test]
fn what_the_broker_gave_up_says_why_and_keeps_its_tag() {
    let mut death = FieldTable::default();
    death.insert(
        "reason".into(),
        AMQPValue::LongString("delivery_limit".into()),
    );
    let tags = vec![AMQPValue::LongString("paid.v2".into())];
    death.insert("routing-keys".into(), AMQPValue::FieldArray(tags.into()));
    let message = full();
    let mut table = properties(&message).headers().clone().unwrap();
    table.insert(
        DEATHS.into(),
        AMQPValue::FieldArray(vec![AMQPValue::FieldTable(death)].into()),
    );
    let properties = properties(&message).with_headers(table);
    let delivery = delivered(properties, "dead.g:orders", message.payload.data());
    let (read, reason) = read_dead(delivery, &topic(), NOW);
    assert_eq!(read.as_ref(), &message);
    assert!(reason.contains("delivered too often"), "{reason}");
}
