//! Every order of calls against every step: do, failing do, undo, repeated,
//! late, and two at once.
//!
//! The kit makes a transaction for each order of calls, with one and the same
//! request. In the shop an order has one transaction, so here every
//! transaction gets an order of its own; the code under test is the services'.

use amends::testing::fence;
use amends::{Conn, Database, StepResult, args};
use shop::domain::{OrderId, PlaceOrder, Receipt};
use shop::services::coupon::{CouponUsed, Coupons, UseCoupon};
use shop::services::goods::{Goods, Reserve, Reserved};
use shop::services::order::{Confirm, Created, Orders};
use shop::services::user::{Deduct, Deducted, Users};

use crate::databases::{on_mysql, on_postgres, on_sqlite};
use crate::shop::{Shop, confirm, deduct, full_order, reserve, use_coupon};

struct EachGoods(Goods);
struct EachCoupons(Coupons);
struct EachUsers(Users);
struct EachOrders(Orders);

fn own(conn: &Conn) -> OrderId {
    conn.cx().unwrap().gid().parse().unwrap()
}

#[amends::service(name = "each-goods")]
impl EachGoods {
    #[step(compensate = release)]
    async fn reserve(&self, conn: &mut Conn, req: Reserve) -> StepResult<Reserved> {
        let order_id = own(conn);
        self.0.reserve(conn, Reserve { order_id, ..req }).await
    }

    async fn release(&self, conn: &mut Conn, req: &Reserve, done: &Reserved) -> StepResult<()> {
        let order_id = own(conn);
        let req = Reserve {
            order_id,
            ..req.clone()
        };
        self.0.release(conn, &req, done).await
    }
}

#[amends::service(name = "each-coupon")]
impl EachCoupons {
    #[step(compensate = give_back)]
    async fn take(&self, conn: &mut Conn, req: UseCoupon) -> StepResult<CouponUsed> {
        let order_id = own(conn);
        self.0.use_coupon(conn, UseCoupon { order_id, ..req }).await
    }

    async fn give_back(
        &self,
        conn: &mut Conn,
        req: &UseCoupon,
        done: &CouponUsed,
    ) -> StepResult<()> {
        let order_id = own(conn);
        let req = UseCoupon {
            order_id,
            ..req.clone()
        };
        self.0.give_back(conn, &req, done).await
    }
}

#[amends::service(name = "each-user")]
impl EachUsers {
    #[step(compensate = refund)]
    async fn deduct(&self, conn: &mut Conn, req: Deduct) -> StepResult<Deducted> {
        let order_id = own(conn);
        self.0.deduct(conn, Deduct { order_id, ..req }).await
    }

    async fn refund(&self, conn: &mut Conn, req: &Deduct, done: &Deducted) -> StepResult<()> {
        let order_id = own(conn);
        let req = Deduct {
            order_id,
            ..req.clone()
        };
        self.0.refund(conn, &req, done).await
    }
}

#[amends::service(name = "each-order")]
impl EachOrders {
    #[step(compensate = abandon)]
    async fn create(&self, conn: &mut Conn, req: PlaceOrder) -> StepResult<Created> {
        let order_id = own(conn);
        self.0.create(conn, PlaceOrder { order_id, ..req }).await
    }

    async fn abandon(&self, conn: &mut Conn, req: &PlaceOrder, done: &Created) -> StepResult<()> {
        let order_id = own(conn);
        let req = PlaceOrder {
            order_id,
            ..req.clone()
        };
        self.0.abandon(conn, &req, done).await
    }

    /// Of an order that is there by then.
    #[step(compensate = unconfirm)]
    async fn confirm(&self, conn: &mut Conn, req: Confirm) -> StepResult<Receipt> {
        let order_id = own(conn);
        let order = PlaceOrder {
            order_id: order_id.clone(),
            ..full_order("any")
        };
        self.0.create(conn, order).await?;
        self.0.confirm(conn, Confirm { order_id, ..req }).await
    }

    async fn unconfirm(&self, conn: &mut Conn, req: &Confirm, done: &Receipt) -> StepResult<()> {
        let order_id = own(conn);
        let req = Confirm {
            order_id,
            ..req.clone()
        };
        self.0.unconfirm(conn, &req, done).await
    }
}

async fn number(conn: &mut Conn, sql: &str) -> StepResult<i64> {
    Ok(conn.fetch_one(sql, args![]).await?.at(0)?)
}

async fn every_order_of_calls(database: Database, calls: usize) {
    let shop = Shop::new(database).await;
    let (database, order) = (&shop.database, full_order("any"));
    fence(database, EachGoods(Goods::default()))
        .step(EachGoods::RESERVE, reserve(&order))
        .unchanged(async |conn| number(conn, "SELECT goods_number FROM trade_goods").await)
        .check_all_orders(calls)
        .await
        .unwrap();
    fence(database, EachCoupons(Coupons::default()))
        .step(EachCoupons::TAKE, use_coupon(&order))
        .unchanged(async |conn| number(conn, "SELECT is_used FROM trade_coupon").await)
        .check_all_orders(calls)
        .await
        .unwrap();
    fence(database, EachUsers(Users::default()))
        .step(EachUsers::DEDUCT, deduct(&order))
        .unchanged(async |conn| number(conn, "SELECT user_money FROM trade_user").await)
        .check_all_orders(calls)
        .await
        .unwrap();
    let unconfirmed = "SELECT COUNT(*) FROM trade_order WHERE order_status = 0";
    fence(database, EachOrders(Orders::default()))
        .step(EachOrders::CREATE, order.clone())
        .unchanged(async |conn| number(conn, unconfirmed).await)
        .check_all_orders(calls)
        .await
        .unwrap();
    let confirmed = "SELECT COUNT(*) FROM trade_order WHERE order_status = 1";
    fence(database, EachOrders(Orders::default()))
        .step(EachOrders::CONFIRM, confirm(&order))
        .unchanged(async |conn| number(conn, confirmed).await)
        .check_all_orders(calls)
        .await
        .unwrap();
    shop.sql("DELETE FROM trade_order").await;
    shop.assert_balanced().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    on_sqlite(async |database| every_order_of_calls(database, 3).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    on_postgres(async |database| every_order_of_calls(database, 2).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql() {
    on_mysql(async |database| every_order_of_calls(database, 2).await).await;
}
