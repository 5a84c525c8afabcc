//! Paying from a balance, and paying back.

use amends::{Conn, StepResult, reject};

use super::table::{self, MoneyLogType};
use super::{Deduct, Deducted, Users};
use crate::domain::{Cents, Code};
use crate::holds;

#[amends::service(name = "user", cancel_on(topic = "orderTopic", tag = "order_cancel"))]
impl Users {
    /// Takes money from a balance for an order. Nothing to pay charges
    /// nothing, but the user must exist.
    #[step(
        compensate = refund,
        timeout = "5s",
        retry(max_attempts = 12, backoff = "100ms", max_backoff = "2s")
    )]
    pub async fn deduct(&self, conn: &mut Conn, req: Deduct) -> StepResult<Deducted> {
        let Deduct {
            order_id,
            user_id,
            amount,
        } = req;
        if amount.is_negative() {
            reject!(
                Code::MoneyPaidLessZero,
                "{amount} cannot be paid from a balance"
            );
        }
        let Some(user) = table::find(conn, user_id).await? else {
            reject!(Code::UserNoExist, "there is no user {user_id}");
        };
        if amount == Cents::ZERO {
            return Ok(Deducted { paid: amount });
        }
        if table::is_logged(conn, user_id, &order_id, MoneyLogType::Payment).await? {
            reject!(
                Code::UserMoneyReduceAlready,
                "order {order_id} was paid from the balance"
            );
        }
        table::log(conn, user_id, &order_id, MoneyLogType::Payment, amount).await?;
        if !table::take(conn, user_id, amount).await? {
            reject!(
                Code::MoneyPaidInvalid,
                "{amount} to pay, {} in the balance",
                user.money
            );
        }
        self.holds.pass(holds::USER_DEDUCT).await?;
        Ok(Deducted { paid: amount })
    }

    /// Pays back what was taken.
    pub async fn refund(&self, conn: &mut Conn, req: &Deduct, done: &Deducted) -> StepResult<()> {
        let Deduct {
            order_id, user_id, ..
        } = req;
        if done.paid == Cents::ZERO {
            return Ok(());
        }
        // Behind the consumer log's back, say by a refund made by hand: the money is there.
        if table::is_logged(conn, *user_id, order_id, MoneyLogType::Refund).await? {
            tracing::warn!(%order_id, code = %Code::UserMoneyRefundAlready, "nothing to pay back");
            return Ok(());
        }
        table::log(conn, *user_id, order_id, MoneyLogType::Refund, done.paid).await?;
        table::put_back(conn, *user_id, done.paid).await?;
        self.holds.pass(holds::USER_REFUND).await?;
        Ok(())
    }
}
