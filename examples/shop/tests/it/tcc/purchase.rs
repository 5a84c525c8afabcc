//! Freezing, settling and letting go in the shop's services, on each database.

use amends::Database;
use shop::domain::{PRICE_IN_MONEY, PRICE_IN_POINTS, PurchaseId, UserId};
use shop::invariants;
use shop::samples;
use shop::services::coupon::{Coupons, Offer};
use shop::services::user::table::UserRow;
use shop::services::user::{Freeze, Users};

use crate::databases::on_every_database;
use crate::shop::{NOBODY, Shop, answer};

on_every_database!(
    a_purchase_takes_money_and_points_and_gives_a_coupon,
    a_purchase_that_is_let_go_leaves_everything_as_it_was,
    what_is_not_there_cannot_be_frozen,
    what_is_held_cannot_be_held_twice_and_is_seen_by_the_books,
);

const BUYER: UserId = UserId::new(700_000_000_000_000_001);
const POINTS: i64 = 800;

async fn shop(database: Database) -> Shop {
    let shop = Shop::new(database).await;
    let row = UserRow {
        user_id: BUYER,
        name: "Collector".to_owned(),
        mobile: "555 0102".to_owned(),
        money: samples::BALANCE,
        score: POINTS,
    };
    samples::add_user(&shop.databases, &row).await.unwrap();
    shop.assert_balanced().await;
    shop
}

fn purchase(id: &str) -> PurchaseId {
    id.parse().unwrap()
}

fn freeze(id: &str, amount: i64) -> Freeze {
    Freeze {
        purchase_id: purchase(id),
        user_id: BUYER,
        amount,
    }
}

fn offer(id: &str) -> Offer {
    Offer {
        purchase_id: purchase(id),
        user_id: BUYER,
    }
}

/// Holds everything for a purchase.
async fn hold(shop: &Shop, id: &str) {
    let wanted = offer(id);
    let offered = shop.coupons.try_branch(Coupons::OFFER, id, &wanted);
    let offered = offered.await.unwrap();
    let price = (offered.money, offered.points);
    assert_eq!(price, (PRICE_IN_MONEY, PRICE_IN_POINTS));
    let (money, points) = (freeze(id, price.0.get()), freeze(id, price.1));
    let (users, to_points) = (&shop.users, Users::FREEZE_POINTS);
    users
        .try_branch(Users::FREEZE_MONEY, id, &money)
        .await
        .unwrap();
    users.try_branch(to_points, id, &points).await.unwrap();
}

async fn has(shop: &Shop) -> (i64, i64, usize) {
    let books = shop.books().await;
    let coupons = books.coupons.values();
    (
        books.balances[&BUYER.get()].get(),
        books.scores[&BUYER.get()],
        coupons.filter(|coupon| coupon.user == BUYER.get()).count(),
    )
}

async fn breaches(shop: &Shop) -> String {
    let report = invariants::check(&shop.databases).await.unwrap();
    report.breaches.join("\n")
}

async fn a_purchase_takes_money_and_points_and_gives_a_coupon(database: Database) {
    let shop = shop(database).await;
    hold(&shop, "a").await;
    for _ in 0..2 {
        let money = freeze("a", PRICE_IN_MONEY.get());
        shop.users
            .confirm(Users::FREEZE_MONEY, "a", &money)
            .await
            .unwrap();
        let points = freeze("a", PRICE_IN_POINTS);
        shop.users
            .confirm(Users::FREEZE_POINTS, "a", &points)
            .await
            .unwrap();
        shop.coupons
            .confirm(Coupons::OFFER, "a", &offer("a"))
            .await
            .unwrap();
    }
    let money = samples::BALANCE.minus(PRICE_IN_MONEY).unwrap();
    assert_eq!(has(&shop).await, (money.get(), POINTS - PRICE_IN_POINTS, 1));
    shop.assert_balanced().await;
}

async fn a_purchase_that_is_let_go_leaves_everything_as_it_was(database: Database) {
    let shop = shop(database).await;
    hold(&shop, "a").await;
    for _ in 0..2 {
        let money = freeze("a", PRICE_IN_MONEY.get());
        shop.users
            .cancel(Users::FREEZE_MONEY, "a", &money)
            .await
            .unwrap();
        let points = freeze("a", PRICE_IN_POINTS);
        shop.users
            .cancel(Users::FREEZE_POINTS, "a", &points)
            .await
            .unwrap();
        shop.coupons
            .cancel(Coupons::OFFER, "a", &offer("a"))
            .await
            .unwrap();
    }
    assert_eq!(has(&shop).await, (samples::BALANCE.get(), POINTS, 0));
    shop.assert_balanced().await;
}

async fn what_is_not_there_cannot_be_frozen(database: Database) {
    let shop = shop(database).await;
    let check = async |gid: &str, request: Freeze, expected: &str| {
        let money = shop.users.try_branch(Users::FREEZE_MONEY, gid, &request);
        assert_eq!(answer(money.await), expected);
    };
    let nobody = Freeze {
        user_id: NOBODY,
        ..freeze("a", 1)
    };
    check("a", nobody, "USER_NO_EXIST").await;
    check("b", freeze("b", 0), "MONEY_PAID_LESS_ZERO").await;
    check("c", freeze("c", i64::MIN), "MONEY_PAID_LESS_ZERO").await;
    check(
        "d",
        freeze("d", samples::BALANCE.get() + 1),
        "MONEY_PAID_INVALID",
    )
    .await;
    check("e", freeze("e", i64::MAX), "MONEY_PAID_INVALID").await;
    let points = freeze("f", POINTS + 1);
    let points = shop.users.try_branch(Users::FREEZE_POINTS, "f", &points);
    assert_eq!(answer(points.await), "USER_SCORE_NOT_ENOUGH");
    assert_eq!(has(&shop).await, (samples::BALANCE.get(), POINTS, 0));
    shop.assert_balanced().await;
}

async fn what_is_held_cannot_be_held_twice_and_is_seen_by_the_books(database: Database) {
    let shop = shop(database).await;
    let all = freeze("a", samples::BALANCE.get());
    shop.users
        .try_branch(Users::FREEZE_MONEY, "a", &all)
        .await
        .unwrap();
    let one = freeze("b", 1);
    let more = shop.users.try_branch(Users::FREEZE_MONEY, "b", &one);
    assert_eq!(answer(more.await), "MONEY_PAID_INVALID");
    let found = breaches(&shop).await;
    assert!(found.contains("are still frozen of user"), "{found}");
    shop.users
        .cancel(Users::FREEZE_MONEY, "a", &all)
        .await
        .unwrap();
    shop.assert_balanced().await;
}
