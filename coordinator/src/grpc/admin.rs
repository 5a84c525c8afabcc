//! `AdminService`: how this coordinator is doing.

use amends_core::time::Timestamp;
use amends_proto::v1;
use amends_proto::v1::admin_service_server::AdminService;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use crate::engine::Engine;
use crate::messages::{Halves, Messages};

use super::{message, show, times};

/// The service over an engine.
pub(super) struct Admin {
    pub(super) engine: Engine,
    pub(super) messages: Messages,
    pub(super) halves: Halves,
    pub(super) started_at: Timestamp,
    pub(super) recovered: watch::Receiver<bool>,
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn get_status(
        &self,
        request: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        Ok(Response::new(v1::GetStatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            incarnation: self.engine.incarnation().0.clone(),
            start_time: Some(show::timestamp(self.started_at)),
            store: self.engine.store().kind().to_owned(),
            live_transactions: self.engine.live_count() as u64,
            max_live_transactions: self.engine.options().max_live as u64,
            recovered: *self.recovered.borrow(),
            broker: Some(message::health(&self.messages.health())),
            silent_producers: {
                let silent = self.halves.silent_producers();
                silent.borrow().iter().map(ToString::to_string).collect()
            },
            profile: (request.into_inner().profile).then(|| times::profile(&self.engine.profile())),
        }))
    }
}
