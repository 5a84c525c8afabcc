//! Messages on the wire: `MessageService`, `ConsumerService`, `DeadLetterService`,
//! `HalfMessageService`.
//!
//! `read` and `show` translate, `consume` holds a consumer's stream, each
//! service sits in a file of its own.

mod checks;
mod consume;
mod consumers;
mod dead;
mod half;
mod publish;
mod read;
mod show;

use std::sync::Arc;

use amends_core::time::Timestamp;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::broker::BrokerError;
use crate::clock::Clock;
use crate::messages::{ItemOutcome, ItemResult, Messages, MessagesError};

use super::status::{DOMAIN, RETRY_SOON, status, store_error, with_details};

pub(super) use half::HalfApi;
pub(super) use show::health;

/// What the three services stand on.
#[derive(Clone)]
pub(super) struct MessageApi {
    pub(super) messages: Messages,
    pub(super) clock: Arc<dyn Clock>,
    /// Largest body of one message, in bytes.
    pub(super) max_bytes: u64,
}

impl MessageApi {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl From<MessagesError> for Status {
    fn from(error: MessagesError) -> Self {
        let reason = error.code();
        let message = error.to_string();
        let code = match &error {
            MessagesError::Invalid(_) => Code::InvalidArgument,
            MessagesError::AlreadyExists { .. } | MessagesError::HalfExists { .. } => {
                Code::AlreadyExists
            }
            MessagesError::NotFound(_)
            | MessagesError::NoSubscription { .. }
            | MessagesError::NoDeadLetter(_)
            | MessagesError::NoHalf(_) => Code::NotFound,
            MessagesError::Unsubscribed
            | MessagesError::AnotherProducer { .. }
            | MessagesError::Broker(BrokerError::Unusable { .. }) => Code::FailedPrecondition,
            MessagesError::HalfDecided { verdict, .. } => {
                let state = verdict.state().as_str().to_owned();
                let stands = [("state".to_owned(), state)];
                let details = ErrorDetails::with_error_info(reason, DOMAIN, stands);
                return Status::with_error_details(Code::FailedPrecondition, message, details);
            }
            MessagesError::NotGroupOwner { address } => {
                let owner = [("address".to_owned(), address.clone())];
                let details = ErrorDetails::with_error_info(reason, DOMAIN, owner);
                return Status::with_error_details(Code::FailedPrecondition, message, details);
            }
            MessagesError::Overloaded { retry_after } => {
                let details = ErrorDetails::with_retry_info(Some(*retry_after));
                return with_details(Code::ResourceExhausted, reason, message, details);
            }
            MessagesError::Broker(BrokerError::Unavailable(_)) | MessagesError::Stopping => {
                let details = ErrorDetails::with_retry_info(Some(RETRY_SOON));
                return with_details(Code::Unavailable, reason, message, details);
            }
            MessagesError::Store(error) => return store_error(error),
        };
        status(code, reason, message)
    }
}

/// One result per item, in order.
fn results(results: Vec<ItemResult>) -> Vec<amends_proto::v1::ItemResult> {
    let show = |result: ItemResult| match result.outcome {
        ItemOutcome::Done { new_id } => amends_proto::v1::ItemResult {
            id: result.id,
            done: true,
            new_id: new_id.map(String::from).unwrap_or_default(),
            ..Default::default()
        },
        ItemOutcome::Refused { code, message } => amends_proto::v1::ItemResult {
            id: result.id,
            done: false,
            code: code.to_owned(),
            message,
            ..Default::default()
        },
    };
    results.into_iter().map(show).collect()
}
