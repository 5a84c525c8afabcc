//! The bounds of half messages.

use std::time::Duration;

use amends_core::message::half::{AfterLastCheck, CheckPolicy};
use amends_core::time::Millis;

/// How half messages are checked.
#[derive(Debug, Clone)]
pub struct HalfOptions {
    /// When to ask first, unless the producer says otherwise.
    pub check_after: Millis,
    /// How often to ask, and what comes after the last time.
    pub policy: CheckPolicy,
    /// How long an answer is waited for.
    pub check_timeout: Duration,
    /// Questions of one producer group under way at the same time; at least one.
    pub checks_in_flight: usize,
}

impl Default for HalfOptions {
    fn default() -> Self {
        Self {
            check_after: Millis::from_secs(6),
            policy: CheckPolicy {
                interval: Millis::from_secs(30),
                max_checks: 15,
                after_last: AfterLastCheck::Keep,
            },
            check_timeout: Duration::from_secs(10),
            checks_in_flight: 16,
        }
    }
}
