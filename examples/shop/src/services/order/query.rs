//! What the front may ask.

use amends::Database;
use tonic::{Request, Response, Status};

use super::table::{self, OrderRow};
use crate::domain::{Code, OrderId, OrderStatus};
use crate::proto::order_service_server::OrderService;
use crate::proto::{
    CancelOrderRequest, CancelOrderResponse, GetOrderRequest, GetOrderResponse, Order,
};
use crate::services::unavailable;

/// Answers the front's questions about orders.
#[derive(Debug)]
pub struct OrderQueries {
    /// The service's database.
    pub database: Database,
}

#[tonic::async_trait]
impl OrderService for OrderQueries {
    async fn get_order(
        &self,
        request: Request<GetOrderRequest>,
    ) -> Result<Response<GetOrderResponse>, Status> {
        let id = parse(&request.into_inner().order_id)?;
        let order = self
            .database
            .transaction(async |conn| table::find(conn, &id).await)
            .await;
        let order = order
            .map_err(|error| unavailable(&error))?
            .ok_or_else(|| not_found(&id))?;
        Ok(Response::new(GetOrderResponse {
            order: Some(to_proto(&order)),
        }))
    }

    async fn cancel_order(
        &self,
        request: Request<CancelOrderRequest>,
    ) -> Result<Response<CancelOrderResponse>, Status> {
        let id = parse(&request.into_inner().order_id)?;
        match super::cancel(&self.database, &id)
            .await
            .map_err(|error| unavailable(&error))?
        {
            Some(OrderStatus::Cancelled) => Ok(Response::new(CancelOrderResponse {})),
            Some(status) => Err(Status::failed_precondition(format!(
                "order {id} is {}",
                status.as_str()
            ))),
            None => Err(not_found(&id)),
        }
    }
}

fn parse(id: &str) -> Result<OrderId, Status> {
    id.parse()
        .map_err(|error: crate::domain::IdError| Status::invalid_argument(error.to_string()))
}

fn not_found(id: &OrderId) -> Status {
    Status::not_found(format!("{}: there is no order {id}", Code::OrderNoExist))
}

fn to_proto(order: &OrderRow) -> Order {
    Order {
        order_id: order.order_id.to_string(),
        user_id: order.user_id.get(),
        goods_id: order.goods_id.get(),
        goods_number: order.goods_number,
        order_status: order.order_status.as_str().to_owned(),
        pay_status: order.pay_status.as_str().to_owned(),
        order_amount_cents: order.order_amount.get(),
        shipping_fee_cents: order.shipping_fee.get(),
        coupon_paid_cents: order.coupon_paid.get(),
        money_paid_cents: order.money_paid.get(),
        pay_amount_cents: order.pay_amount.get(),
    }
}
