//! Payments, and the faults that they must not have.

use std::sync::Arc;

use amends::outbox::{self, State};
use amends::testing::{Handled, messages};
use amends::{Conn, Database, NewMessage, StepResult, args};
use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::json;
use shop::domain::{Cents, ChargeState, OrderStatus, PayId, PayStatus, PaymentState};
use shop::invariants::payments::compare;
use shop::provider::{CallbackStatus, Key, NewCharge, ProviderClient};
use shop::services::coupon::Coupons;
use shop::services::goods::Goods;
use shop::services::order::{Orders, table as orders};
use shop::services::pay::{self, CALLBACK_PATH, callbacks, table};
use shop::services::paylog::PayLog;
use shop::services::user::Users;
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::databases::on_every_database;
use crate::shop::id;
use crate::till::{Till, cx, handed};

on_every_database!(
    a_callback_counts_once_however_often_and_in_whatever_order_it_comes,
    what_the_provider_did_not_sign_changes_nothing,
    another_amount_is_no_payment,
    callbacks_at_once_settle_once,
    a_result_takes_effect_once_everywhere,
    a_payment_for_a_cancelled_order_is_ordered_back_and_revives_nothing,
    points_go_with_the_money,
    an_order_that_is_not_paid_in_time_gives_everything_back,
    a_payment_after_closing_is_paid_back,
    an_order_that_is_closed_cannot_be_paid,
    nothing_is_closed_while_the_provider_is_silent,
);

async fn score(conn: &mut Conn) -> StepResult<i64> {
    let row = conn.fetch_one("SELECT user_score FROM trade_user", args![]);
    Ok(row.await?.at(0)?)
}

async fn log_rows(conn: &mut Conn) -> StepResult<i64> {
    let row = conn.fetch_one("SELECT COUNT(*) FROM trade_pay_log", args![]);
    Ok(row.await?.at(0)?)
}

async fn paid_orders(conn: &mut Conn) -> StepResult<i64> {
    let sql = "SELECT COUNT(*) FROM trade_order WHERE pay_status = 2";
    Ok(conn.fetch_one(sql, args![]).await?.at(0)?)
}

async fn a_callback_counts_once_however_often_and_in_whatever_order_it_comes(database: Database) {
    let till = Till::new(database).await;
    let paid = till.paid();
    assert_eq!(till.tell(&paid).await, 200);
    assert_eq!(till.tell(&paid).await, 200);
    assert_eq!(till.tell(&till.paid()).await, 200);
    // The customer had begun to pay: that comes late and turns nothing back.
    let paying = till.body(CallbackStatus::Paying, till.amount());
    assert_eq!(till.tell(&paying).await, 200);
    assert_eq!(till.state().await, PaymentState::Paid);
    assert_eq!(till.verdicts().await, ["paid", "paid before", "paying"]);
    let told = till.delivered().await;
    assert_eq!(told, [(pay::SUCCESS.to_owned(), till.pay.to_string())]);
    assert!(till.published(pay::TOPIC).await.is_empty());
}

async fn what_the_provider_did_not_sign_changes_nothing(database: Database) {
    let till = Till::new(database).await;
    let body = serde_json::to_string(&till.paid()).unwrap();
    let good = till.payments.key.sign(body.as_bytes());
    let other = Key::new("somebody else's secret")
        .unwrap()
        .sign(body.as_bytes());
    for (signature, expected) in [
        (None, 401),
        (Some(""), 401),
        (Some("hmac-sha256="), 401),
        (Some(other.as_str()), 401),
        (Some(&good[..good.len() - 2]), 401),
    ] {
        assert_eq!(till.send(&body, signature).await, expected, "{signature:?}");
    }
    let changed = body.replace("88000", "88001");
    assert_eq!(till.send(&changed, Some(&good)).await, 401);
    assert_eq!(till.state().await, PaymentState::Unpaid);
    assert!(till.verdicts().await.is_empty());
    // Signed, and no callback.
    let nonsense = "{}";
    let signature = till.payments.key.sign(nonsense.as_bytes());
    assert_eq!(till.send(nonsense, Some(&signature)).await, 400);
    let long = "x".repeat(table::MAX_CALLBACK_BYTES + 1);
    assert_eq!(till.send(&long, Some(&good)).await, 413);
    let mut unknown = till.paid();
    unknown.pay_id = PayId::unique();
    assert_eq!(till.tell(&unknown).await, 404);
}

async fn another_amount_is_no_payment(database: Database) {
    let till = Till::new(database).await;
    for amount in [1, 87_999, 88_001, -88_000] {
        let body = till.body(CallbackStatus::Paid, Cents::new(amount));
        assert_eq!(till.tell(&body).await, 422, "{amount}");
    }
    assert_eq!(till.state().await, PaymentState::Unpaid);
    assert_eq!(till.verdicts().await, ["amount invalid"; 4]);
    assert!(till.delivered().await.is_empty());
}

async fn callbacks_at_once_settle_once(database: Database) {
    const CALLBACKS: usize = 16;
    let till = Arc::new(Till::new(database).await);
    let mut telling = JoinSet::new();
    for _ in 0..CALLBACKS {
        let till = Arc::clone(&till);
        telling.spawn(async move { till.tell(&till.paid()).await });
    }
    assert_eq!(telling.join_all().await, [200; CALLBACKS]);
    assert_eq!(till.delivered().await.len(), 1);
    let verdicts = till.verdicts().await;
    let first = verdicts.iter().filter(|verdict| *verdict == "paid").count();
    assert_eq!((first, verdicts.len()), (1, CALLBACKS));
}

async fn a_result_takes_effect_once_everywhere(database: Database) {
    let till = Till::new(database).await;
    let database = &till.shop.database;
    till.customer_pays().await;
    assert_eq!(till.tell(&till.paid()).await, 200);
    let result = || till.result(pay::SUCCESS);
    messages(database, Orders::default())
        .deliver(result())
        .await
        .unwrap();
    assert_eq!(till.shop.with(paid_orders).await.unwrap(), 1);
    // The same payment told with another id, as a repair does, is known by its key.
    for again in [Handled::First, Handled::Before, Handled::Before] {
        let user = handed(database, Users::default(), result()).await;
        assert_eq!(user, again);
        let log = handed(database, PayLog, result()).await;
        assert_eq!(log, again);
    }
    assert_eq!(till.shop.with(score).await.unwrap(), 880);
    assert_eq!(till.shop.with(log_rows).await.unwrap(), 1);
    till.assert_at_rest().await;
}

async fn a_payment_for_a_cancelled_order_is_ordered_back_and_revives_nothing(database: Database) {
    let till = Till::new(database).await;
    let cancel = async |conn: &mut Conn| Ok(orders::unconfirm(conn, &id("a")).await?);
    assert!(till.shop.with(cancel).await.unwrap());
    assert_eq!(till.tell(&till.paid()).await, 200);
    till.customer_pays().await;
    till.told(pay::SUCCESS).await;
    assert_eq!(
        till.order().await,
        (OrderStatus::Cancelled, PayStatus::Unpaid)
    );
    let due = till.published(pay::REFUND_TOPIC).await;
    assert_eq!(due, [(pay::REFUND_DUE.to_owned(), till.pay.to_string())]);
    assert_eq!(till.shop.with(score).await.unwrap(), 880);

    for _ in 0..2 {
        let due = pay::RefundDue {
            pay_id: till.pay.clone(),
        };
        let message = amends::Message::new(pay::REFUND_TOPIC, due);
        till.payments.refund(&cx(), message).await.unwrap();
    }
    assert_eq!(till.state().await, PaymentState::Refunded);
    let charge = till.payments.provider.find(&till.pay).await.unwrap();
    assert_eq!(charge.state, ChargeState::Refunded);
    till.told(pay::REFUNDED).await;
    assert_eq!(till.order().await.0, OrderStatus::Refunded);
    assert_eq!(till.shop.with(score).await.unwrap(), 0);
    assert_eq!(compare(&till.shop.books().await), []);
}

async fn points_go_with_the_money(database: Database) {
    let till = Till::new(database).await;
    let users = || messages(&till.shop.database, Users::default());
    // Paid back without having been paid: nothing was earned, nothing is taken.
    let mut other = till.event();
    other.pay_id = PayId::unique();
    let refunded = NewMessage::new(pay::TOPIC, &other).tag(pay::REFUNDED);
    users()
        .deliver(refunded.key(other.pay_id.as_str()))
        .await
        .unwrap();
    assert_eq!(till.shop.with(score).await.unwrap(), 0);
    for again in [Handled::First, Handled::Before] {
        let told = users().deliver(till.result(pay::SUCCESS)).await;
        assert_eq!(told.unwrap(), again);
        assert_eq!(till.shop.with(score).await.unwrap(), 880);
    }
    // A unit has to be whole.
    let mut cents = till.event();
    (cents.pay_id, cents.amount) = (PayId::unique(), Cents::new(199));
    let paid = NewMessage::new(pay::TOPIC, &cents).tag(pay::SUCCESS);
    users()
        .deliver(paid.key(cents.pay_id.as_str()))
        .await
        .unwrap();
    assert_eq!(till.shop.with(score).await.unwrap(), 881);
}

async fn an_order_that_is_not_paid_in_time_gives_everything_back(database: Database) {
    let till = Till::new(database).await;
    for _ in 0..2 {
        till.time_is_over().await.unwrap();
    }
    let charge = till.payments.provider.find(&till.pay).await.unwrap();
    assert_eq!(charge.state, ChargeState::Closed);
    assert_eq!(till.state().await, PaymentState::Closed);
    assert_eq!(till.published(pay::TOPIC).await.len(), 1);
    till.told(pay::CLOSED).await;
    assert_eq!(
        till.order().await,
        (OrderStatus::Cancelled, PayStatus::Unpaid)
    );
    let closed = outbox::list(&till.shop.database, State::Sending, 100)
        .await
        .unwrap();
    let closed = closed
        .iter()
        .filter(|kept| kept.topic == "orderClosedTopic")
        .count();
    assert_eq!(closed, 1);
    let order = json!({
        "order_id": "a",
        "user_id": till.order.user_id,
        "goods_id": till.order.goods_id,
        "goods_number": till.order.goods_number,
        "coupon_id": till.order.coupon_id,
        "money_paid": till.order.money_paid,
    });
    let message = || {
        NewMessage::new("orderClosedTopic", &order)
            .tag("order_not_paid")
            .key("a")
    };
    let database = &till.shop.database;
    for again in [Handled::First, Handled::Before] {
        let goods = handed(database, Goods::default(), message()).await;
        assert_eq!(goods, again);
        let coupon = handed(database, Coupons::default(), message()).await;
        assert_eq!(coupon, again);
        let user = handed(database, Users::default(), message()).await;
        assert_eq!(user, again);
    }
    till.assert_gave_all_back().await;
    // Were its saga to turn back as well, there would be nothing left to give.
    till.shop.undo(&till.order).await;
    till.assert_gave_all_back().await;
    till.assert_at_rest().await;
}

async fn a_payment_after_closing_is_paid_back(database: Database) {
    let till = Till::new(database).await;
    till.time_is_over().await.unwrap();
    till.customer_pays().await;
    assert_eq!(till.tell(&till.paid()).await, 200);
    assert_eq!(till.tell(&till.paid()).await, 200);
    assert_eq!(till.state().await, PaymentState::Refunding);
    assert_eq!(till.verdicts().await, ["paid before", "too late"]);
    let due = till.published(pay::REFUND_TOPIC).await;
    assert_eq!(due, [(pay::REFUND_DUE.to_owned(), till.pay.to_string())]);
    let told = till.published(pay::TOPIC).await;
    assert_eq!(told, [(pay::CLOSED.to_owned(), till.pay.to_string())]);
}

async fn an_order_that_is_closed_cannot_be_paid(database: Database) {
    let till = Till::new(database).await;
    till.time_is_over().await.unwrap();
    let closed = till.payments.create_payment(&till.order.order_id).await;
    assert!(closed.unwrap_err().to_string().starts_with("PAY_CLOSED"));
    // One that nobody began to pay is closed by a payment that never was.
    let (order_id, user_id) = (id("b"), till.order.user_id);
    let unpaid = pay::OrderUnpaid { order_id, user_id };
    let message = amends::Message::new(pay::TIMEOUT_TOPIC, unpaid);
    till.payments.unpaid(&cx(), message).await.unwrap();
    let closed = till.payments.create_payment(&id("b")).await;
    assert!(closed.unwrap_err().to_string().starts_with("PAY_CLOSED"));
    // And a charge that comes to the provider after its closing is never open.
    let late = NewCharge {
        pay_id: PayId::unique(),
        amount: Cents::new(1),
        notify_url: String::new(),
    };
    till.payments.provider.close(&late.pay_id).await.unwrap();
    let charge = till.payments.provider.create(&late).await.unwrap();
    assert_eq!(charge.state, ChargeState::Closed);
}

async fn nothing_is_closed_while_the_provider_is_silent(database: Database) {
    let mut till = Till::new(database).await;
    till.payments.provider = ProviderClient::new("http://127.0.0.1:1");
    assert!(till.time_is_over().await.is_err());
    assert_eq!(till.state().await, PaymentState::Unpaid);
    assert_eq!(
        till.order().await,
        (OrderStatus::Confirmed, PayStatus::Unpaid)
    );
}

/// The bytes of an answer are not looked at above; here they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_callback_says_why() {
    crate::databases::on_sqlite(async |database| {
        let till = Till::new(database).await;
        let request = Request::post(CALLBACK_PATH).body(Body::from("{}")).unwrap();
        let answer = callbacks(till.payments.clone())
            .oneshot(request)
            .await
            .unwrap();
        let body = to_bytes(answer.into_body(), 1 << 16).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["code"], "PAY_SIGNATURE_INVALID");
    })
    .await;
}
