//! Services and a saga in the size of the SDK's documentation.

use amends::{Conn, Saga, StepCx, StepResult, Wire, reject, wire};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Wire)]
pub struct PlaceOrder {
    pub order: String,
    pub goods: String,
    pub number: u32,
    pub coupon: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Wire)]
pub struct ReserveReq {
    pub goods: String,
    pub number: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Wire)]
pub struct Reservation {
    pub price: i64,
    pub lines: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Wire)]
pub struct UseReq {
    pub coupon: Option<String>,
    pub order: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Wire)]
pub struct ConfirmReq {
    pub order: String,
    pub price: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Wire)]
pub struct Receipt {
    pub order: String,
    pub paid: i64,
}

pub struct Inventory {
    pub left: u32,
}

#[amends::service(name = "inventory")]
impl Inventory {
    /// Takes stock out of sale.
    #[step(compensate = release, timeout = "5s", retry(max_attempts = 4, backoff = "200ms"))]
    pub async fn reserve(&self, _conn: &mut Conn, req: ReserveReq) -> StepResult<Reservation> {
        if req.number > self.left {
            reject!("OUT_OF_STOCK", "{} x {}", req.goods, req.number);
        }
        Ok(Reservation {
            price: 500,
            lines: vec![req.goods],
        })
    }

    /// Runs only if `reserve` committed.
    async fn release(
        &self,
        _conn: &mut Conn,
        _req: &ReserveReq,
        _done: &Reservation,
    ) -> StepResult<()> {
        Ok(())
    }
}

pub struct Coupons;

#[amends::service(name = "coupons")]
impl Coupons {
    /// Uses a coupon at a provider elsewhere.
    #[step(compensate = give_back, effects = external)]
    pub async fn use_(&self, cx: &StepCx, req: UseReq) -> StepResult<String> {
        Ok(format!("{}:{}", cx.idempotency_key(), req.order))
    }

    async fn give_back(
        &self,
        _cx: &StepCx,
        _req: &UseReq,
        _done: Option<&String>,
    ) -> StepResult<()> {
        Ok(())
    }
}

pub struct Orders;

#[amends::service(name = "orders")]
impl Orders {
    /// Confirms an order.
    ///
    /// It becomes visible.
    #[step(name = "confirm-order", compensate = none)]
    pub async fn confirm(&self, _conn: &mut Conn, req: ConfirmReq) -> StepResult<Receipt> {
        Ok(Receipt {
            order: req.order,
            paid: req.price,
        })
    }
}

pub fn confirm_order() -> Saga<PlaceOrder, Receipt> {
    Saga::define("shop.confirm-order", 1, |s, input| {
        let stock = s.step(
            "reserve-stock",
            Inventory::RESERVE,
            wire!(ReserveReq {
                goods: input.goods,
                number: input.number
            }),
        );
        let coupon = s.step(
            "use-coupon",
            Coupons::USE,
            wire!(UseReq {
                coupon: input.coupon,
                order: input.order
            }),
        );
        s.after(&coupon).pivot(
            "confirm",
            Orders::CONFIRM,
            wire!(ConfirmReq {
                order: input.order,
                price: stock.price
            }),
        )
    })
}
