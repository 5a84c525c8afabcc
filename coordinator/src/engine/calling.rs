//! One call of a participant, with the times of its way.

use std::sync::Arc;
use std::time::Instant;

use amends_core::id::Gid;
use amends_core::saga::Call;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::clock::monotonic;
use crate::participant::{Called, Caller};

use super::message::CallDone;
use super::stopwatch::CallTimes;

/// A call that nothing holds back any more, and where it comes from.
pub(super) struct Going {
    pub(super) gid: Gid,
    /// Which stay in memory it is made in.
    pub(super) stay: u64,
    pub(super) call: Call,
    /// When it was decided.
    pub(super) due: Instant,
    /// When what it rests on was durable.
    pub(super) free: Instant,
}

impl Going {
    /// Makes the call, as soon as `may_call` is true.
    pub(super) fn make(
        self,
        caller: Arc<dyn Caller>,
        mut may_call: watch::Receiver<bool>,
    ) -> BoxFuture<'static, CallDone> {
        Box::pin(async move {
            let Self {
                gid,
                stay,
                call,
                due,
                free,
            } = self;
            let begun = monotonic();
            if !*may_call.borrow() {
                // Its sender lives as long as the engine.
                let _ = may_call.wait_for(|may| *may).await;
            }
            let Called { answer, waited } = caller.call(&gid, &call).await;
            CallDone {
                gid,
                stay,
                step: call.step,
                phase: call.phase,
                attempt: call.attempt,
                answer,
                times: CallTimes {
                    due,
                    free,
                    begun,
                    sent: begun + waited,
                    answered: monotonic(),
                },
            }
        })
    }
}
