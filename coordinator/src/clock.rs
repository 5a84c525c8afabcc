//! The only place in the coordinator that reads a clock.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the clock that all others ask"
)]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use amends_core::time::Timestamp;

/// Where `now` comes from.
pub trait Clock: Send + Sync + 'static {
    /// Wall-clock time, for records and for times that people see.
    fn now(&self) -> Timestamp;

    /// Monotonic time, for leases and bounds that a change of the wall clock
    /// must not touch.
    fn monotonic(&self) -> Instant {
        monotonic()
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A point on the monotonic clock, for measuring how long something took.
#[must_use]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// The monotonic clock as the runtime's timers count it.
#[must_use]
pub fn runtime_now() -> tokio::time::Instant {
    tokio::time::Instant::from_std(monotonic())
}
