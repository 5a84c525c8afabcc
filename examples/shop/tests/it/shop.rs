//! The shop of a test: all services over one database, called through the
//! consumer log as a coordinator would call them.

use amends::testing::{Direct, direct};
use amends::{Conn, Database, StepError, StepResult};
use shop::domain::{Cents, GoodsId, OrderId, PlaceOrder, Receipt, UserId};
use shop::invariants::{self, Books, Databases};
use shop::samples;
use shop::services::coupon::{Coupons, UseCoupon};
use shop::services::goods::{Goods, Reserve};
use shop::services::order::{Confirm, Orders};
use shop::services::user::{Deduct, Users};

pub struct Shop {
    pub database: Database,
    pub databases: Databases,
    pub orders: Direct,
    pub goods: Direct,
    pub coupons: Direct,
    pub users: Direct,
}

impl Shop {
    /// With the sample data.
    pub async fn new(database: Database) -> Self {
        let databases = Databases {
            order: database.clone(),
            goods: database.clone(),
            coupon: database.clone(),
            user: database.clone(),
            mail: database.clone(),
            pay: database.clone(),
            paylog: database.clone(),
            provider: database.clone(),
        };
        database.create_tables_if_missing().await.unwrap();
        samples::fill(&databases).await.unwrap();
        Self {
            orders: direct(&database, Orders::default()),
            goods: direct(&database, Goods::default()),
            coupons: direct(&database, Coupons::default()),
            users: direct(&database, Users::default()),
            databases,
            database,
        }
    }

    /// Places an order step by step; on a refusal undoes what was done, in
    /// reverse, and returns the code.
    pub async fn place(&self, order: &PlaceOrder) -> Result<Receipt, String> {
        let gid = order.order_id.as_str();
        let created = self
            .orders
            .run(Orders::CREATE, gid, order)
            .await
            .map_err(code)?;
        let placed = self.place_created(order).await;
        if placed.is_err() {
            self.orders.undo(Orders::CREATE, gid, order).await.unwrap();
        } else {
            assert_eq!(created.order_id, order.order_id);
        }
        placed
    }

    async fn place_created(&self, order: &PlaceOrder) -> Result<Receipt, String> {
        let (gid, reserve) = (order.order_id.as_str(), reserve(order));
        self.goods
            .run(Goods::RESERVE, gid, &reserve)
            .await
            .map_err(code)?;
        let placed = self.place_reserved(order).await;
        if placed.is_err() {
            self.goods
                .undo(Goods::RESERVE, gid, &reserve)
                .await
                .unwrap();
        }
        placed
    }

    async fn place_reserved(&self, order: &PlaceOrder) -> Result<Receipt, String> {
        let (gid, coupon) = (order.order_id.as_str(), use_coupon(order));
        self.coupons
            .run(Coupons::USE_COUPON, gid, &coupon)
            .await
            .map_err(code)?;
        let placed = self.place_with_coupon(order).await;
        if placed.is_err() {
            self.coupons
                .undo(Coupons::USE_COUPON, gid, &coupon)
                .await
                .unwrap();
        }
        placed
    }

    async fn place_with_coupon(&self, order: &PlaceOrder) -> Result<Receipt, String> {
        let (gid, deduct) = (order.order_id.as_str(), deduct(order));
        self.users
            .run(Users::DEDUCT, gid, &deduct)
            .await
            .map_err(code)?;
        let confirmed = self.orders.run(Orders::CONFIRM, gid, &confirm(order)).await;
        if confirmed.is_err() {
            self.users.undo(Users::DEDUCT, gid, &deduct).await.unwrap();
        }
        confirmed.map_err(code)
    }

    /// What its saga does when it turns back after all steps were done.
    pub async fn undo(&self, order: &PlaceOrder) {
        let gid = order.order_id.as_str();
        let (confirm, deduct) = (confirm(order), deduct(order));
        let (coupon, reserve) = (use_coupon(order), reserve(order));
        let confirmed = self.orders.undo(Orders::CONFIRM, gid, &confirm);
        confirmed.await.unwrap();
        let charged = self.users.undo(Users::DEDUCT, gid, &deduct);
        charged.await.unwrap();
        let used = self.coupons.undo(Coupons::USE_COUPON, gid, &coupon);
        used.await.unwrap();
        let reserved = self.goods.undo(Goods::RESERVE, gid, &reserve);
        reserved.await.unwrap();
        self.orders.undo(Orders::CREATE, gid, order).await.unwrap();
    }

    /// What the services wrote down, right or wrong.
    pub async fn books(&self) -> Books {
        invariants::check(&self.databases).await.unwrap().books
    }

    pub async fn assert_balanced(&self) {
        let report = invariants::check(&self.databases).await.unwrap();
        assert_eq!(report.breaches, Vec::<String>::new());
    }

    pub async fn stock(&self) -> i64 {
        self.books().await.stock[&samples::GOODS.get()]
    }

    pub async fn balance(&self) -> Cents {
        self.books().await.balances[&samples::USER.get()]
    }

    /// Runs work in a transaction of its own.
    pub async fn with<T>(
        &self,
        work: impl AsyncFnOnce(&mut Conn) -> StepResult<T>,
    ) -> StepResult<T> {
        let mut conn = self.database.begin().await?;
        let done = work(&mut conn).await;
        match done {
            Ok(value) => {
                conn.commit().await?;
                Ok(value)
            }
            Err(error) => {
                conn.rollback().await?;
                Err(error)
            }
        }
    }

    /// Runs a statement without arguments.
    pub async fn sql(&self, text: &str) {
        let run = async |conn: &mut Conn| Ok(conn.execute_text(text).await?);
        self.with(run).await.unwrap();
    }
}

/// One course for the sample user, nothing paid.
pub fn order(id: &str) -> PlaceOrder {
    PlaceOrder {
        order_id: id.parse().unwrap(),
        user_id: samples::USER,
        goods_id: samples::GOODS,
        goods_number: 1,
        goods_price: samples::PRICE,
        shipping_fee: Cents::ZERO,
        order_amount: samples::PRICE,
        coupon_id: None,
        coupon_paid: Cents::ZERO,
        money_paid: Cents::ZERO,
        address: "1 Main Street".to_owned(),
        consignee: "Ada".to_owned(),
    }
}

/// The same with the sample coupon and 100.00 from the balance.
pub fn full_order(id: &str) -> PlaceOrder {
    PlaceOrder {
        coupon_id: Some(samples::COUPON),
        coupon_paid: samples::COUPON_PRICE,
        money_paid: Cents::units(100),
        ..order(id)
    }
}

pub fn reserve(order: &PlaceOrder) -> Reserve {
    Reserve {
        order_id: order.order_id.clone(),
        goods_id: order.goods_id,
        number: order.goods_number,
        price: order.goods_price,
    }
}

pub fn use_coupon(order: &PlaceOrder) -> UseCoupon {
    UseCoupon {
        order_id: order.order_id.clone(),
        user_id: order.user_id,
        coupon_id: order.coupon_id,
        value: order.coupon_paid,
    }
}

pub fn deduct(order: &PlaceOrder) -> Deduct {
    Deduct {
        order_id: order.order_id.clone(),
        user_id: order.user_id,
        amount: order.money_paid,
    }
}

pub fn confirm(order: &PlaceOrder) -> Confirm {
    Confirm {
        order_id: order.order_id.clone(),
        number: order.goods_number,
        price: order.goods_price,
        coupon_paid: order.coupon_paid,
        money_paid: order.money_paid,
    }
}

pub fn id(text: &str) -> OrderId {
    text.parse().unwrap()
}

/// A user and goods that nobody has.
pub const NOBODY: UserId = UserId::new(1);
pub const NOTHING: GoodsId = GoodsId::new(1);

/// The code of a refusal; anything else is a failure of the test.
pub fn code(error: StepError) -> String {
    match error {
        StepError::Refused { code, .. } => code,
        other => panic!("not refused: {other}"),
    }
}

/// What a step answered: `done`, or the code of its refusal.
pub fn answer<T>(result: StepResult<T>) -> String {
    result.map_or_else(code, |_| "done".to_owned())
}
