//! Paying from a balance, and paying back; holding money and points for a purchase.

use amends::{Conn, Message, StepResult, reject};

use super::frozen::{self, Kind};
use super::table::{self, MoneyLogType};
use super::{Deduct, Deducted, Freeze, Frozen, Users};
use crate::domain::{Cents, Code, OrderId, UserId};
use crate::holds;
use crate::services::order::OrderClosed;
use crate::services::pay::{PaymentEvent, REFUNDED};

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
        pay_back(conn, *user_id, order_id, done.paid).await?;
        self.holds.pass(holds::USER_REFUND).await?;
        Ok(())
    }

    /// Pays back what an order that was given up took from the balance.
    #[on_message(topic = "orderClosedTopic", tags = "order_not_paid", dedupe = key)]
    pub async fn closed(&self, conn: &mut Conn, msg: Message<OrderClosed>) -> StepResult<()> {
        let order = &msg.body;
        pay_back(conn, order.user_id, &order.order_id, order.money_paid).await
    }

    /// Takes money out of a balance and holds it for a purchase.
    #[tcc(
        confirm = settle,
        cancel = unfreeze,
        timeout = "5s",
        retry(max_attempts = 12, backoff = "100ms", max_backoff = "2s")
    )]
    pub async fn freeze_money(&self, conn: &mut Conn, req: Freeze) -> StepResult<Frozen> {
        self.freeze(conn, req, Kind::Money).await
    }

    /// Takes points and holds them for a purchase.
    #[tcc(
        confirm = settle,
        cancel = unfreeze,
        timeout = "5s",
        retry(max_attempts = 12, backoff = "100ms", max_backoff = "2s")
    )]
    pub async fn freeze_points(&self, conn: &mut Conn, req: Freeze) -> StepResult<Frozen> {
        self.freeze(conn, req, Kind::Points).await
    }

    /// What was held is spent.
    async fn settle(&self, conn: &mut Conn, req: &Freeze, held: &Frozen) -> StepResult<()> {
        frozen::spend(conn, &req.purchase_id, held.kind).await?;
        self.holds.pass(holds::USER_SETTLE).await?;
        Ok(())
    }

    /// What was held goes back to where it was.
    async fn unfreeze(&self, conn: &mut Conn, req: &Freeze, held: &Frozen) -> StepResult<()> {
        frozen::give_back(conn, req, held).await
    }

    /// Adds the points that a payment earns; takes them back when it is paid back.
    #[on_message(
        topic = "payTopic",
        tags = "pay_success || pay_refunded",
        dedupe = key,
        max_attempts = 16
    )]
    pub async fn points(&self, conn: &mut Conn, msg: Message<PaymentEvent>) -> StepResult<()> {
        let PaymentEvent {
            pay_id,
            user_id,
            amount,
            ..
        } = &msg.body;
        let earned = table::earned(conn, pay_id).await?;
        let change = match (msg.tag.as_str(), earned) {
            (REFUNDED, earned) => -earned,
            (_, 0) => amount.points(),
            // Earned before, as the log says.
            _ => 0,
        };
        if change != 0 && !table::add_points(conn, *user_id, pay_id, change).await? {
            reject!(Code::UserNoExist, "there is no user {user_id}");
        }
        Ok(())
    }
}

impl Users {
    async fn freeze(&self, conn: &mut Conn, req: Freeze, kind: Kind) -> StepResult<Frozen> {
        if table::find(conn, req.user_id).await?.is_none() {
            reject!(Code::UserNoExist, "there is no user {}", req.user_id);
        }
        if req.amount <= 0 {
            reject!(Code::MoneyPaidLessZero, "{} cannot be held", req.amount);
        }
        if !frozen::take(conn, &req, kind).await? {
            match kind {
                Kind::Money => reject!(
                    Code::MoneyPaidInvalid,
                    "{} to pay is more than the balance",
                    Cents::new(req.amount)
                ),
                Kind::Points => reject!(
                    Code::UserScoreNotEnough,
                    "{} points to pay are more than there are",
                    req.amount
                ),
            }
        }
        self.holds.pass(holds::USER_FREEZE).await?;
        Ok(Frozen {
            kind,
            amount: req.amount,
        })
    }
}

/// Pays back, once.
async fn pay_back(
    conn: &mut Conn,
    user_id: UserId,
    order_id: &OrderId,
    paid: Cents,
) -> StepResult<()> {
    if paid == Cents::ZERO {
        return Ok(());
    }
    // Behind the consumer log's back, say by a refund made by hand: the money is there.
    if table::is_logged(conn, user_id, order_id, MoneyLogType::Refund).await? {
        tracing::warn!(%order_id, code = %Code::UserMoneyRefundAlready, "nothing to pay back");
        return Ok(());
    }
    table::log(conn, user_id, order_id, MoneyLogType::Refund, paid).await?;
    table::put_back(conn, user_id, paid).await?;
    Ok(())
}
