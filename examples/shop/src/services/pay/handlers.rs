//! What becomes of orders that are not paid in time, and of money that comes
//! too late. Both talk to the provider, so no local transaction is open then;
//! all of it can be done again.

use amends::{Conn, Message, MessageCx, StepError, StepResult, reject};

use super::settle::event;
use super::table::{self, PayRow};
use super::{CLOSED, OrderUnpaid, PayError, Payments, REFUNDED, RefundDue};
use crate::domain::{Cents, ChargeState, Code, PayId, PaymentState};

#[amends::service(name = "pay")]
impl Payments {
    /// The time to pay is over: the payment is closed, first at the provider,
    /// and then the order is told. What the provider has got by then counts.
    #[on_message(
        topic = "payTimeoutTopic",
        tags = "order_unpaid",
        effects = external,
        dedupe = key,
        retry = ["500ms", "2s", "10s", "1m", "10m"]
    )]
    pub async fn unpaid(&self, _: &MessageCx, msg: Message<OrderUnpaid>) -> StepResult<()> {
        let Some(row) = self.find_of(&msg.body.order_id).await? else {
            return Ok(self.never(&msg.body).await?);
        };
        if !row.is_paid.is_open() {
            return Ok(());
        }
        let charge = self.provider.close(&row.pay_id).await?;
        match charge.state {
            ChargeState::Closed => Ok(self.close(&row).await?),
            ChargeState::Paid | ChargeState::Refunded => {
                self.settle(&row.pay_id, charge.amount, None).await?;
                Ok(())
            }
            ChargeState::Open => Err(StepError::unknown("the provider did not close it")),
        }
    }

    /// Pays back what came too late, or came for an order that is no more.
    #[on_message(
        topic = "refundTopic",
        tags = "refund_due",
        effects = external,
        dedupe = key,
        retry = ["500ms", "2s", "10s", "1m", "10m"]
    )]
    pub async fn refund(&self, _: &MessageCx, msg: Message<RefundDue>) -> StepResult<()> {
        let pay = &msg.body.pay_id;
        let (paid, refunding) = (PaymentState::Paid, PaymentState::Refunding);
        let begin = async |conn: &mut Conn| table::change(conn, pay, paid, refunding).await;
        self.database.transaction(begin).await?;
        let row = self.find(pay).await?;
        match row.is_paid {
            PaymentState::Refunding => {}
            PaymentState::Refunded => return Ok(()),
            other => reject!(
                Code::PayClosed,
                "payment {pay} is {}: there is nothing to pay back",
                other.as_str()
            ),
        }
        let charge = self.provider.refund(pay).await?;
        if charge.state != ChargeState::Refunded {
            return Err(StepError::unknown("the provider did not pay it back"));
        }
        let done = async |conn: &mut Conn| {
            if table::change(conn, pay, refunding, PaymentState::Refunded).await? {
                conn.publish(event(&row, REFUNDED)).await?;
            }
            Ok::<(), PayError>(())
        };
        Ok(self.database.transaction(done).await?)
    }
}

impl Payments {
    /// An order that nobody began to pay: from now on nobody can.
    async fn never(&self, order: &OrderUnpaid) -> Result<(), PayError> {
        let row = PayRow {
            pay_id: PayId::unique(),
            order_id: order.order_id.clone(),
            user_id: order.user_id,
            pay_amount: Cents::ZERO,
            is_paid: PaymentState::Closed,
            provider_ref: None,
        };
        let never = async |conn: &mut Conn| {
            table::insert(conn, &row).await?;
            conn.publish(event(&row, CLOSED)).await?;
            Ok(())
        };
        self.database.transaction(never).await
    }

    async fn close(&self, row: &PayRow) -> Result<(), PayError> {
        let close = async |conn: &mut Conn| {
            if table::end(conn, &row.pay_id, PaymentState::Closed).await? {
                conn.publish(event(row, CLOSED)).await?;
            }
            Ok(())
        };
        self.database.transaction(close).await
    }
}
