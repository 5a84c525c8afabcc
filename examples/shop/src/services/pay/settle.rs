//! What becomes of a payment that is made.

use amends::{Conn, HalfError, NewMessage, reject};

use super::table::{self, PayRow};
use super::{PayError, Payments, REFUND_DUE, REFUND_TOPIC, RefundDue, SUCCESS, TOPIC};
use crate::domain::{Cents, Code, PayId, PaymentState};
use crate::holds;

/// How often to look again when others change the payment meanwhile.
const MAX_RACES: u32 = 5;

/// The verdict on a callback that names another amount.
pub(super) const AMOUNT_INVALID: &str = "amount invalid";

/// What a payment came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is paid from now on.
    Now,
    /// It was paid before; nothing has changed.
    Before,
    /// It had been closed: the money goes back.
    TooLate,
}

/// The callback that says so, as it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proof<'a> {
    pub(super) callback_id: &'a str,
    pub(super) raw: &'a str,
}

impl Settled {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Now => "paid",
            Self::Before => "paid before",
            Self::TooLate => "too late",
        }
    }
}

impl Payments {
    /// The provider has the money: the payment is made, once, or, when it came
    /// too late, paid back.
    ///
    /// # Errors
    /// Refused when there is no such payment, or for another amount. Everything
    /// else may be tried again.
    pub(super) async fn settle(
        &self,
        pay: &PayId,
        amount: Cents,
        proof: Option<Proof<'_>>,
    ) -> Result<Settled, PayError> {
        for _ in 0..MAX_RACES {
            let row = self.find(pay).await?;
            if row.pay_amount != amount && row.is_paid != PaymentState::Closed {
                self.keep(pay, proof, AMOUNT_INVALID).await?;
                let text = format!("{amount} were paid, {} are due", row.pay_amount);
                return Err(PayError::refused(Code::PayAmountInvalid, text));
            }
            let settled = match row.is_paid {
                PaymentState::Unpaid | PaymentState::Paying => self.pay(&row, proof).await?,
                PaymentState::Closed => self.pay_back(&row, proof).await?,
                _ => {
                    self.keep(pay, proof, Settled::Before.as_str()).await?;
                    Some(Settled::Before)
                }
            };
            if let Some(settled) = settled {
                return Ok(settled);
            }
        }
        Err(PayError::Busy)
    }

    /// One payment.
    pub(super) async fn find(&self, pay: &PayId) -> Result<PayRow, PayError> {
        let find = async |conn: &mut Conn| table::find(conn, pay).await;
        let found = self.database.transaction(find).await?;
        let missing = || PayError::refused(Code::PayNoExist, format!("there is no payment {pay}"));
        found.ok_or_else(missing)
    }

    /// Open to paid, and everybody is told; `None` when it is not open any more.
    ///
    /// A half message: it is at the coordinator before the local transaction
    /// begins, and delivered if that commits, whoever dies when.
    async fn pay(
        &self,
        row: &PayRow,
        proof: Option<Proof<'_>>,
    ) -> Result<Option<Settled>, PayError> {
        let pay = &row.pay_id;
        let paid = self
            .client
            .half(TOPIC, row.event())
            .tag(SUCCESS)
            .key(pay.as_str())
            .order_key(row.order_id.as_str())
            .in_tx(&self.database, async |conn| {
                if !table::end(conn, pay, PaymentState::Paid).await? {
                    reject!(Code::OrderPayStatusIsPay, "payment {pay} is not open");
                }
                keep(conn, pay, proof, Settled::Now.as_str()).await?;
                self.holds.pass(holds::PAY_SETTLE).await?;
                Ok(())
            });
        match paid.await {
            Ok(()) => Ok(Some(Settled::Now)),
            Err(HalfError::Refused { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Closed to refunding, and the refund is ordered.
    async fn pay_back(
        &self,
        row: &PayRow,
        proof: Option<Proof<'_>>,
    ) -> Result<Option<Settled>, PayError> {
        let pay = &row.pay_id;
        let late = async |conn: &mut Conn| {
            let (from, to) = (PaymentState::Closed, PaymentState::Refunding);
            if !table::change(conn, pay, from, to).await? {
                return Ok(None);
            }
            keep(conn, pay, proof, Settled::TooLate.as_str()).await?;
            conn.publish(refund_due(pay)).await?;
            Ok(Some(Settled::TooLate))
        };
        self.database.transaction(late).await
    }

    async fn keep(
        &self,
        pay: &PayId,
        proof: Option<Proof<'_>>,
        verdict: &str,
    ) -> Result<(), PayError> {
        let keep = async |conn: &mut Conn| keep(conn, pay, proof, verdict).await;
        Ok(self.database.transaction(keep).await?)
    }
}

async fn keep(
    conn: &mut Conn,
    pay: &PayId,
    proof: Option<Proof<'_>>,
    verdict: &str,
) -> Result<(), amends::DatabaseError> {
    if let Some(proof) = proof {
        table::keep_callback(conn, proof.callback_id, pay, proof.raw, verdict).await?;
    }
    Ok(())
}

/// What is told about a payment: what there is to say about one order reaches
/// each service in order.
pub(super) fn event(row: &PayRow, tag: &str) -> NewMessage {
    NewMessage::new(TOPIC, &row.event())
        .tag(tag)
        .key(row.pay_id.as_str())
        .order_key(row.order_id.as_str())
}

/// Orders a refund.
pub fn refund_due(pay: &PayId) -> NewMessage {
    let due = RefundDue {
        pay_id: pay.clone(),
    };
    NewMessage::new(REFUND_TOPIC, &due)
        .tag(REFUND_DUE)
        .key(pay.as_str())
}
