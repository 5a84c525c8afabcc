//! What the front may ask.

use amends::Database;
use tonic::{Request, Response, Status};

use super::table;
use crate::proto::goods_service_server::GoodsService;
use crate::proto::{Goods, ListGoodsRequest, ListGoodsResponse};
use crate::services::unavailable;

/// Answers the front's questions about goods.
#[derive(Debug)]
pub struct GoodsQueries {
    /// The service's database.
    pub database: Database,
}

#[tonic::async_trait]
impl GoodsService for GoodsQueries {
    async fn list_goods(
        &self,
        _: Request<ListGoodsRequest>,
    ) -> Result<Response<ListGoodsResponse>, Status> {
        let goods = self
            .database
            .transaction(async |conn| table::list(conn).await)
            .await;
        let goods = goods
            .map_err(|error| unavailable(&error))?
            .into_iter()
            .map(|goods| Goods {
                goods_id: goods.goods_id.get(),
                name: goods.name,
                price_cents: goods.price.get(),
                number: goods.number,
                description: goods.description,
            });
        Ok(Response::new(ListGoodsResponse {
            goods: goods.collect(),
        }))
    }
}
