//! Buying as a live saga: what comes next depends on what happened so far.
//!
//! Stock and coupon are asked for at the same time. A coupon that cannot be used is no
//! reason to give up: the order is then placed without it. That is one `match` here, and could not
//! be said in a saga that is written down beforehand.

use std::time::Duration;

use amends::{Client, ClientError, LiveTx, Outcome, StepError, StepResult};

use crate::domain::{Cents, PlaceOrder, Receipt};
use crate::services::coupon::{Coupons, UseCoupon};
use crate::services::goods::{Goods, Reserve};
use crate::services::order::{Confirm, Orders};
use crate::services::user::{Deduct, Users};

/// The saga's name.
pub const NAME: &str = "shop.buy";

/// An order that is not placed by then is given up.
const DEADLINE: Duration = Duration::from_secs(5 * 60);
/// How long the undoing of an order is waited for.
const UNDO_PATIENCE: Duration = Duration::from_secs(30);

/// Buys; the same order again is the same saga, and gives the same answer. A caller that is
/// silent for longer than `lease` has its order undone.
///
/// # Errors
/// Those of [`amends::NewLiveSaga::run`].
pub async fn buy(
    client: &Client,
    order: PlaceOrder,
    lease: Duration,
) -> Result<Outcome<Receipt>, ClientError> {
    client
        .saga(NAME)
        .id(order.order_id.as_str())
        .key(order.order_id.as_str())
        .lease(lease)
        .deadline(DEADLINE)
        .undo_patience(UNDO_PATIENCE)
        .run(async |tx| steps(&tx, order).await)
        .await
}

async fn steps(tx: &LiveTx, mut order: PlaceOrder) -> StepResult<Receipt> {
    let reserve = Reserve {
        order_id: order.order_id.clone(),
        goods_id: order.goods_id,
        number: order.goods_number,
        price: order.goods_price,
    };
    let coupon = UseCoupon {
        order_id: order.order_id.clone(),
        user_id: order.user_id,
        coupon_id: order.coupon_id,
        value: order.coupon_paid,
    };
    let (stock, coupon) = tokio::join!(
        tx.step(Goods::RESERVE, reserve),
        tx.step(Coupons::USE_COUPON, coupon)
    );
    let stock = stock?;
    match coupon {
        Ok(used) => order.coupon_paid = used.paid,
        Err(StepError::Refused { code, .. }) => {
            tracing::info!(order = %order.order_id, code, "without the coupon, then");
            order.coupon_id = None;
            order.coupon_paid = Cents::ZERO;
        }
        Err(other) => return Err(other),
    }
    let created = tx.step(Orders::CREATE, order.clone()).await?;
    let deduct = Deduct {
        order_id: order.order_id.clone(),
        user_id: order.user_id,
        amount: order.money_paid,
    };
    let balance = tx.step(Users::DEDUCT, deduct).await?;
    let confirm = Confirm {
        order_id: created.order_id,
        number: stock.number,
        price: stock.price,
        coupon_paid: order.coupon_paid,
        money_paid: balance.paid,
    };
    tx.step(Orders::CONFIRM, confirm).await
}
