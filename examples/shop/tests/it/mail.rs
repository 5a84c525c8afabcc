//! Mails: ordered with the confirmation or not at all, and written once.

use amends::outbox::{self, State};
use amends::{Conn, Database, NewMessage, StepResult, args};
use shop::domain::PlaceOrder;
use shop::role::resend;
use shop::samples;
use shop::services::mail::{self, Mails, OrderMail, table};
use shop::services::order::Orders;

use crate::databases::on_every_database;
use crate::shop::{Shop, confirm, full_order};

on_every_database!(
    a_confirmation_orders_one_mail,
    a_refused_confirmation_orders_none,
    a_message_becomes_one_mail,
    what_failed_is_sent_again_and_nothing_else,
);

async fn waiting(shop: &Shop) -> Vec<(String, String, String)> {
    let kept = outbox::list(&shop.database, State::Sending, 100).await;
    let kept = kept.unwrap().into_iter();
    let kept = kept.filter(|message| message.topic == mail::TOPIC);
    kept.map(|message| (message.topic, message.tag, message.key))
        .collect()
}

async fn created(database: Database) -> (Shop, PlaceOrder) {
    let shop = Shop::new(database).await;
    let order = full_order("a");
    shop.orders.run(Orders::CREATE, "a", &order).await.unwrap();
    assert!(waiting(&shop).await.is_empty());
    (shop, order)
}

async fn a_confirmation_orders_one_mail(database: Database) {
    let (shop, order) = created(database).await;
    for _ in 0..2 {
        let req = confirm(&order);
        shop.orders.run(Orders::CONFIRM, "a", &req).await.unwrap();
    }
    let expected = (mail::TOPIC, mail::CONFIRMED, "a");
    let found = waiting(&shop).await;
    let found: Vec<_> = found
        .iter()
        .map(|(topic, tag, key)| (topic.as_str(), tag.as_str(), key.as_str()))
        .collect();
    assert_eq!(found, [expected]);
}

async fn a_refused_confirmation_orders_none(database: Database) {
    let (shop, order) = created(database).await;
    let mut other = confirm(&order);
    other.number += 1;
    let refused = shop.orders.run(Orders::CONFIRM, "a", &other).await;
    assert!(refused.is_err());
    assert!(waiting(&shop).await.is_empty());
}

async fn mails(conn: &mut Conn) -> StepResult<i64> {
    Ok(table::count(conn).await?.values().sum())
}

async fn a_message_becomes_one_mail(database: Database) {
    table::create(&database).await.unwrap();
    let body = OrderMail {
        order_id: full_order("a").order_id,
        user_id: samples::USER,
        consignee: "Ada".to_owned(),
    };
    let message = NewMessage::new(mail::TOPIC, &body).tag(mail::CONFIRMED);
    amends::testing::messages(&database, Mails)
        .takes_effect_once(message, mails)
        .await
        .unwrap();
}

async fn what_failed_is_sent_again_and_nothing_else(database: Database) {
    let (shop, _) = created(database).await;
    let publish = async |conn: &mut Conn| {
        for id in ["failed-1", "failed-2", "sent"] {
            let message = NewMessage::new(mail::TOPIC, &id).with_id(id);
            conn.publish(message).await.unwrap();
            let status = if id == "sent" { 1 } else { 2 };
            let sql = "UPDATE message_outbox SET status = ? WHERE id = ?";
            conn.execute(sql, args![status, id]).await?;
        }
        Ok(())
    };
    shop.with(publish).await.unwrap();
    assert_eq!(resend(&shop.database, 1).await.unwrap(), 1);
    assert_eq!(resend(&shop.database, 100).await.unwrap(), 1);
    assert_eq!(resend(&shop.database, 100).await.unwrap(), 0);
    assert_eq!(waiting(&shop).await.len(), 2);
}
