//! Creating an order, confirming it, and giving it up.

use amends::{Conn, Message, NewMessage, StepError, StepResult, reject};

use super::table::{self, OrderRow};
use super::{Confirm, Created, Orders, payment};
use crate::clock;
use crate::domain::{Cents, Code, OrderId, OrderStatus, PayStatus, PlaceOrder, Receipt, UserId};
use crate::domain::{check_order, pay_amount};
use crate::holds;
use crate::services::mail::{self, OrderMail};
use crate::services::pay::{self, OrderUnpaid, PaymentEvent};

#[amends::service(name = "order", cancel_on(topic = "orderTopic", tag = "order_cancel"))]
impl Orders {
    /// Writes the order down, unconfirmed and invisible, once its own figures
    /// add up.
    #[step(
        compensate = abandon,
        timeout = "5s",
        retry(max_attempts = 12, backoff = "100ms", max_backoff = "2s")
    )]
    pub async fn create(&self, conn: &mut Conn, req: PlaceOrder) -> StepResult<Created> {
        check_order(&req)?;
        let Some(pay_amount) = pay_amount(&req) else {
            reject!(Code::OrderAmountInvalid, "the amount is too large");
        };
        if table::find(conn, &req.order_id).await?.is_some() {
            reject!(Code::OrderIdTaken, "there is an order {}", req.order_id);
        }
        table::insert(conn, &req, pay_amount).await?;
        Ok(Created {
            order_id: req.order_id,
            pay_amount,
        })
    }

    /// Cancels the order that was not confirmed.
    pub async fn abandon(&self, conn: &mut Conn, req: &PlaceOrder, _: &Created) -> StepResult<()> {
        let (from, to) = (OrderStatus::Unconfirmed, OrderStatus::Cancelled);
        if !table::change_status(conn, &req.order_id, from, to).await? {
            must_be_cancelled(table::find(conn, &req.order_id).await?)?;
        }
        self.holds.pass(holds::ORDER_ABANDON).await?;
        Ok(())
    }

    /// Confirms the order, if nobody cancelled it meanwhile and the services
    /// did exactly what it says.
    #[step(
        compensate = unconfirm,
        timeout = "5s",
        retry(max_attempts = 12, backoff = "100ms", max_backoff = "2s")
    )]
    pub async fn confirm(&self, conn: &mut Conn, req: Confirm) -> StepResult<Receipt> {
        let Some(order) = table::find(conn, &req.order_id).await? else {
            reject!(Code::OrderNoExist, "there is no order {}", req.order_id);
        };
        if !is_as_ordered(&order, &req) {
            reject!(
                Code::OrderAmountInvalid,
                "order {} is not what was reserved, used and charged for it",
                req.order_id
            );
        }
        let now = clock::now();
        if !table::confirm(conn, &req.order_id, now).await? {
            match order.order_status {
                OrderStatus::Cancelled => {
                    reject!(Code::OrderCancelled, "order {} was cancelled", req.order_id)
                }
                status => reject!(
                    Code::OrderStatusInvalid,
                    "order {} is {}",
                    req.order_id,
                    status.as_str()
                ),
            }
        }
        let mail = OrderMail {
            order_id: req.order_id.clone(),
            user_id: order.user_id,
            consignee: order.consignee,
        };
        // Kept with the order, in the same transaction; sent when that has committed.
        let message = NewMessage::new(mail::TOPIC, &mail).tag(mail::CONFIRMED);
        conn.publish(message.key(mail.order_id.as_str())).await?;
        if order.pay_amount == Cents::ZERO {
            table::pay(conn, &req.order_id, now).await?;
        } else {
            self.wait_for_payment(conn, &req.order_id, order.user_id)
                .await?;
        }
        self.holds.pass(holds::ORDER_CONFIRM).await?;
        Ok(Receipt {
            order_id: req.order_id,
            pay_amount: order.pay_amount,
            confirm_time: now,
        })
    }

    /// Cancels the confirmed order, as long as nobody pays.
    pub async fn unconfirm(&self, conn: &mut Conn, req: &Confirm, _: &Receipt) -> StepResult<()> {
        if table::unconfirm(conn, &req.order_id).await? {
            return Ok(());
        }
        must_be_cancelled(table::find(conn, &req.order_id).await?)
    }

    /// Takes in what became of the payment.
    #[on_message(
        topic = "payTopic",
        tags = "pay_success || pay_closed || pay_refunded",
        dedupe = key,
        retry = ["500ms", "2s", "10s", "1m", "10m"]
    )]
    pub async fn payment(&self, conn: &mut Conn, msg: Message<PaymentEvent>) -> StepResult<()> {
        payment::result(conn, &msg.tag, &msg.body).await
    }
}

impl Orders {
    /// Has the pay service look whether the order is paid by then.
    async fn wait_for_payment(
        &self,
        conn: &mut Conn,
        order_id: &OrderId,
        user_id: UserId,
    ) -> StepResult<()> {
        let unpaid = OrderUnpaid {
            order_id: order_id.clone(),
            user_id,
        };
        let message = NewMessage::new(pay::TIMEOUT_TOPIC, &unpaid)
            .tag(pay::UNPAID)
            .key(order_id.as_str());
        conn.publish(message.delay(self.unpaid_after)).await?;
        Ok(())
    }
}

fn is_as_ordered(order: &OrderRow, req: &Confirm) -> bool {
    order.goods_number == req.number
        && order.goods_price == req.price
        && order.coupon_paid == req.coupon_paid
        && order.money_paid == req.money_paid
}

/// Where an undo changed nothing: fine if the order is cancelled already.
/// Anything else is for a person, so it is no success.
fn must_be_cancelled(order: Option<OrderRow>) -> StepResult<()> {
    let Some(order) = order else {
        return Err(StepError::unknown(Code::OrderNoExist));
    };
    match (order.order_status, order.pay_status) {
        (OrderStatus::Cancelled, _) => Ok(()),
        (_, PayStatus::Unpaid) => Err(StepError::unknown(Code::OrderStatusInvalid)),
        (_, PayStatus::Paying | PayStatus::Paid) => {
            Err(StepError::unknown(Code::OrderPayStatusIsPay))
        }
    }
}
