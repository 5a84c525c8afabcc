//! Where the time of one saga goes.
//!
//! Every moment of a saga's life belongs to the event that it waited for next:
//! to the answer that came, to the write that let something go, or to a time
//! that was planned. So the parts add up to the whole, also where steps run at
//! the same time: of two calls that overlap the one that is answered first has
//! the time until then, the other one only what is left.

use std::time::{Duration, Instant};

use amends_core::took::Took;

/// The parts of a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) queue: Duration,
    pub(super) commit: Duration,
    pub(super) call: Duration,
    pub(super) scheduling: Duration,
    pub(super) backoff: Duration,
}

impl Parts {
    pub(super) fn whole(&self) -> Duration {
        self.queue + self.commit + self.call + self.scheduling + self.backoff
    }

    /// As a record keeps it.
    pub(super) fn took(&self) -> Took {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Took {
            queue: micros(self.queue),
            commit: micros(self.commit),
            call: micros(self.call),
            scheduling: micros(self.scheduling),
        }
    }
}

/// The way of one call, in the order of its fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallTimes {
    /// It was decided.
    pub(super) due: Instant,
    /// What it rests on was durable.
    pub(super) free: Instant,
    /// It was taken up.
    pub(super) begun: Instant,
    /// It had a place among the calls of its target and was sent.
    pub(super) sent: Instant,
    /// Its answer was there.
    pub(super) answered: Instant,
}

impl CallTimes {
    /// Where its time went, until its answer was dealt with.
    pub(super) fn parts(&self, now: Instant) -> Parts {
        self.parts_since(self.due, now)
    }

    /// Likewise, for what came after `since` only.
    fn parts_since(&self, since: Instant, now: Instant) -> Parts {
        let span = |from: Instant, to: Instant| to.saturating_duration_since(from.max(since));
        Parts {
            queue: span(self.begun, self.sent),
            commit: span(self.due, self.free),
            call: span(self.sent, self.answered),
            scheduling: span(self.free, self.begun) + span(self.answered, now),
            backoff: Duration::ZERO,
        }
    }
}

/// Runs as long as the saga is in memory.
#[derive(Debug)]
pub(super) struct Stopwatch {
    /// Whether it has run since the saga was started.
    from_start: bool,
    /// What comes after is not accounted for yet.
    since: Instant,
    parts: Parts,
}

impl Stopwatch {
    /// Of a saga that somebody asked for at `asked`, and that begins now.
    pub(super) fn start(asked: Instant, now: Instant) -> Self {
        let queue = now.saturating_duration_since(asked);
        Self {
            from_start: true,
            since: now,
            parts: Parts {
                queue,
                ..Parts::default()
            },
        }
    }

    /// Of a saga that was taken from its log.
    pub(super) fn resume(now: Instant) -> Self {
        Self {
            from_start: false,
            ..Self::start(now, now)
        }
    }

    /// Until when everything is accounted for: the last event.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// An answer came.
    pub(super) fn answered(&mut self, call: &CallTimes, now: Instant) {
        let parts = call.parts_since(self.since, now);
        self.parts.queue += parts.queue;
        self.parts.commit += parts.commit;
        self.parts.call += parts.call;
        let rest = now.saturating_duration_since(self.since);
        self.parts.scheduling += rest.saturating_sub(parts.queue + parts.commit + parts.call);
        self.since = now;
    }

    /// What was awaited became durable at `durable`.
    pub(super) fn written(&mut self, durable: Instant, now: Instant) {
        let durable = durable.max(self.since);
        self.parts.commit += durable.saturating_duration_since(self.since);
        self.parts.scheduling += now.saturating_duration_since(durable);
        self.since = now;
    }

    /// A time came, or somebody acted.
    pub(super) fn woken(&mut self, now: Instant) {
        self.parts.backoff += now.saturating_duration_since(self.since);
        self.since = now;
    }

    /// Where its time went so far.
    pub(super) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Where all its time went, if all of it was measured.
    pub(super) fn whole_life(&self) -> Option<Parts> {
        self.from_start.then_some(self.parts)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::clock::monotonic;

    fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    fn parts([queue, commit, call, scheduling, backoff]: [u64; 5]) -> Parts {
        Parts {
            queue: micros(queue),
            commit: micros(commit),
            call: micros(call),
            scheduling: micros(scheduling),
            backoff: micros(backoff),
        }
    }

    fn call(from: Instant, [due, free, begun, sent, answered]: [u64; 5]) -> CallTimes {
        let at = |time| from + micros(time);
        CallTimes {
            due: at(due),
            free: at(free),
            begun: at(begun),
            sent: at(sent),
            answered: at(answered),
        }
    }

    #[test]
    fn one_call_after_the_other() {
        let zero = monotonic();
        let at = |time| zero + micros(time);
        let mut watch = Stopwatch::start(zero, at(10));
        watch.written(at(110), at(115));
        let first = call(zero, [10, 110, 120, 150, 450]);
        assert_eq!(first.parts(at(460)), parts([30, 100, 300, 20, 0]));
        watch.answered(&first, at(460));
        watch.answered(&call(zero, [460, 460, 470, 470, 500]), at(500));
        watch.woken(at(700));
        watch.written(at(750), at(751));
        let whole = watch.whole_life().unwrap();
        assert_eq!(whole, parts([40, 150, 330, 31, 200]));
        assert_eq!(whole.whole(), micros(751));
    }

    #[test]
    fn moments_of_calls_that_overlap_count_once() {
        let zero = monotonic();
        let at = |time| zero + micros(time);
        let mut watch = Stopwatch::start(zero, zero);
        watch.answered(&call(zero, [0, 0, 0, 0, 90]), at(100));
        watch.answered(&call(zero, [0, 0, 0, 50, 140]), at(150));
        let whole = watch.whole_life().unwrap();
        assert_eq!(whole, parts([0, 0, 90 + 40, 10 + 10, 0]));
        assert_eq!(whole.whole(), micros(150));
    }

    #[test]
    fn what_was_not_seen_from_its_start_has_no_whole_life() {
        let now = monotonic();
        let mut watch = Stopwatch::resume(now);
        watch.woken(now + micros(5));
        assert_eq!(watch.whole_life(), None);
    }

    #[test]
    fn clocks_read_out_of_order_never_count_twice() {
        let zero = monotonic();
        let at = |time| zero + micros(time);
        let mut watch = Stopwatch::start(at(10), zero);
        watch.written(zero, at(20));
        watch.answered(&call(zero, [30, 25, 20, 15, 10]), at(40));
        assert_eq!(watch.whole_life().unwrap().whole(), micros(40));
    }
}
