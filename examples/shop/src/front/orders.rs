//! Placing an order, looking at it, giving it up.

use amends::Outcome;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::answer::from_query;
use super::{Front, OrderRequest, Problem};
use crate::domain::{Code, Receipt, check_order};
use crate::proto::order_service_client::OrderServiceClient;
use crate::proto::{CancelOrderRequest, GetOrderRequest, Order};
use crate::saga::place_order;

/// `POST /orders`: 201 confirmed, 202 still under way, otherwise a problem.
///
/// Sending the same order again gives the same answer, whoever died meanwhile.
pub(super) async fn place(
    State(front): State<Front>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let order = OrderRequest::read(&headers, &body)?;
    // What can be seen at once need not become an order. The steps check
    // everything again, and what they say holds.
    check_order(&order)?;
    let id = order.order_id.clone();
    let placing = front.inner.client.start(&place_order(), id.as_str(), order);
    match placing.and_wait(front.inner.patience).await? {
        Outcome::Completed(receipt) => Ok(confirmed(&receipt)),
        Outcome::Compensated {
            code,
            message,
            step,
        } => {
            tracing::debug!(order = %id, step, code, "refused");
            Err(Problem::refused(code, message))
        }
        Outcome::Pending | Outcome::Stuck { .. } | Outcome::Forced { .. } => {
            Ok(under_way(id.as_str()))
        }
    }
}

/// `GET /orders/{id}`.
pub(super) async fn show(
    State(front): State<Front>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let mut orders = OrderServiceClient::new(front.inner.order.clone());
    let answer = orders.get_order(GetOrderRequest { order_id: id }).await;
    let missing = || Problem::refused(Code::OrderNoExist, "there is no such order");
    let answer = answer.map_err(|status| from_query(Code::OrderNoExist.as_str(), &status))?;
    let order = answer.into_inner().order.ok_or_else(missing)?;
    Ok(Json(to_json(&order)).into_response())
}

/// `POST /orders/{id}/cancel`: gives up an order that is still being placed.
pub(super) async fn cancel(
    State(front): State<Front>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let mut orders = OrderServiceClient::new(front.inner.order.clone());
    let answer = orders
        .cancel_order(CancelOrderRequest { order_id: id })
        .await;
    answer.map_err(|status| from_query(Code::OrderNoExist.as_str(), &status))?;
    Ok(StatusCode::NO_CONTENT)
}

fn confirmed(receipt: &Receipt) -> Response {
    let id = receipt.order_id.as_str();
    let body = json!({
        "order_id": id,
        "order_status": "confirmed",
        "pay_amount": receipt.pay_amount,
        "confirm_time": receipt.confirm_time,
    });
    (
        StatusCode::CREATED,
        [(header::LOCATION, address(id))],
        Json(body),
    )
        .into_response()
}

fn under_way(id: &str) -> Response {
    let body = json!({ "order_id": id, "order_status": "unconfirmed" });
    (
        StatusCode::ACCEPTED,
        [(header::LOCATION, address(id))],
        Json(body),
    )
        .into_response()
}

fn address(id: &str) -> String {
    format!("/orders/{id}")
}

fn to_json(order: &Order) -> serde_json::Value {
    json!({
        "order_id": order.order_id,
        "user_id": order.user_id.to_string(),
        "goods_id": order.goods_id.to_string(),
        "goods_number": order.goods_number,
        "order_status": order.order_status,
        "pay_status": order.pay_status,
        "order_amount": order.order_amount_cents,
        "shipping_fee": order.shipping_fee_cents,
        "coupon_paid": order.coupon_paid_cents,
        "money_paid": order.money_paid_cents,
        "pay_amount": order.pay_amount_cents,
    })
}
