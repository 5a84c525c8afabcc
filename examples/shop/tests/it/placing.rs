//! Whole orders over all services, without a coordinator.

use amends::Database;
use shop::domain::{Cents, OrderStatus, PlaceOrder};
use shop::samples::{BALANCE, COUPON, NUMBER};
use shop::services::goods::Goods;
use shop::services::order::{self, Orders};
use shop::services::user::Users;

use crate::databases::on_every_database;
use crate::shop::{NOBODY, NOTHING, Shop, answer, confirm, deduct, full_order, order, reserve};

on_every_database!(
    an_order_takes_what_it_needs_and_no_more,
    a_refused_order_takes_nothing_whoever_refuses_it,
    an_order_that_is_undone_as_a_whole_holds_nothing,
    calls_that_come_twice_and_late_change_nothing,
);

async fn an_order_takes_what_it_needs_and_no_more(database: Database) {
    let shop = Shop::new(database).await;
    let receipt = shop.place(&full_order("a")).await.unwrap();
    assert_eq!(receipt.pay_amount, Cents::units(880));
    let books = shop.books().await;
    assert_eq!((books.left(), books.sold()), (NUMBER - 1, 1));
    assert_eq!(
        (books.balance(), books.paid()),
        (Cents::units(800), Cents::units(100))
    );
    assert_eq!(books.coupons[&COUPON.get()].order.as_deref(), Some("a"));
    shop.assert_balanced().await;
}

async fn a_refused_order_takes_nothing_whoever_refuses_it(database: Database) {
    let shop = Shop::new(database).await;
    let mut number = 0;
    let mut check = async |change: fn(&mut PlaceOrder), expected: &str| {
        number += 1;
        let mut order = full_order(&format!("order-{number}"));
        change(&mut order);
        assert_eq!(shop.place(&order).await.unwrap_err(), expected);
        let books = shop.books().await;
        assert_eq!(
            (books.left(), books.balance()),
            (NUMBER, BALANCE),
            "{expected}"
        );
        shop.assert_balanced().await;
    };
    let thousand = |order: &mut PlaceOrder| {
        order.goods_number = NUMBER + 1;
        order.order_amount = Cents::units(1_000_000);
    };
    check(thousand, "GOODS_NUM_NOT_ENOUGH").await;
    check(|order| order.goods_id = NOTHING, "GOODS_NO_EXIST").await;
    check(|order| order.user_id = NOBODY, "COUPON_INVALID").await;
    check(
        |order| order.money_paid = Cents::new(90_001),
        "MONEY_PAID_INVALID",
    )
    .await;
    check(
        |order| order.money_paid = Cents::new(-1),
        "MONEY_PAID_LESS_ZERO",
    )
    .await;
    let nobody = |order: &mut PlaceOrder| {
        order.user_id = NOBODY;
        (order.coupon_id, order.coupon_paid) = (None, Cents::ZERO);
    };
    check(nobody, "USER_NO_EXIST").await;
}

/// What a saga does when the last answer is lost: everything is undone as if
/// it had run, and it had.
async fn an_order_that_is_undone_as_a_whole_holds_nothing(database: Database) {
    let shop = Shop::new(database).await;
    let order = full_order("a");
    shop.place(&order).await.unwrap();
    undo_all(&shop, &order).await;
    undo_all(&shop, &order).await;
    let books = shop.books().await;
    assert_eq!(books.orders["a"].status, OrderStatus::Cancelled);
    assert_eq!((books.left(), books.balance()), (NUMBER, BALANCE));
    shop.assert_balanced().await;
    // And the coupon can be used by the next.
    shop.place(&full_order("b")).await.unwrap();
    shop.assert_balanced().await;
}

async fn calls_that_come_twice_and_late_change_nothing(database: Database) {
    let shop = Shop::new(database).await;
    let done = full_order("done");
    let receipt = shop.place(&done).await.unwrap();
    assert_eq!(shop.place(&done).await.unwrap(), receipt);
    let given_up = order("given-up");
    shop.orders
        .run(Orders::CREATE, "given-up", &given_up)
        .await
        .unwrap();
    order::cancel(&shop.database, &given_up.order_id)
        .await
        .unwrap();
    undo_all(&shop, &given_up).await;
    let late = [
        answer(
            shop.orders
                .run(Orders::CONFIRM, "given-up", &confirm(&given_up))
                .await,
        ),
        answer(
            shop.users
                .run(Users::DEDUCT, "given-up", &deduct(&given_up))
                .await,
        ),
        answer(
            shop.goods
                .run(Goods::RESERVE, "given-up", &reserve(&given_up))
                .await,
        ),
    ];
    assert_eq!(late, ["UNDONE_BEFORE_DO"; 3]);
    let books = shop.books().await;
    assert_eq!((books.sold(), books.left()), (1, NUMBER - 1));
    shop.assert_balanced().await;
}

async fn undo_all(shop: &Shop, order: &PlaceOrder) {
    use shop::services::coupon::Coupons;
    let gid = order.order_id.as_str();
    let coupon = crate::shop::use_coupon(order);
    shop.orders
        .undo(Orders::CONFIRM, gid, &confirm(order))
        .await
        .unwrap();
    shop.users
        .undo(Users::DEDUCT, gid, &deduct(order))
        .await
        .unwrap();
    shop.coupons
        .undo(Coupons::USE_COUPON, gid, &coupon)
        .await
        .unwrap();
    shop.goods
        .undo(Goods::RESERVE, gid, &reserve(order))
        .await
        .unwrap();
    shop.orders.undo(Orders::CREATE, gid, order).await.unwrap();
}
