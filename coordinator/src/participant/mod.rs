//! Outbound calls to participants: who is there, and how one is called.
//!
//! [`Registry`] knows the live instances of services; [`Outbound`] makes the
//! calls and turns whatever comes back into an [`Answer`].
//!
//! Guarantees: no address is called that no configuration allows; a call ends
//! within its timeout; one target that hangs delays calls to no other.
//! Not here: when a call is made or repeated, what is stored of instances.

mod allow;
mod breaker;
mod call;
mod check_back;
mod connection;
mod execute;
mod no_answer;
mod options;
mod outbound;
mod peer;
mod plain;
mod pool;
mod registry;
mod unary;

use std::time::Duration;

use amends_core::answer::Answer;
use amends_core::id::Gid;
use amends_core::{saga, tcc};
use futures_util::future::BoxFuture;

pub use allow::AddressError;
pub use call::Call;
pub use check_back::{AskProducers, Asked};
pub use execute::{execute_request, from_response};
pub use options::OutboundOptions;
pub use outbound::Outbound;
pub use pool::MAX_INLINE_TARGETS;
pub use registry::{
    Accepted, InstanceKey, InstanceView, MAX_INSTANCES, MAX_OFFERS, Offer, Registration, Registry,
    RegistryError, Unavailable,
};

/// Makes calls. Unary gRPC calls are one way; a stream that the participant
/// opens must fit beside it.
pub trait Caller: Send + Sync + 'static {
    /// Makes one call and classifies what comes back. Never fails: whatever
    /// goes wrong is [`Answer::Unknown`]. Returns within the call's timeout.
    /// Dropping it gives the call up; it may have taken effect.
    fn call<'a>(&'a self, gid: &'a Gid, call: &'a saga::Call) -> BoxFuture<'a, Called>;

    /// The same for a branch of a TCC.
    fn call_branch<'a>(&'a self, gid: &'a Gid, call: &'a tcc::Call) -> BoxFuture<'a, Called>;
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// The outcome.
    pub answer: Answer,
    /// How long it had waited for a place among the calls of its target.
    pub waited: Duration,
}

impl From<Answer> for Called {
    /// It did not have to wait.
    fn from(answer: Answer) -> Self {
        Self {
            answer,
            waited: Duration::ZERO,
        }
    }
}
