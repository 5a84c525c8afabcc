//! Using a coupon for an order, and giving it back; selling one.

use amends::{Conn, Message, StepResult, reject};

use super::{CouponUsed, Coupons, Offer, Offered, UseCoupon, sale, table};
use crate::clock;
use crate::domain::{Cents, Code, check_coupon};
use crate::holds;
use crate::services::order::OrderClosed;

#[amends::service(name = "coupon", cancel_on(topic = "orderTopic", tag = "order_cancel"))]
impl Coupons {
    /// Uses a coupon for an order. Without a coupon nothing happens.
    #[step(
        name = "use",
        compensate = give_back,
        timeout = "5s",
        retry(max_attempts = 12, backoff = "100ms", max_backoff = "2s")
    )]
    pub async fn use_coupon(&self, conn: &mut Conn, req: UseCoupon) -> StepResult<CouponUsed> {
        let Some(id) = req.coupon_id else {
            return Ok(CouponUsed { paid: Cents::ZERO });
        };
        let Some(coupon) = table::find(conn, id).await? else {
            reject!(Code::CouponNoExist, "there is no coupon {id}");
        };
        let now = clock::now();
        check_coupon(&coupon, req.user_id, req.value, now)?;
        if !table::take(conn, id, req.user_id, &req.order_id, now).await? {
            reject!(Code::CouponInvalid, "coupon {id} was used meanwhile");
        }
        self.holds.pass(holds::COUPON_USE).await?;
        Ok(CouponUsed {
            paid: coupon.coupon_price,
        })
    }

    /// Gives the coupon back to its owner.
    pub async fn give_back(
        &self,
        conn: &mut Conn,
        req: &UseCoupon,
        _: &CouponUsed,
    ) -> StepResult<()> {
        let Some(id) = req.coupon_id else {
            return Ok(());
        };
        // An order that nobody paid for gave it back before: it is free, or somebody else's by now.
        if !table::give_back(conn, id, &req.order_id).await? {
            tracing::warn!(order_id = %req.order_id, coupon = %id, "nothing to give back");
        }
        self.holds.pass(holds::COUPON_GIVE_BACK).await?;
        Ok(())
    }

    /// Sets a coupon aside for a buyer.
    #[tcc(
        confirm = hand_over,
        cancel = withdraw,
        timeout = "5s",
        retry(max_attempts = 12, backoff = "100ms", max_backoff = "2s")
    )]
    pub async fn offer(&self, conn: &mut Conn, req: Offer) -> StepResult<Offered> {
        let offered = sale::new();
        sale::set_aside(conn, &req, &offered).await?;
        Ok(offered)
    }

    /// It is the buyer's.
    async fn hand_over(&self, conn: &mut Conn, req: &Offer, offered: &Offered) -> StepResult<()> {
        sale::hand_over(conn, req, offered).await
    }

    /// It is nobody's.
    async fn withdraw(&self, conn: &mut Conn, req: &Offer, _: &Offered) -> StepResult<()> {
        sale::withdraw(conn, req).await
    }

    /// Gives the coupon of an order that was given up back to its owner.
    #[on_message(topic = "orderClosedTopic", tags = "order_not_paid", dedupe = key)]
    pub async fn closed(&self, conn: &mut Conn, msg: Message<OrderClosed>) -> StepResult<()> {
        if let Some(coupon) = msg.body.coupon_id {
            table::give_back(conn, coupon, &msg.body.order_id).await?;
        }
        Ok(())
    }
}
