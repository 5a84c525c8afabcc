//! Balances, and the faults that they must not have.

use amends::Database;
use shop::domain::{Cents, UserId};
use shop::samples::{BALANCE, USER};
use shop::services::user::table::{self, MoneyLogType};
use shop::services::user::{Deduct, Users};
use tokio::task::JoinSet;

use crate::databases::on_every_database;
use crate::shop::{NOBODY, Shop, answer, id};

on_every_database!(
    refusals_leave_the_balance_alone,
    the_balance_is_exact_to_the_cent,
    log_row_and_balance_change_together,
    a_refund_does_not_collide_with_its_payment,
    a_refund_made_by_hand_is_not_made_again,
    orders_at_once_never_overdraw,
    a_late_deduction_after_its_undo_takes_nothing,
);

fn deduct(order: &str, user_id: UserId, amount: Cents) -> Deduct {
    Deduct {
        order_id: id(order),
        user_id,
        amount,
    }
}

async fn refusals_leave_the_balance_alone(database: Database) {
    let shop = Shop::new(database).await;
    let check = async |order: &str, user: UserId, cents: i64, expected: &str| {
        let request = deduct(order, user, Cents::new(cents));
        let found = answer(shop.users.run(Users::DEDUCT, order, &request).await);
        assert_eq!(found, expected);
        let books = shop.books().await;
        assert_eq!(
            (books.balance(), books.money_log.len()),
            (BALANCE, 1),
            "{expected}"
        );
    };
    check("a", NOBODY, 1, "USER_NO_EXIST").await;
    check("b", NOBODY, 0, "USER_NO_EXIST").await;
    check("c", USER, -1, "MONEY_PAID_LESS_ZERO").await;
    check("d", USER, i64::MIN, "MONEY_PAID_LESS_ZERO").await;
    check("e", USER, BALANCE.get() + 1, "MONEY_PAID_INVALID").await;
    check("f", USER, i64::MAX, "MONEY_PAID_INVALID").await;
    check("g", USER, 0, "done").await;
}

async fn the_balance_is_exact_to_the_cent(database: Database) {
    let shop = Shop::new(database).await;
    let cents = deduct("a", USER, Cents::new(1));
    shop.users.run(Users::DEDUCT, "a", &cents).await.unwrap();
    assert_eq!(shop.balance().await, Cents::new(89_999));
    // What is left can be spent to the last cent.
    let rest = deduct("b", USER, Cents::new(89_999));
    shop.users.run(Users::DEDUCT, "b", &rest).await.unwrap();
    assert_eq!(shop.balance().await, Cents::ZERO);
}

async fn log_row_and_balance_change_together(database: Database) {
    let shop = Shop::new(database).await;
    let request = deduct("a", USER, Cents::units(10));
    shop.users
        .run_failing(Users::DEDUCT, "a", &request)
        .await
        .unwrap_err();
    let books = shop.books().await;
    assert_eq!((books.balance(), books.money_log.len()), (BALANCE, 1));
    shop.users.run(Users::DEDUCT, "a", &request).await.unwrap();
    let books = shop.books().await;
    assert_eq!(
        (books.balance(), books.money_log.len()),
        (Cents::units(890), 2)
    );
}

async fn a_refund_does_not_collide_with_its_payment(database: Database) {
    let shop = Shop::new(database).await;
    let request = deduct("a", USER, Cents::units(10));
    shop.users.run(Users::DEDUCT, "a", &request).await.unwrap();
    // Another transaction for the same order takes nothing more.
    let again = answer(shop.users.run(Users::DEDUCT, "b", &request).await);
    assert_eq!(again, "USER_MONEY_REDUCE_ALREADY");
    shop.users.undo(Users::DEDUCT, "a", &request).await.unwrap();
    shop.users.undo(Users::DEDUCT, "a", &request).await.unwrap();
    let books = shop.books().await;
    assert_eq!((books.balance(), books.money_log.len()), (BALANCE, 3));
}

async fn a_refund_made_by_hand_is_not_made_again(database: Database) {
    let shop = Shop::new(database).await;
    let request = deduct("a", USER, Cents::units(10));
    shop.users.run(Users::DEDUCT, "a", &request).await.unwrap();
    let by_hand = shop.with(async |conn| {
        table::log(conn, USER, &id("a"), MoneyLogType::Refund, Cents::units(10)).await?;
        Ok(table::put_back(conn, USER, Cents::units(10)).await?)
    });
    by_hand.await.unwrap();
    shop.users.undo(Users::DEDUCT, "a", &request).await.unwrap();
    assert_eq!(shop.balance().await, BALANCE);
    shop.assert_balanced().await;
}

async fn orders_at_once_never_overdraw(database: Database) {
    const ORDERS: usize = 16;
    let shop = Shop::new(database).await;
    let mut paying = JoinSet::new();
    for order in 0..ORDERS {
        let database = shop.database.clone();
        paying.spawn(async move {
            let users = amends::testing::direct(&database, Users::default());
            let gid = format!("order-{order}");
            let request = deduct(&gid, USER, Cents::units(100));
            answer(users.run(Users::DEDUCT, &gid, &request).await)
        });
    }
    let answers = paying.join_all().await;
    let count = |text: &str| answers.iter().filter(|answer| *answer == text).count();
    assert_eq!(count("done"), 9, "{answers:?}");
    assert_eq!(count("MONEY_PAID_INVALID"), ORDERS - 9, "{answers:?}");
    assert_eq!(shop.balance().await, Cents::ZERO);
}

async fn a_late_deduction_after_its_undo_takes_nothing(database: Database) {
    let shop = Shop::new(database).await;
    let request = deduct("a", USER, Cents::units(10));
    shop.users.undo(Users::DEDUCT, "a", &request).await.unwrap();
    let late = answer(shop.users.run(Users::DEDUCT, "a", &request).await);
    assert_eq!(
        (late.as_str(), shop.balance().await),
        ("UNDONE_BEFORE_DO", BALANCE)
    );
}
