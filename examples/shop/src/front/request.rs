//! [`OrderRequest`]: an order as it arrives.

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use super::Problem;
use crate::domain::{Cents, Code, CouponId, GoodsId, OrderId, PlaceOrder, UserId};

/// The header that names an order, where its body does not.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The body of `POST /orders`. Money is in cents; ids are texts or numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderRequest {
    /// Chosen by the caller, so that sending again is no second order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<OrderId>,
    /// Who buys.
    pub user_id: UserId,
    /// What.
    pub goods_id: GoodsId,
    /// How many.
    pub goods_number: i64,
    /// The price of one, as it was shown.
    pub goods_price: Cents,
    /// The fee for shipping, as it was shown.
    pub shipping_fee: Cents,
    /// Goods and shipping, as it was shown.
    pub order_amount: Cents,
    /// A coupon to use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon_id: Option<CouponId>,
    /// What it is worth, as it was shown.
    #[serde(default)]
    pub coupon_paid: Cents,
    /// What to pay from the balance.
    #[serde(default)]
    pub money_paid: Cents,
    /// Where it goes.
    pub address: String,
    /// To whom.
    pub consignee: String,
}

impl OrderRequest {
    /// Reads a request: its body, and its id from the header where the body has none.
    ///
    /// # Errors
    /// A [`Problem`] with [`Code::OrderInvalid`] that says where the text is wrong.
    pub fn read(headers: &HeaderMap, body: &Bytes) -> Result<PlaceOrder, Problem> {
        let bad = |text: String| Problem::new(StatusCode::BAD_REQUEST, Code::OrderInvalid, text);
        let request: Self = serde_json::from_slice(body).map_err(|error| bad(error.to_string()))?;
        let order_id = match (request.order_id.clone(), headers.get(IDEMPOTENCY_KEY)) {
            (Some(id), None) => id,
            (None, None) => OrderId::unique(),
            (in_body, Some(key)) => {
                let key = key
                    .to_str()
                    .map_err(|_| bad("the key is no text".to_owned()))?;
                let key: OrderId = key
                    .parse()
                    .map_err(|error: crate::domain::IdError| bad(error.to_string()))?;
                if in_body.is_some_and(|id| id != key) {
                    return Err(bad("the header and the body name two orders".to_owned()));
                }
                key
            }
        };
        Ok(request.with_id(order_id))
    }

    /// The order that it asks for.
    #[must_use]
    pub fn with_id(self, order_id: OrderId) -> PlaceOrder {
        PlaceOrder {
            order_id,
            user_id: self.user_id,
            goods_id: self.goods_id,
            goods_number: self.goods_number,
            goods_price: self.goods_price,
            shipping_fee: self.shipping_fee,
            order_amount: self.order_amount,
            coupon_id: self.coupon_id,
            coupon_paid: self.coupon_paid,
            money_paid: self.money_paid,
            address: self.address,
            consignee: self.consignee,
        }
    }
}

impl From<PlaceOrder> for OrderRequest {
    fn from(order: PlaceOrder) -> Self {
        Self {
            order_id: Some(order.order_id),
            user_id: order.user_id,
            goods_id: order.goods_id,
            goods_number: order.goods_number,
            goods_price: order.goods_price,
            shipping_fee: order.shipping_fee,
            order_amount: order.order_amount,
            coupon_id: order.coupon_id,
            coupon_paid: order.coupon_paid,
            money_paid: order.money_paid,
            address: order.address,
            consignee: order.consignee,
        }
    }
}
