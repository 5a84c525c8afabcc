//! The bounds of half messages.

use amends_core::message::half::{AfterLastCheck, CheckPolicy};
use amends_core::time::Millis;

/// How half messages are checked.
#[derive(Debug, Clone)]
pub struct HalfOptions {
    /// When to ask first, unless the producer says otherwise.
    pub check_after: Millis,
    /// How often to ask, and what comes after the last time.
    pub policy: CheckPolicy,
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
        }
    }
}
