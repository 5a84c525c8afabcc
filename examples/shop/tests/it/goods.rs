//! Stock, and the faults that it must not have.

use amends::Database;
use shop::domain::{Cents, PlaceOrder};
use shop::samples::{GOODS, NUMBER};
use shop::services::goods::Goods;
use tokio::task::JoinSet;

use crate::databases::on_every_database;
use crate::shop::{NOTHING, Shop, answer, order, reserve};

on_every_database!(
    the_last_unit_can_be_sold,
    refusals_leave_nothing,
    a_release_does_not_collide_with_its_reservation,
    buyers_at_once_lose_no_update_and_never_oversell,
    an_undo_of_what_was_never_taken_gives_nothing,
    a_reservation_after_its_undo_takes_nothing,
    log_and_stock_change_together,
);

async fn the_last_unit_can_be_sold(database: Database) {
    let shop = Shop::new(database).await;
    let all = PlaceOrder {
        goods_number: NUMBER,
        ..order("all")
    };
    assert_eq!(
        answer(shop.goods.run(Goods::RESERVE, "all", &reserve(&all)).await),
        "done"
    );
    assert_eq!(shop.stock().await, 0);
    let more = reserve(&order("more"));
    let refused = answer(shop.goods.run(Goods::RESERVE, "more", &more).await);
    assert_eq!(refused, "GOODS_NUM_NOT_ENOUGH");
}

async fn refusals_leave_nothing(database: Database) {
    let shop = Shop::new(database).await;
    let mut number = 0;
    let mut check = async |change: fn(&mut PlaceOrder), expected: &str| {
        number += 1;
        let mut wrong = order(&format!("wrong-{number}"));
        change(&mut wrong);
        let gid = wrong.order_id.as_str().to_owned();
        let refused = shop.goods.run(Goods::RESERVE, &gid, &reserve(&wrong)).await;
        assert_eq!(answer(refused), expected);
        let books = shop.books().await;
        assert_eq!(
            (books.left(), books.stock_log.len()),
            (NUMBER, 1),
            "{expected}"
        );
    };
    check(|order| order.goods_id = NOTHING, "GOODS_NO_EXIST").await;
    check(
        |order| order.goods_price = Cents::units(999),
        "GOODS_PRICE_INVALID",
    )
    .await;
    check(
        |order| order.goods_number = NUMBER + 1,
        "GOODS_NUM_NOT_ENOUGH",
    )
    .await;
    check(|order| order.goods_number = 0, "ORDER_INVALID").await;
    check(|order| order.goods_number = -5, "ORDER_INVALID").await;
}

async fn a_release_does_not_collide_with_its_reservation(database: Database) {
    let shop = Shop::new(database).await;
    let request = reserve(&order("a"));
    shop.goods.run(Goods::RESERVE, "a", &request).await.unwrap();
    // Another transaction for the same order takes nothing more.
    let again = answer(shop.goods.run(Goods::RESERVE, "b", &request).await);
    assert_eq!(
        (again.as_str(), shop.stock().await),
        ("GOODS_RESERVE_ALREADY", NUMBER - 1)
    );
    shop.goods
        .undo(Goods::RESERVE, "a", &request)
        .await
        .unwrap();
    shop.goods
        .undo(Goods::RESERVE, "a", &request)
        .await
        .unwrap();
    let books = shop.books().await;
    let changes: Vec<i64> = books.stock_log.iter().map(|entry| entry.change).collect();
    assert_eq!(books.stock[&GOODS.get()], NUMBER);
    assert_eq!((changes.len(), changes.iter().sum::<i64>()), (3, NUMBER));
}

async fn buyers_at_once_lose_no_update_and_never_oversell(database: Database) {
    const BUYERS: usize = 24;
    const LEFT: usize = 9;
    let shop = Shop::new(database).await;
    shop.sql(&format!("UPDATE trade_goods SET goods_number = {LEFT}"))
        .await;
    let mut buying = JoinSet::new();
    for buyer in 0..BUYERS {
        let database = shop.database.clone();
        buying.spawn(async move {
            let goods = amends::testing::direct(&database, Goods::default());
            let id = format!("buyer-{buyer}");
            answer(goods.run(Goods::RESERVE, &id, &reserve(&order(&id))).await)
        });
    }
    let answers = buying.join_all().await;
    let count = |text: &str| answers.iter().filter(|answer| *answer == text).count();
    assert_eq!(count("done"), LEFT, "{answers:?}");
    assert_eq!(count("GOODS_NUM_NOT_ENOUGH"), BUYERS - LEFT, "{answers:?}");
    assert_eq!(shop.stock().await, 0);
}

async fn an_undo_of_what_was_never_taken_gives_nothing(database: Database) {
    let shop = Shop::new(database).await;
    shop.goods
        .undo(Goods::RESERVE, "a", &reserve(&order("a")))
        .await
        .unwrap();
    assert_eq!(shop.stock().await, NUMBER);
    assert_eq!(shop.books().await.stock_log.len(), 1);
}

async fn a_reservation_after_its_undo_takes_nothing(database: Database) {
    let shop = Shop::new(database).await;
    let request = reserve(&order("a"));
    shop.goods
        .undo(Goods::RESERVE, "a", &request)
        .await
        .unwrap();
    let late = answer(shop.goods.run(Goods::RESERVE, "a", &request).await);
    assert_eq!(
        (late.as_str(), shop.stock().await),
        ("UNDONE_BEFORE_DO", NUMBER)
    );
}

async fn log_and_stock_change_together(database: Database) {
    let shop = Shop::new(database).await;
    let request = reserve(&order("a"));
    shop.goods
        .run_failing(Goods::RESERVE, "a", &request)
        .await
        .unwrap_err();
    let books = shop.books().await;
    assert_eq!((books.left(), books.stock_log.len()), (NUMBER, 1));
    shop.goods.run(Goods::RESERVE, "a", &request).await.unwrap();
    let books = shop.books().await;
    assert_eq!((books.left(), books.stock_log.len()), (NUMBER - 1, 2));
}
