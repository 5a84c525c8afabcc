//! Payments.
//!
//! A payment belongs to one order, and its amount is the order's. The provider
//! says by callback that it was paid; that and the message about it happen
//! together or not at all. Every change of a state names the state it comes
//! from, so that callbacks may be repeated, late and out of order.

mod callback;
mod create;
mod handlers;
mod query;
mod settle;
pub mod table;

use std::time::Duration;

use amends::{Client, Database};
use serde::{Deserialize, Serialize};
use tonic::transport::Channel;

use crate::domain::{Cents, Code, OrderId, PayId, UserId};
use crate::holds::Holds;
use crate::provider::{Key, ProviderClient, ProviderError};

pub use callback::{CALLBACK_PATH, callbacks};
pub use query::PayQueries;
pub use settle::{Settled, refund_due};

/// Where results of payments go. The services name it as a text, and so the others.
pub const TOPIC: &str = "payTopic";
/// The payment is made.
pub const SUCCESS: &str = "pay_success";
/// The payment was closed before it was made, and never will be.
pub const CLOSED: &str = "pay_closed";
/// The payment was made and paid back.
pub const REFUNDED: &str = "pay_refunded";

/// Where orders go that have waited long enough for their payment.
pub const TIMEOUT_TOPIC: &str = "payTimeoutTopic";
/// Such an order.
pub const UNPAID: &str = "order_unpaid";
/// How long an order waits for its payment, unless the process says otherwise.
pub const UNPAID_AFTER: Duration = Duration::from_secs(30 * 60);

/// Where payments go that are to be paid back.
pub const REFUND_TOPIC: &str = "refundTopic";
/// Such a payment.
pub const REFUND_DUE: &str = "refund_due";

/// The service's name, and that of its producer group: the service answers when
/// the coordinator asks what became of a half message.
pub const GROUP: &str = "pay";

/// The service.
#[derive(Clone, Debug)]
pub struct Payments {
    /// Its database.
    pub database: Database,
    /// The coordinator, for half messages of the producer group [`GROUP`].
    pub client: Client,
    /// Where orders are asked for.
    pub orders: Channel,
    /// The provider.
    pub provider: ProviderClient,
    /// Where customers find it.
    pub pay_at: String,
    /// What the provider signs with.
    pub key: Key,
    /// Where the provider tells what happened.
    pub notify_url: String,
    /// Where scenarios can make it wait.
    pub holds: Holds,
}

/// What a result of a payment says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentEvent {
    /// Which payment.
    pub pay_id: PayId,
    /// Of which order.
    pub order_id: OrderId,
    /// Whose.
    pub user_id: UserId,
    /// How much.
    pub amount: Cents,
}

/// An order that has waited long enough for its payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderUnpaid {
    /// Which order.
    pub order_id: OrderId,
    /// Whose.
    pub user_id: UserId,
}

/// A payment that is to be paid back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundDue {
    /// Which payment.
    pub pay_id: PayId,
}

/// Why something about a payment was not done.
#[derive(Debug, thiserror::Error)]
pub enum PayError {
    /// It must not be.
    #[error("{code}: {message}")]
    Refused {
        /// Stable code.
        code: Code,
        /// For people.
        message: String,
    },
    /// The database does not answer.
    #[error("the database does not answer")]
    Database(#[from] amends::DatabaseError),
    /// It is not settled, or not known to be.
    #[error("the payment is not settled yet")]
    Half(#[from] amends::HalfError),
    /// The message about it cannot be kept.
    #[error("the message about it cannot be kept")]
    Outbox(#[from] amends::outbox::OutboxError),
    /// The provider does not do it.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The order service does not answer.
    #[error("the order service does not answer")]
    Orders(#[source] Box<tonic::Status>),
    /// Others changed the payment again and again.
    #[error("the payment is being changed by others")]
    Busy,
}

impl PayError {
    fn refused(code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        Self::Refused { code, message }
    }
}
