//! What there is to buy, and who buys.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::answer::from_query;
use super::{Front, Problem};
use crate::domain::{Code, UserId};
use crate::proto::coupon_service_client::CouponServiceClient;
use crate::proto::goods_service_client::GoodsServiceClient;
use crate::proto::user_service_client::UserServiceClient;
use crate::proto::{GetUserRequest, ListCouponsRequest, ListGoodsRequest};

/// `GET /goods`.
pub(super) async fn goods(State(front): State<Front>) -> Result<Json<Value>, Problem> {
    let mut goods = GoodsServiceClient::new(front.inner.goods.clone());
    let answer = goods.list_goods(ListGoodsRequest {}).await;
    let answer = answer.map_err(|status| from_query(Code::GoodsNoExist.as_str(), &status))?;
    let goods = answer.into_inner().goods.into_iter().map(|goods| {
        json!({
            "goods_id": goods.goods_id.to_string(),
            "goods_name": goods.name,
            "goods_price": goods.price_cents,
            "goods_number": goods.number,
            "goods_desc": goods.description,
        })
    });
    Ok(Json(goods.collect()))
}

/// `GET /users/{id}`: balance, points, coupons.
pub(super) async fn user(
    State(front): State<Front>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let id: UserId = id.parse().map_err(|error: crate::domain::IdError| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "REQUEST_INVALID",
            error.to_string(),
        )
    })?;
    let mut users = UserServiceClient::new(front.inner.user.clone());
    let mut coupons = CouponServiceClient::new(front.inner.coupon.clone());
    let (user, coupons) = tokio::join!(
        users.get_user(GetUserRequest { user_id: id.get() }),
        coupons.list_coupons(ListCouponsRequest { user_id: id.get() }),
    );
    let missing = |status| from_query(Code::UserNoExist.as_str(), &status);
    let user = user.map_err(missing)?.into_inner();
    let coupons = coupons.map_err(missing)?.into_inner().coupons.into_iter();
    let coupons = coupons.map(|coupon| {
        json!({
            "coupon_id": coupon.coupon_id.to_string(),
            "coupon_price": coupon.price_cents,
            "is_used": coupon.used,
        })
    });
    Ok(Json(json!({
        "user_id": user.user_id.to_string(),
        "user_name": user.name,
        "user_money": user.balance_cents,
        "user_score": user.score,
        "coupons": coupons.collect::<Vec<_>>(),
    })))
}
