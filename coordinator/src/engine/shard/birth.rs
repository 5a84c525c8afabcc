//! How a transaction comes into a shard by its start, and what happens when its
//! id turns out to be taken.

use std::time::Instant;

use amends_core::id::{Gid, RecordNo};

use super::Shard;
use crate::engine::error::EngineError;
use crate::engine::live::{Live, View, Waiter};
use crate::engine::message::{Accepted, Reply, StartFailed, Until};
use crate::engine::seat::Seat;
use crate::engine::start::Birth;
use crate::engine::stopwatch::Stopwatch;

impl Shard {
    /// Begins a transaction, or finds it begun. `end` is for who wants to know
    /// how it ends, and not how it begins.
    pub(super) fn start(
        &mut self,
        start: Birth,
        seat: Seat,
        end: Option<Reply<Option<View>>>,
        asked: Instant,
        reply: Reply<Result<Accepted, StartFailed>>,
    ) {
        let gid = start.gid().clone();
        let looks = end.is_none();
        if let Some(live) = self.live.get_mut(&gid) {
            if let Some(difference) = start.difference(&live.transaction) {
                let gid = gid.to_string();
                let error = EngineError::AlreadyExists { gid, difference };
                let _ = reply.send(Err(StartFailed::Error(error)));
                return;
            }
            live.when_durable(Waiter::Start {
                reply,
                created: false,
                looks,
            });
            self.write_if_needed(&gid);
        } else {
            let waiter = Waiter::Start {
                reply,
                created: true,
                looks,
            };
            self.begin(start, seat, asked, waiter);
        }
        if let Some(end) = end {
            self.observe(&gid, Until::End, end);
        }
    }

    fn begin(&mut self, start: Birth, seat: Seat, asked: Instant, waiter: Waiter) {
        let gid = start.gid().clone();
        let watch = Stopwatch::start(asked, self.parts.clock.monotonic());
        let took = watch.parts().took();
        let (transaction, decision) = match start.begin(self.parts.clock.now(), took) {
            Ok(begun) => begun,
            Err(wrong) => return waiter.fail(EngineError::Invalid(wrong)),
        };
        let mut live = Live::new(transaction, seat, self.next_stay(), RecordNo(0), watch);
        let ready = live.take(decision);
        live.when_durable(waiter);
        let begun = live.watch.since();
        self.insert(gid.clone(), live);
        self.perform(&gid, ready, begun);
    }

    /// The id was taken before, or somebody else owns the transaction now.
    pub(super) fn conflict(&mut self, gid: &Gid) {
        let Some(mut live) = self.remove(gid) else {
            return;
        };
        let stored = live.stored.take();
        if live.durable > RecordNo(0) {
            tracing::warn!(%gid, "another coordinator has taken this transaction over; dropping it here");
            live.left();
            return;
        }
        let start = Birth::of(&live.transaction);
        for waiter in live.into_waiters() {
            match waiter {
                Waiter::Start { reply, .. } => {
                    drop(reply.send(Err(StartFailed::Exists(start.clone()))));
                }
                waiter => waiter.fail(EngineError::NotOwned(gid.to_string())),
            }
        }
        if let Some(stored) = stored {
            self.load(stored);
        }
    }
}
