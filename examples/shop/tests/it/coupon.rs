//! Coupons, and the faults that they must not have.

use amends::Database;
use shop::clock;
use shop::domain::{Cents, Coupon, CouponId, PlaceOrder};
use shop::samples::{self, COUPON, USER, fresh_coupon};
use shop::services::coupon::Coupons;
use tokio::task::JoinSet;

use crate::databases::on_every_database;
use crate::shop::{NOBODY, Shop, answer, full_order, use_coupon};

on_every_database!(
    refusals_leave_the_coupon_alone,
    two_orders_at_once_use_it_once,
    only_its_own_order_gives_it_back,
    without_a_coupon_nothing_happens,
    a_late_use_after_its_undo_takes_nothing,
);

async fn refusals_leave_the_coupon_alone(database: Database) {
    let shop = Shop::new(database).await;
    let other = |id: i64, change: fn(&mut Coupon)| {
        let mut coupon = fresh_coupon(CouponId::new(id), USER);
        change(&mut coupon);
        coupon
    };
    let others = [
        other(1, |coupon| coupon.user_id = NOBODY),
        other(2, |coupon| coupon.valid_until = clock::now() - 1),
        other(3, |coupon| coupon.valid_from = clock::now() + 1_000_000),
        other(4, |coupon| coupon.coupon_price = Cents::units(30)),
    ];
    for coupon in &others {
        samples::add_coupon(&shop.databases, coupon).await.unwrap();
    }
    let check = async |coupon: i64, expected: &str| {
        let gid = format!("order-{coupon}");
        let order = PlaceOrder {
            coupon_id: Some(CouponId::new(coupon)),
            ..full_order(&gid)
        };
        let refused = shop
            .coupons
            .run(Coupons::USE_COUPON, &gid, &use_coupon(&order))
            .await;
        assert_eq!(answer(refused), expected, "coupon {coupon}");
    };
    check(1, "COUPON_INVALID").await;
    check(2, "COUPON_INVALID").await;
    check(3, "COUPON_INVALID").await;
    check(4, "COUPON_INVALID").await;
    check(5, "COUPON_NO_EXIST").await;
    check(COUPON.get(), "done").await;
    let books = shop.books().await;
    let used = books
        .coupons
        .values()
        .filter(|coupon| coupon.order.is_some());
    assert_eq!(used.count(), 1);
}

async fn two_orders_at_once_use_it_once(database: Database) {
    const ORDERS: usize = 8;
    let shop = Shop::new(database).await;
    let mut using = JoinSet::new();
    for order in 0..ORDERS {
        let database = shop.database.clone();
        using.spawn(async move {
            let coupons = amends::testing::direct(&database, Coupons::default());
            let id = format!("order-{order}");
            answer(
                coupons
                    .run(Coupons::USE_COUPON, &id, &use_coupon(&full_order(&id)))
                    .await,
            )
        });
    }
    let answers = using.join_all().await;
    let done = answers.iter().filter(|answer| *answer == "done").count();
    assert_eq!(done, 1, "{answers:?}");
    assert!(
        answers
            .iter()
            .all(|answer| ["done", "COUPON_INVALID"].contains(&answer.as_str()))
    );
}

async fn only_its_own_order_gives_it_back(database: Database) {
    let shop = Shop::new(database).await;
    let holder = async || shop.books().await.coupons[&COUPON.get()].order.clone();
    let (mine, other) = (
        use_coupon(&full_order("mine")),
        use_coupon(&full_order("other")),
    );
    shop.coupons
        .run(Coupons::USE_COUPON, "mine", &mine)
        .await
        .unwrap();
    let refused = answer(shop.coupons.run(Coupons::USE_COUPON, "other", &other).await);
    assert_eq!(refused, "COUPON_INVALID");
    shop.coupons
        .undo(Coupons::USE_COUPON, "other", &other)
        .await
        .unwrap();
    assert_eq!(holder().await.as_deref(), Some("mine"));
    // Not even where the consumer log would let it.
    let paid = shop::services::coupon::CouponUsed { paid: other.value };
    let given = shop.with(async |conn| Coupons::default().give_back(conn, &other, &paid).await);
    given.await.unwrap();
    assert_eq!(holder().await.as_deref(), Some("mine"));
    shop.coupons
        .undo(Coupons::USE_COUPON, "mine", &mine)
        .await
        .unwrap();
    assert_eq!(holder().await, None);
}

async fn without_a_coupon_nothing_happens(database: Database) {
    let shop = Shop::new(database).await;
    let request = use_coupon(&crate::shop::order("a"));
    let used = shop
        .coupons
        .run(Coupons::USE_COUPON, "a", &request)
        .await
        .unwrap();
    assert_eq!(used.paid, Cents::ZERO);
    shop.coupons
        .undo(Coupons::USE_COUPON, "a", &request)
        .await
        .unwrap();
    shop.assert_balanced().await;
}

async fn a_late_use_after_its_undo_takes_nothing(database: Database) {
    let shop = Shop::new(database).await;
    let request = use_coupon(&full_order("a"));
    shop.coupons
        .undo(Coupons::USE_COUPON, "a", &request)
        .await
        .unwrap();
    let late = answer(shop.coupons.run(Coupons::USE_COUPON, "a", &request).await);
    assert_eq!(late, "UNDONE_BEFORE_DO");
    shop.assert_balanced().await;
}
