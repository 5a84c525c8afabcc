//! Outbound calls to participants, as the engine sees them.

use amends_core::answer::Answer;
use amends_core::id::Gid;
use amends_core::saga::Call;
use futures_util::future::BoxFuture;

/// Makes calls. Unary gRPC calls are one way; a stream that the participant
/// opens must fit beside it.
pub trait Caller: Send + Sync + 'static {
    /// Makes one call and classifies what comes back. Never fails: whatever
    /// goes wrong is [`Answer::Unknown`]. Returns within the call's timeout.
    /// Dropping it gives the call up; it may have taken effect.
    fn call<'a>(&'a self, gid: &'a Gid, call: &'a Call) -> BoxFuture<'a, Answer>;
}
