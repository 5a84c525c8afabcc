//! The invariants themselves, on [`Books`].

use std::collections::BTreeMap;

use super::books::{Books, OrderEntry};
use super::{payments, purchases};
use crate::domain::{Cents, OrderStatus};
use crate::services::user::frozen::Kind;

/// Everything that is wrong, a line each; empty when all is well.
#[must_use]
pub fn judge(books: &Books) -> Vec<String> {
    let mut breaches = Vec::new();
    for (id, order) in &books.orders {
        if order.status == OrderStatus::Unconfirmed {
            breaches.push(format!("order {id} is still unconfirmed"));
        }
    }
    stock(books, &mut breaches);
    money(books, &mut breaches);
    coupons(books, &mut breaches);
    breaches.extend(payments::judge(books));
    breaches.extend(purchases::judge(books));
    breaches
}

/// Stock, what was sold and nothing else make up the first stock.
fn stock(books: &Books, breaches: &mut Vec<String>) {
    let mut first: BTreeMap<i64, i64> = BTreeMap::new();
    let mut taken: BTreeMap<(&str, i64), i64> = BTreeMap::new();
    for entry in &books.stock_log {
        match entry.order.as_str() {
            "" => *first.entry(entry.goods).or_default() += entry.change,
            order => *taken.entry((order, entry.goods)).or_default() -= entry.change,
        }
    }
    for (goods, left) in &books.stock {
        let sold = books.confirmed().filter(|order| order.goods == *goods);
        let sold: i64 = sold.map(|order| order.number).sum();
        let first = first.get(goods).copied().unwrap_or_default();
        if left + sold != first {
            breaches.push(format!(
                "goods {goods}: {left} left and {sold} sold are not {first}"
            ));
        }
        if *left < 0 {
            breaches.push(format!("goods {goods}: {left} are left"));
        }
    }
    let due = |order: &OrderEntry| holding(order, order.number);
    for (id, order) in &books.orders {
        let held = taken
            .remove(&(id.as_str(), order.goods))
            .unwrap_or_default();
        if held != due(order) {
            breaches.push(format!(
                "{} holds {held} of goods {}",
                named(id, order),
                order.goods
            ));
        }
    }
    for ((order, goods), held) in taken.into_iter().filter(|(_, held)| *held != 0) {
        breaches.push(format!(
            "{held} of goods {goods} are held for `{order}`, which ordered none"
        ));
    }
}

/// Balances and what was paid for orders make up the first balances, to the cent.
fn money(books: &Books, breaches: &mut Vec<String>) {
    let mut expected: BTreeMap<i64, i64> = BTreeMap::new();
    let mut paid: BTreeMap<(&str, i64), i64> = BTreeMap::new();
    for entry in &books.money_log {
        *expected.entry(entry.user).or_default() += entry.change.get();
        if !entry.order.is_empty() {
            *paid.entry((entry.order.as_str(), entry.user)).or_default() -= entry.change.get();
        }
    }
    for (user, balance) in &books.balances {
        let logged = expected.get(user).copied().unwrap_or_default();
        let expected = Cents::new(logged - books.gone(*user, Kind::Money));
        if *balance != expected {
            breaches.push(format!(
                "user {user} has {balance}, the log says {expected}"
            ));
        }
        if balance.is_negative() {
            breaches.push(format!("user {user} has {balance}"));
        }
    }
    for (id, order) in &books.orders {
        let paid = paid.remove(&(id.as_str(), order.user)).unwrap_or_default();
        if paid != holding(order, order.money_paid.get()) {
            let paid = Cents::new(paid);
            breaches.push(format!(
                "{} keeps {paid} of user {}",
                named(id, order),
                order.user
            ));
        }
    }
    for ((order, user), paid) in paid.into_iter().filter(|(_, paid)| *paid != 0) {
        let paid = Cents::new(paid);
        breaches.push(format!(
            "user {user} paid {paid} for `{order}`, which is not theirs"
        ));
    }
}

/// A coupon is with the one confirmed order that used it, or with its owner.
fn coupons(books: &Books, breaches: &mut Vec<String>) {
    let mut due: BTreeMap<i64, Vec<&str>> = BTreeMap::new();
    for (id, order) in &books.orders {
        if let (Some(coupon), OrderStatus::Confirmed) = (order.coupon, order.status) {
            due.entry(coupon).or_default().push(id);
            if books
                .coupons
                .get(&coupon)
                .is_none_or(|coupon| coupon.user != order.user)
            {
                breaches.push(format!(
                    "order {id} used coupon {coupon}, which is not its user's"
                ));
            }
        }
    }
    for (coupon, orders) in due.iter().filter(|(_, orders)| orders.len() > 1) {
        breaches.push(format!(
            "coupon {coupon} was used by {}",
            orders.join(" and ")
        ));
    }
    for (id, coupon) in &books.coupons {
        let due = due.get(id).and_then(|orders| orders.first()).copied();
        if coupon.order.as_deref() != due {
            let held = coupon.order.as_deref().unwrap_or("nobody");
            let due = due.unwrap_or("nobody");
            breaches.push(format!(
                "coupon {id} is with {held}, it should be with {due}"
            ));
        }
    }
}

/// What an order must hold: everything when confirmed, nothing when given up.
fn holding(order: &OrderEntry, ordered: i64) -> i64 {
    if order.status == OrderStatus::Confirmed {
        ordered
    } else {
        0
    }
}

fn named(id: &str, order: &OrderEntry) -> String {
    format!("{} order {id}", order.status.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::PayStatus;
    use crate::invariants::{CouponEntry, MoneyEntry, StockEntry};

    /// One confirmed order with everything, one cancelled after everything.
    fn good() -> Books {
        let order = |status| OrderEntry {
            user: 1,
            status,
            goods: 10,
            number: 3,
            coupon: Some(20),
            money_paid: Cents::new(500),
            pay_amount: Cents::new(100),
            pay_status: PayStatus::Unpaid,
        };
        let stock = |order: &str, change| StockEntry {
            goods: 10,
            order: order.to_owned(),
            change,
        };
        let money = |order: &str, change| MoneyEntry {
            user: 1,
            order: order.to_owned(),
            change: Cents::new(change),
        };
        Books {
            orders: BTreeMap::from([
                ("a".to_owned(), order(OrderStatus::Confirmed)),
                ("b".to_owned(), order(OrderStatus::Cancelled)),
            ]),
            stock: BTreeMap::from([(10, 97)]),
            stock_log: vec![
                stock("", 100),
                stock("a", -3),
                stock("b", -3),
                stock("b", 3),
            ],
            coupons: BTreeMap::from([(
                20,
                CouponEntry {
                    user: 1,
                    order: Some("a".to_owned()),
                },
            )]),
            balances: BTreeMap::from([(1, Cents::new(99_500))]),
            money_log: vec![
                money("", 100_000),
                money("a", -500),
                money("b", -500),
                money("b", 500),
            ],
            ..Books::default()
        }
    }

    fn check(damage: impl FnOnce(&mut Books), expected: &[&str]) {
        let mut books = good();
        damage(&mut books);
        assert_eq!(judge(&books), expected);
    }

    #[test]
    fn all_is_well() {
        check(|_| {}, &[]);
    }

    #[test]
    fn stock_is_watched() {
        check(
            |books| *books.stock.entry(10).or_default() += 1,
            &["goods 10: 98 left and 3 sold are not 100"],
        );
        check(
            |books| {
                books.stock_log.pop();
            },
            &["cancelled order b holds 3 of goods 10"],
        );
        check(
            |books| books.stock_log[1].order = "c".to_owned(),
            &[
                "confirmed order a holds 0 of goods 10",
                "3 of goods 10 are held for `c`, which ordered none",
            ],
        );
    }

    #[test]
    fn money_is_watched_to_the_cent() {
        check(
            |books| *books.balances.entry(1).or_default() = Cents::new(99_501),
            &["user 1 has 995.01, the log says 995.00"],
        );
        check(
            |books| {
                books.money_log.pop();
            },
            &[
                "user 1 has 995.00, the log says 990.00",
                "cancelled order b keeps 5.00 of user 1",
            ],
        );
        check(
            |books| books.money_log[1].order = "c".to_owned(),
            &[
                "confirmed order a keeps 0.00 of user 1",
                "user 1 paid 5.00 for `c`, which is not theirs",
            ],
        );
    }

    #[test]
    fn coupons_are_watched() {
        let with = |order: Option<&str>| {
            let order = order.map(str::to_owned);
            move |books: &mut Books| {
                books.coupons.insert(20, CouponEntry { user: 1, order });
            }
        };
        check(
            with(None),
            &["coupon 20 is with nobody, it should be with a"],
        );
        check(
            with(Some("b")),
            &["coupon 20 is with b, it should be with a"],
        );
        check(
            |books| {
                books.coupons.insert(
                    20,
                    CouponEntry {
                        user: 2,
                        order: Some("a".to_owned()),
                    },
                );
            },
            &["order a used coupon 20, which is not its user's"],
        );
    }

    #[test]
    fn two_orders_with_one_coupon_and_orders_that_hang_are_seen() {
        let mut books = good();
        let mut twin = books.orders["a"].clone();
        (twin.number, twin.money_paid) = (0, Cents::ZERO);
        books.orders.insert("c".to_owned(), twin.clone());
        assert_eq!(judge(&books), ["coupon 20 was used by a and c"]);
        twin.status = OrderStatus::Unconfirmed;
        books.orders.insert("c".to_owned(), twin);
        assert_eq!(judge(&books), ["order c is still unconfirmed"]);
    }
}
