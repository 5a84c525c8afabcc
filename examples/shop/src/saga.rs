//! Placing an order: the one saga of the shop.
//!
//! The order itself is its first step. So whatever happens, and whoever
//! dies, the saga ends, and with it the order is confirmed or cancelled:
//! none stays unconfirmed for ever.

use std::time::Duration;

use amends::{Saga, wire};

use crate::domain::{PlaceOrder, Receipt};
use crate::services::coupon::{Coupons, UseCoupon};
use crate::services::goods::{Goods, Reserve};
use crate::services::order::{Confirm, Orders};
use crate::services::user::{Deduct, Users};

/// An order that is not placed by then is given up.
const DEADLINE: Duration = Duration::from_secs(5 * 60);

/// The saga's name.
pub const NAME: &str = "shop.place-order";

/// Where the message that cancels an order goes. The services name both in
/// `cancel_on`, which takes nothing but texts.
pub const CANCEL_TOPIC: &str = "orderTopic";
/// What it is.
pub const CANCEL_TAG: &str = "order_cancel";

/// `create-order -> reserve-stock -> use-coupon -> deduct-balance -> confirm-order`.
///
/// Its id is the order's id, so placing the same order again is the same saga.
#[must_use]
pub fn place_order() -> Saga<PlaceOrder, Receipt> {
    Saga::define(NAME, 1, |s, order| {
        s.description("Places an order: everything it needs, or nothing.");
        s.deadline(DEADLINE);
        // One message, which each service reads in a group of its own: nobody who undoes
        // waits for another one.
        s.cancel_message(CANCEL_TOPIC, CANCEL_TAG, &order.order_id);
        let created = s.step("create-order", Orders::CREATE, &order);
        let stock = s.after(&created).step(
            "reserve-stock",
            Goods::RESERVE,
            wire!(Reserve {
                order_id: order.order_id,
                goods_id: order.goods_id,
                number: order.goods_number,
                price: order.goods_price,
            }),
        );
        let coupon = s.after(&stock).step(
            "use-coupon",
            Coupons::USE_COUPON,
            wire!(UseCoupon {
                order_id: order.order_id,
                user_id: order.user_id,
                coupon_id: order.coupon_id,
                value: order.coupon_paid,
            }),
        );
        let balance = s.after(&coupon).step(
            "deduct-balance",
            Users::DEDUCT,
            wire!(Deduct {
                order_id: order.order_id,
                user_id: order.user_id,
                amount: order.money_paid,
            }),
        );
        s.step(
            "confirm-order",
            Orders::CONFIRM,
            wire!(Confirm {
                order_id: created.order_id,
                number: stock.number,
                price: stock.price,
                coupon_paid: coupon.paid,
                money_paid: balance.paid,
            }),
        )
    })
}
