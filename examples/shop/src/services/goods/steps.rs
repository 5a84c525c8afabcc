//! Taking stock for an order, and giving it back.

use amends::{Conn, Message, StepResult, reject};

use super::table::{self, Operation};
use super::{Goods, Reserve, Reserved};
use crate::domain::{Code, GoodsId, OrderId, check_goods};
use crate::holds;
use crate::services::order::OrderClosed;

#[amends::service(name = "goods", cancel_on(topic = "orderTopic", tag = "order_cancel"))]
impl Goods {
    /// Takes goods out of sale for an order, the last one too.
    #[step(
        compensate = release,
        timeout = "5s",
        retry(max_attempts = 12, backoff = "100ms", max_backoff = "2s")
    )]
    pub async fn reserve(&self, conn: &mut Conn, req: Reserve) -> StepResult<Reserved> {
        let Reserve {
            order_id,
            goods_id,
            number,
            price,
        } = req;
        if number <= 0 {
            reject!(Code::OrderInvalid, "{number} is no number of goods");
        }
        let Some(goods) = table::find(conn, goods_id).await? else {
            reject!(Code::GoodsNoExist, "there are no goods {goods_id}");
        };
        check_goods(price, goods.price)?;
        if table::is_logged(conn, goods_id, &order_id, Operation::Reserve).await? {
            reject!(
                Code::GoodsReserveAlready,
                "order {order_id} has its {goods_id}"
            );
        }
        table::log(conn, goods_id, &order_id, Operation::Reserve, -number).await?;
        if !table::take(conn, goods_id, number).await? {
            reject!(
                Code::GoodsNumNotEnough,
                "{number} wanted, {} left",
                goods.number
            );
        }
        self.holds.pass(holds::GOODS_RESERVE).await?;
        Ok(Reserved { price, number })
    }

    /// Puts them back on sale.
    pub async fn release(&self, conn: &mut Conn, req: &Reserve, done: &Reserved) -> StepResult<()> {
        put_back(conn, req.goods_id, &req.order_id, done.number).await?;
        self.holds.pass(holds::GOODS_RELEASE).await?;
        Ok(())
    }

    /// Puts the goods of an order that was given up back on sale.
    #[on_message(topic = "orderClosedTopic", tags = "order_not_paid", dedupe = key)]
    pub async fn closed(&self, conn: &mut Conn, msg: Message<OrderClosed>) -> StepResult<()> {
        let OrderClosed {
            order_id,
            goods_id,
            goods_number,
            ..
        } = msg.body;
        put_back(conn, goods_id, &order_id, goods_number).await
    }
}

/// Puts goods back on sale, once: a saga may turn back, and nobody pay for its order as well.
async fn put_back(
    conn: &mut Conn,
    goods_id: GoodsId,
    order_id: &OrderId,
    number: i64,
) -> StepResult<()> {
    if table::is_logged(conn, goods_id, order_id, Operation::Release).await? {
        tracing::warn!(%order_id, goods = %goods_id, "nothing to put back");
        return Ok(());
    }
    table::log(conn, goods_id, order_id, Operation::Release, number).await?;
    table::put_back(conn, goods_id, number).await?;
    Ok(())
}
