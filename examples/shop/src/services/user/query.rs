//! What the front may ask.

use amends::Database;
use tonic::{Request, Response, Status};

use super::table;
use crate::domain::UserId;
use crate::proto::user_service_server::UserService;
use crate::proto::{GetUserRequest, GetUserResponse};
use crate::services::unavailable;

/// Answers the front's questions about users.
#[derive(Debug)]
pub struct UserQueries {
    /// The service's database.
    pub database: Database,
}

#[tonic::async_trait]
impl UserService for UserQueries {
    async fn get_user(
        &self,
        request: Request<GetUserRequest>,
    ) -> Result<Response<GetUserResponse>, Status> {
        let id = UserId::new(request.into_inner().user_id);
        let user = self
            .database
            .transaction(async |conn| table::find(conn, id).await)
            .await;
        let Some(user) = user.map_err(|error| unavailable(&error))? else {
            return Err(Status::not_found(format!("there is no user {id}")));
        };
        Ok(Response::new(GetUserResponse {
            user_id: user.user_id.get(),
            name: user.name,
            balance_cents: user.money.get(),
            score: user.score,
        }))
    }
}
