//! The gRPC side of checks: `CheckBack` in, consumer log, verdict out.

use std::sync::Arc;

use amends_proto::v1;
use amends_proto::v1::producer_service_server::{ProducerService, ProducerServiceServer};
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status};

use crate::half::Checks;

/// The longest `CheckBack` request: 256 messages without bodies.
const MAX_QUESTION_BYTES: usize = 8 * 1024 * 1024;

/// Answers the checks of all producer groups of a participant.
pub(super) struct Answers {
    checks: Arc<Checks>,
    tracker: TaskTracker,
}

/// To be served; the checks under way are tracked.
pub(super) fn service(checks: Checks, tracker: TaskTracker) -> ProducerServiceServer<Answers> {
    let checks = Arc::new(checks);
    ProducerServiceServer::new(Answers { checks, tracker })
        .max_decoding_message_size(MAX_QUESTION_BYTES)
}

#[tonic::async_trait]
impl ProducerService for Answers {
    // In a task of its own: a caller that hangs up leaves a check that is
    // answered at once when it is asked again.
    async fn check_back(
        &self,
        request: Request<v1::CheckBackRequest>,
    ) -> Result<Response<v1::CheckBackResponse>, Status> {
        let (checks, question) = (Arc::clone(&self.checks), request.into_inner());
        let producer = question.producer.clone();
        let answer = self
            .tracker
            .spawn(async move { checks.answer(question).await });
        let answer = answer
            .await
            .map_err(|error| Status::unknown(error.to_string()))?;
        let unknown = || Status::not_found(format!("no producer group `{producer}` here"));
        answer.map(Response::new).ok_or_else(unknown)
    }
}
