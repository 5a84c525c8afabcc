//! What becomes of an order's payment.

use amends::{Conn, NewMessage, StepError, StepResult, reject};

use super::table::{self, OrderRow};
use super::{CLOSED_TOPIC, NOT_PAID, OrderClosed};
use crate::clock;
use crate::domain::{Code, OrderStatus, PayStatus};
use crate::services::pay::{CLOSED, PaymentEvent, REFUNDED, SUCCESS, refund_due};

/// By the kind of result.
pub(super) async fn result(conn: &mut Conn, tag: &str, event: &PaymentEvent) -> StepResult<()> {
    let Some(order) = table::find(conn, &event.order_id).await? else {
        reject!(Code::OrderNoExist, "there is no order {}", event.order_id);
    };
    match tag {
        SUCCESS => paid(conn, &order, event).await,
        CLOSED => not_paid(conn, &order).await,
        REFUNDED => {
            let (from, to) = (OrderStatus::Cancelled, OrderStatus::Refunded);
            table::change_status(conn, &order.order_id, from, to).await?;
            Ok(())
        }
        other => reject!(Code::OrderInvalid, "`{other}` is no result of a payment"),
    }
}

/// A confirmed order is paid. One that was given up meanwhile is not brought
/// back to life: its money goes back.
async fn paid(conn: &mut Conn, order: &OrderRow, event: &PaymentEvent) -> StepResult<()> {
    if event.amount != order.pay_amount {
        reject!(
            Code::PayAmountInvalid,
            "{} were paid, {} are due",
            event.amount,
            order.pay_amount
        );
    }
    if table::pay(conn, &order.order_id, clock::now()).await? {
        return Ok(());
    }
    match (order.order_status, order.pay_status) {
        (OrderStatus::Confirmed, PayStatus::Paid) => Ok(()),
        (OrderStatus::Cancelled | OrderStatus::Invalid | OrderStatus::Refunded, _) => {
            conn.publish(refund_due(&event.pay_id)).await?;
            Ok(())
        }
        _ => Err(StepError::unknown(Code::OrderStatusInvalid)),
    }
}

/// The payment is closed for ever: the order is given up, and what it holds goes back.
async fn not_paid(conn: &mut Conn, order: &OrderRow) -> StepResult<()> {
    if !table::unconfirm(conn, &order.order_id).await? {
        return match (order.order_status, order.pay_status) {
            (OrderStatus::Confirmed, PayStatus::Paid) => {
                reject!(
                    Code::OrderPayStatusIsPay,
                    "order {} is paid",
                    order.order_id
                )
            }
            // Being placed still, or being changed by somebody else: look again.
            (OrderStatus::Unconfirmed | OrderStatus::Confirmed, _) => {
                Err(StepError::unknown(Code::OrderStatusInvalid))
            }
            _ => Ok(()),
        };
    }
    let closed = OrderClosed {
        order_id: order.order_id.clone(),
        user_id: order.user_id,
        goods_id: order.goods_id,
        goods_number: order.goods_number,
        coupon_id: order.coupon_id,
        money_paid: order.money_paid,
    };
    let message = NewMessage::new(CLOSED_TOPIC, &closed).tag(NOT_PAID);
    conn.publish(message.key(closed.order_id.as_str())).await?;
    Ok(())
}
