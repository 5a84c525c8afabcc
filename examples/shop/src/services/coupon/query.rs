//! What the front may ask.

use amends::Database;
use tonic::{Request, Response, Status};

use super::table;
use crate::domain::UserId;
use crate::proto::coupon_service_server::CouponService;
use crate::proto::{Coupon, ListCouponsRequest, ListCouponsResponse};
use crate::services::unavailable;

/// Answers the front's questions about coupons.
#[derive(Debug)]
pub struct CouponQueries {
    /// The service's database.
    pub database: Database,
}

#[tonic::async_trait]
impl CouponService for CouponQueries {
    async fn list_coupons(
        &self,
        request: Request<ListCouponsRequest>,
    ) -> Result<Response<ListCouponsResponse>, Status> {
        let user = UserId::new(request.into_inner().user_id);
        let coupons = self
            .database
            .transaction(async |conn| table::list(conn, user).await)
            .await;
        let coupons = coupons
            .map_err(|error| unavailable(&error))?
            .into_iter()
            .map(|coupon| Coupon {
                coupon_id: coupon.coupon_id.get(),
                price_cents: coupon.coupon_price.get(),
                used: coupon.is_used,
            });
        Ok(Response::new(ListCouponsResponse {
            coupons: coupons.collect(),
        }))
    }
}
