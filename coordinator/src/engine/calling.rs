//! What is under way outside of a shard, with the times of its way: one call of
//! a participant, or a word between a TCC and its parent.

use std::sync::{Arc, Weak};
use std::time::Instant;

use amends_core::id::Gid;
use amends_core::tcc::{self, Parent, Tell};
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::clock::monotonic;
use crate::participant::{Called, Caller};

use super::handle::Inner;
use super::message::CallDone;
use super::nested;
use super::stopwatch::CallTimes;
use super::transaction::{Answered, Call, Command, Phase};

/// What calls are made with.
#[derive(Clone)]
pub(super) struct Ways {
    pub(super) caller: Arc<dyn Caller>,
    /// Parents and children are other transactions of this engine.
    pub(super) engine: Weak<Inner>,
    /// Calls are made only while this is true: while ownership is certain.
    pub(super) may_call: watch::Receiver<bool>,
}

impl Ways {
    async fn open(&mut self) {
        if !*self.may_call.borrow() {
            // Its sender lives as long as the engine.
            let _ = self.may_call.wait_for(|may| *may).await;
        }
    }
}

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
    /// Makes the call, as soon as that is allowed.
    pub(super) fn make(self, mut ways: Ways) -> BoxFuture<'static, CallDone> {
        Box::pin(async move {
            let Self {
                gid,
                stay,
                call,
                due,
                free,
            } = self;
            let begun = monotonic();
            ways.open().await;
            let (ix, phase, attempt, Called { answer, waited }) = match &call {
                Call::Saga(call) => {
                    let called = ways.caller.call(&gid, call).await;
                    (call.step, Phase::Saga(call.phase), call.attempt, called)
                }
                Call::Tcc(call) => {
                    let called = ways.caller.call_branch(&gid, call).await;
                    (call.branch, Phase::Tcc(call.phase), call.attempt, called)
                }
            };
            CallDone {
                gid,
                stay,
                command: Command::Answered(Answered {
                    ix,
                    phase,
                    attempt,
                    answer,
                    took: None,
                }),
                times: Some(CallTimes {
                    due,
                    free,
                    begun,
                    sent: begun + waited,
                    answered: monotonic(),
                }),
            }
        })
    }
}

/// Puts a decision to a child.
pub(super) fn tell(
    gid: Gid,
    stay: u64,
    tell: Tell,
    mut ways: Ways,
) -> BoxFuture<'static, CallDone> {
    Box::pin(async move {
        ways.open().await;
        let parent = Parent {
            gid: gid.clone(),
            branch: tell.name.clone(),
        };
        let answer = nested::tell(&ways.engine, parent, &tell).await;
        let answered = Answered {
            ix: tell.branch,
            phase: Phase::Tcc(tell.verdict.phase()),
            attempt: tell.attempt,
            answer,
            took: None,
        };
        CallDone {
            gid,
            stay,
            command: Command::Answered(answered),
            times: None,
        }
    })
}

/// Asks a parent.
pub(super) fn ask(
    gid: Gid,
    stay: u64,
    parent: Parent,
    mut ways: Ways,
) -> BoxFuture<'static, CallDone> {
    Box::pin(async move {
        ways.open().await;
        let standing = nested::ask(&ways.engine, &gid, &parent).await;
        CallDone {
            gid,
            stay,
            command: Command::Tcc(tcc::Command::ParentSaid(standing)),
            times: None,
        }
    })
}
