//! `trade_coupon_sale`: coupons that are set aside for buyers, and what
//! became of them.

use amends::{Conn, StepError, StepResult, args};
use uuid::Uuid;

use super::{Offer, Offered, table};
use crate::clock;
use crate::domain::{CouponId, HeldState, PRICE_IN_MONEY, PRICE_IN_POINTS, PurchaseId};
use crate::samples::{COUPON_PRICE, fresh_coupon};

pub(super) const TABLE: &str = "CREATE TABLE IF NOT EXISTS trade_coupon_sale (
        purchase_id VARCHAR(64) NOT NULL PRIMARY KEY,
        coupon_id BIGINT NOT NULL,
        user_id BIGINT NOT NULL,
        money BIGINT NOT NULL CHECK (money > 0),
        points BIGINT NOT NULL CHECK (points > 0),
        state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 2),
        create_time BIGINT NOT NULL
    )";

/// A coupon that nobody has, at today's price.
pub(super) fn new() -> Offered {
    let (high, _) = Uuid::new_v4().as_u64_pair();
    Offered {
        coupon_id: CouponId::new((high >> 1).cast_signed()),
        value: COUPON_PRICE,
        money: PRICE_IN_MONEY,
        points: PRICE_IN_POINTS,
    }
}

/// Writes it down as held.
pub(super) async fn set_aside(conn: &mut Conn, req: &Offer, offered: &Offered) -> StepResult<()> {
    conn.execute(
        "INSERT INTO trade_coupon_sale
            (purchase_id, coupon_id, user_id, money, points, state, create_time)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        args![
            &req.purchase_id,
            offered.coupon_id,
            req.user_id,
            offered.money,
            offered.points,
            HeldState::Held,
            clock::now()
        ],
    )
    .await?;
    Ok(())
}

/// Makes it the buyer's.
pub(super) async fn hand_over(conn: &mut Conn, req: &Offer, offered: &Offered) -> StepResult<()> {
    no_longer_held(conn, &req.purchase_id, HeldState::Taken).await?;
    table::add(conn, &fresh_coupon(offered.coupon_id, req.user_id)).await?;
    Ok(())
}

/// Forgets it.
pub(super) async fn withdraw(conn: &mut Conn, req: &Offer) -> StepResult<()> {
    no_longer_held(conn, &req.purchase_id, HeldState::LetGo).await
}

async fn no_longer_held(conn: &mut Conn, purchase: &PurchaseId, to: HeldState) -> StepResult<()> {
    let sql = "UPDATE trade_coupon_sale SET state = ? WHERE purchase_id = ? AND state = ?";
    if conn
        .execute(sql, args![to, purchase, HeldState::Held])
        .await?
        == 1
    {
        return Ok(());
    }
    let text = format!("no coupon is held for purchase {purchase}");
    Err(StepError::unknown(text))
}
