//! Orders and their statuses, which only ever go forward.

use amends::{Database, StepResult};
use shop::domain::{Cents, OrderStatus, PlaceOrder, Receipt};
use shop::services::order::table::{self, OrderRow};
use shop::services::order::{self, Confirm, Created, Orders};

use crate::databases::on_every_database;
use crate::shop::{Shop, answer, confirm, full_order, id};

on_every_database!(
    an_order_is_created_unconfirmed_and_then_confirmed,
    an_order_that_does_not_add_up_is_not_written,
    a_cancelled_order_is_not_confirmed_by_a_late_call,
    a_confirmed_order_cannot_be_cancelled_as_if_it_were_not,
    giving_up_changes_no_other_status,
    a_paid_order_is_not_unconfirmed,
    a_confirmation_of_something_else_is_refused,
    an_id_is_used_once,
);

async fn row(shop: &Shop, order: &str) -> OrderRow {
    let find = shop.with(async |conn| Ok(table::find(conn, &id(order)).await?));
    find.await.unwrap().unwrap()
}

async fn set(shop: &Shop, order: &str, assignment: &str) {
    shop.sql(&format!(
        "UPDATE trade_order SET {assignment} WHERE order_id = '{order}'"
    ))
    .await;
}

async fn created(database: Database) -> (Shop, PlaceOrder) {
    let shop = Shop::new(database).await;
    let order = full_order("a");
    shop.orders.run(Orders::CREATE, "a", &order).await.unwrap();
    (shop, order)
}

async fn an_order_is_created_unconfirmed_and_then_confirmed(database: Database) {
    let (shop, order) = created(database).await;
    let written = row(&shop, "a").await;
    assert_eq!(written.order_status, OrderStatus::Unconfirmed);
    assert_eq!(written.pay_amount, Cents::units(880));
    assert_eq!(
        (written.coupon_id, written.confirm_time),
        (order.coupon_id, None)
    );
    let receipt: Receipt = shop
        .orders
        .run(Orders::CONFIRM, "a", &confirm(&order))
        .await
        .unwrap();
    assert_eq!(receipt.pay_amount, Cents::units(880));
    let written = row(&shop, "a").await;
    assert_eq!(written.order_status, OrderStatus::Confirmed);
    assert_eq!(written.confirm_time, Some(receipt.confirm_time));
}

async fn an_order_that_does_not_add_up_is_not_written(database: Database) {
    let shop = Shop::new(database).await;
    let wrong = PlaceOrder {
        shipping_fee: Cents::units(10),
        ..full_order("a")
    };
    let refused = answer(shop.orders.run(Orders::CREATE, "a", &wrong).await);
    assert_eq!(refused, "ORDER_SHIPPINGFEE_INVALID");
    assert!(shop.books().await.orders.is_empty());
}

async fn a_cancelled_order_is_not_confirmed_by_a_late_call(database: Database) {
    let (shop, order) = created(database).await;
    let status = order::cancel(&shop.database, &order.order_id)
        .await
        .unwrap();
    assert_eq!(status, Some(OrderStatus::Cancelled));
    let late = answer(
        shop.orders
            .run(Orders::CONFIRM, "a", &confirm(&order))
            .await,
    );
    assert_eq!(late, "ORDER_CANCELLED");
    shop.orders.undo(Orders::CREATE, "a", &order).await.unwrap();
    assert_eq!(row(&shop, "a").await.order_status, OrderStatus::Cancelled);
}

async fn a_confirmed_order_cannot_be_cancelled_as_if_it_were_not(database: Database) {
    let (shop, order) = created(database).await;
    shop.orders
        .run(Orders::CONFIRM, "a", &confirm(&order))
        .await
        .unwrap();
    let status = order::cancel(&shop.database, &order.order_id)
        .await
        .unwrap();
    assert_eq!(status, Some(OrderStatus::Confirmed));
    assert_eq!(
        order::cancel(&shop.database, &id("other")).await.unwrap(),
        None
    );
}

async fn giving_up_changes_no_other_status(database: Database) {
    let (shop, order) = created(database).await;
    let made = Created {
        order_id: order.order_id.clone(),
        pay_amount: Cents::units(880),
    };
    let abandon = async || -> StepResult<()> {
        let undo =
            async |conn: &mut amends::Conn| Orders::default().abandon(conn, &order, &made).await;
        shop.with(undo).await
    };
    let check = async |before: OrderStatus, good: bool, after: OrderStatus| {
        set(&shop, "a", &format!("order_status = {}", before as i64)).await;
        assert_eq!(abandon().await.is_ok(), good, "{before:?}");
        assert_eq!(row(&shop, "a").await.order_status, after);
    };
    check(OrderStatus::Unconfirmed, true, OrderStatus::Cancelled).await;
    check(OrderStatus::Cancelled, true, OrderStatus::Cancelled).await;
    check(OrderStatus::Confirmed, false, OrderStatus::Confirmed).await;
    check(OrderStatus::Invalid, false, OrderStatus::Invalid).await;
    check(OrderStatus::Refunded, false, OrderStatus::Refunded).await;
}

async fn a_paid_order_is_not_unconfirmed(database: Database) {
    let (shop, order) = created(database).await;
    shop.orders
        .run(Orders::CONFIRM, "a", &confirm(&order))
        .await
        .unwrap();
    set(&shop, "a", "pay_status = 2").await;
    let error = shop
        .orders
        .undo(Orders::CONFIRM, "a", &confirm(&order))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "ORDER_PAY_STATUS_IS_PAY");
    assert_eq!(row(&shop, "a").await.order_status, OrderStatus::Confirmed);
    set(&shop, "a", "pay_status = 0").await;
    shop.orders
        .undo(Orders::CONFIRM, "a", &confirm(&order))
        .await
        .unwrap();
    assert_eq!(row(&shop, "a").await.order_status, OrderStatus::Cancelled);
}

async fn a_confirmation_of_something_else_is_refused(database: Database) {
    let (shop, order) = created(database).await;
    let mut number = 0;
    let mut check = async |change: fn(&mut Confirm), expected: &str| {
        number += 1;
        let mut request = confirm(&order);
        change(&mut request);
        let gid = format!("confirm-{number}");
        assert_eq!(
            answer(shop.orders.run(Orders::CONFIRM, &gid, &request).await),
            expected
        );
    };
    check(|request| request.number = 2, "ORDERAMOUNT_INVALID").await;
    check(
        |request| request.price = Cents::units(1),
        "ORDERAMOUNT_INVALID",
    )
    .await;
    check(
        |request| request.coupon_paid = Cents::ZERO,
        "ORDERAMOUNT_INVALID",
    )
    .await;
    check(
        |request| request.money_paid = Cents::ZERO,
        "ORDERAMOUNT_INVALID",
    )
    .await;
    check(|request| request.order_id = id("other"), "ORDER_NO_EXIST").await;
    check(|_| {}, "done").await;
    check(|_| {}, "ORDER_STATUS_INVALID").await;
}

async fn an_id_is_used_once(database: Database) {
    let (shop, order) = created(database).await;
    let other = answer(shop.orders.run(Orders::CREATE, "other", &order).await);
    assert_eq!(other, "ORDER_ID_TAKEN");
    let again = answer(shop.orders.run(Orders::CREATE, "a", &order).await);
    assert_eq!(again, "done");
}
