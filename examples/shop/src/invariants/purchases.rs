//! What must be true of purchases: coupon, money and points went together, or
//! not at all, and nothing stays held.

use std::collections::BTreeMap;

use amends::{DatabaseError, Row};

use super::Databases;
use super::books::{Books, rows};
use crate::domain::{Cents, HeldState};
use crate::services::user::frozen::Kind;

/// A coupon that was set aside for a buyer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurchaseEntry {
    /// Who buys.
    pub user: i64,
    /// Which coupon.
    pub coupon: i64,
    /// What it costs in money.
    pub money: Cents,
    /// What it costs in points besides.
    pub points: i64,
    /// What became of it.
    pub state: HeldState,
}

/// Money or points that were held for a purchase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrozenEntry {
    /// For which purchase.
    pub purchase: String,
    /// Money or points: the number in the table.
    pub kind: i64,
    /// Whose.
    pub user: i64,
    /// How much.
    pub amount: i64,
    /// What became of it.
    pub state: HeldState,
}

impl Books {
    /// The purchases that were made.
    pub fn bought(&self) -> impl Iterator<Item = &PurchaseEntry> {
        let purchases = self.purchases.values();
        purchases.filter(|purchase| purchase.state == HeldState::Taken)
    }

    /// What a user has neither free nor back: held, or spent on coupons.
    #[must_use]
    pub(super) fn gone(&self, user: i64, kind: Kind) -> i64 {
        let rows = self.frozen.iter();
        rows.filter(|row| row.user == user && row.kind == kind as i64)
            .filter(|row| row.state != HeldState::LetGo)
            .map(|row| row.amount)
            .sum()
    }
}

pub(super) async fn read_sales(
    databases: &Databases,
) -> Result<BTreeMap<String, PurchaseEntry>, DatabaseError> {
    let sql = "SELECT purchase_id, user_id, coupon_id, money, points, state FROM trade_coupon_sale";
    rows(&databases.coupon, sql, sale).await
}

pub(super) async fn read_frozen(databases: &Databases) -> Result<Vec<FrozenEntry>, DatabaseError> {
    let sql = "SELECT purchase_id, kind, user_id, amount, state FROM trade_user_frozen";
    rows(&databases.user, sql, frozen).await
}

/// Everything that is wrong about purchases, a line each.
pub(super) fn judge(books: &Books) -> Vec<String> {
    let mut breaches = Vec::new();
    let mut spent: BTreeMap<(&str, i64), &FrozenEntry> = BTreeMap::new();
    for row in &books.frozen {
        let FrozenEntry { purchase, user, .. } = row;
        match row.state {
            HeldState::Held => breaches.push(format!(
                "{} are still frozen of user {user} for purchase {purchase}",
                row.amount
            )),
            HeldState::Taken => {
                spent.insert((purchase, row.kind), row);
            }
            HeldState::LetGo => {}
        }
    }
    for (id, purchase) in &books.purchases {
        if purchase.state == HeldState::Held {
            breaches.push(format!("a coupon is still held for purchase {id}"));
        }
        let bought = purchase.state == HeldState::Taken;
        for (kind, price) in [
            (Kind::Money, purchase.money.get()),
            (Kind::Points, purchase.points),
        ] {
            let paid = spent.remove(&(id.as_str(), kind as i64));
            let paid = paid.map(|row| (row.user, row.amount));
            let due = bought.then_some((purchase.user, price));
            if paid != due {
                breaches.push(format!(
                    "purchase {id} is {}, of {kind:?} were paid {paid:?}, due are {due:?}",
                    purchase.state.as_str()
                ));
            }
        }
        let coupon = books.coupons.get(&purchase.coupon);
        if coupon.map(|coupon| coupon.user) != bought.then_some(purchase.user) {
            breaches.push(format!(
                "purchase {id} is {}, its coupon is {coupon:?}",
                purchase.state.as_str()
            ));
        }
    }
    for (purchase, _) in spent.keys() {
        breaches.push(format!("purchase {purchase} was paid, and is none"));
    }
    breaches
}

fn sale(row: &Row) -> Result<(String, PurchaseEntry), DatabaseError> {
    let entry = PurchaseEntry {
        user: row.at(1)?,
        coupon: row.at(2)?,
        money: row.at(3)?,
        points: row.at(4)?,
        state: row.at(5)?,
    };
    Ok((row.at(0)?, entry))
}

fn frozen(row: &Row) -> Result<FrozenEntry, DatabaseError> {
    Ok(FrozenEntry {
        purchase: row.at(0)?,
        kind: row.at(1)?,
        user: row.at(2)?,
        amount: row.at(3)?,
        state: row.at(4)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::CouponEntry;

    /// One purchase that was made, and one that was let go.
    fn good() -> Books {
        let purchase = |coupon, state| PurchaseEntry {
            user: 1,
            coupon,
            money: Cents::new(100),
            points: 5,
            state,
        };
        let frozen = |purchase: &str, kind, amount, state| FrozenEntry {
            purchase: purchase.to_owned(),
            kind: kind as i64,
            user: 1,
            amount,
            state,
        };
        let (taken, let_go) = (HeldState::Taken, HeldState::LetGo);
        let coupon = CouponEntry {
            user: 1,
            order: None,
        };
        Books {
            purchases: BTreeMap::from([
                ("a".to_owned(), purchase(20, taken)),
                ("b".to_owned(), purchase(21, let_go)),
            ]),
            frozen: vec![
                frozen("a", Kind::Money, 100, taken),
                frozen("a", Kind::Points, 5, taken),
                frozen("b", Kind::Money, 100, let_go),
            ],
            coupons: BTreeMap::from([(20, coupon)]),
            ..Books::default()
        }
    }

    #[test]
    fn each_breach_is_found() {
        let check = |spoil: fn(&mut Books), expected: &str| {
            let mut books = good();
            spoil(&mut books);
            let found = judge(&books).join("\n");
            assert!(found.contains(expected), "{found:?} lacks `{expected}`");
        };
        assert_eq!(judge(&good()), [""; 0]);
        check(
            |books| books.frozen[2].state = HeldState::Held,
            "100 are still frozen of user 1 for purchase b",
        );
        check(
            |books| books.frozen[0].amount = 99,
            "of Money were paid Some((1, 99)), due are Some((1, 100))",
        );
        check(
            |books| {
                books.frozen.remove(1);
            },
            "of Points were paid None, due are Some((1, 5))",
        );
        check(
            |books| books.frozen[2].state = HeldState::Taken,
            "of Money were paid Some((1, 100)), due are None",
        );
        check(
            |books| books.coupons.clear(),
            "purchase a is taken, its coupon is None",
        );
        check(
            |books| {
                books.purchases.remove("a");
            },
            "purchase a was paid, and is none",
        );
        check(
            |books| {
                books
                    .purchases
                    .entry("b".to_owned())
                    .and_modify(|it| it.state = HeldState::Held);
            },
            "a coupon is still held for purchase b",
        );
    }

    #[test]
    fn what_is_gone_is_held_or_spent() {
        let mut books = good();
        assert_eq!(books.gone(1, Kind::Money), 100);
        books.frozen[2].state = HeldState::Held;
        assert_eq!(books.gone(1, Kind::Money), 200);
        assert_eq!(books.gone(2, Kind::Money), 0);
    }
}
