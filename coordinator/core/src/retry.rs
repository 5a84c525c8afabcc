//! How often and how fast a call is tried again: capped exponential backoff with full jitter.
//!
//! Full jitter: the wait is drawn evenly from zero to the bound (M. Brooker,
//! "Exponential Backoff And Jitter", 2015). The draw is a hash of who waits
//! and for which attempt, so that the core stays pure and yet no two
//! transactions come back in step.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};

use crate::time::Millis;

/// Most attempts that a policy may ask for.
pub const MAX_ATTEMPTS: u32 = 1_000;
/// Longest backoff that a policy may ask for.
pub const MAX_BACKOFF: Millis = Millis::from_secs(24 * 3600);
/// Largest growth from attempt to attempt.
pub const MAX_MULTIPLIER: f64 = 100.0;

/// Wait before asking again when a participant says "in progress" without a time.
const DEFAULT_POSTPONE: Millis = Millis(1_000);
/// Shortest and longest time that a participant can ask for.
const POSTPONE_BOUNDS: (Millis, Millis) = (Millis(10), Millis(3_600_000));

/// A retry policy; see [`RetryPolicy::check`] for its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryPolicy {
    /// Attempts in all, the first included.
    pub max_attempts: u32,
    /// Bound of the wait before the second attempt.
    pub initial_backoff: Millis,
    /// Bound of any wait.
    pub max_backoff: Millis,
    /// Growth of the bound from attempt to attempt.
    pub multiplier: f64,
}

impl RetryPolicy {
    /// For steps: gives up after about half a minute.
    pub const STEP: Self = Self {
        max_attempts: 8,
        initial_backoff: Millis(100),
        max_backoff: Millis(10_000),
        multiplier: 2.0,
    };
    /// For compensations and steps past the point of no return, which never
    /// give up: counts as stuck after some minutes.
    pub const UNDO: Self = Self {
        max_attempts: 16,
        initial_backoff: Millis(100),
        max_backoff: Millis(60_000),
        multiplier: 2.0,
    };

    /// What is wrong with it: field and reason, one entry each.
    #[must_use]
    pub fn check(&self) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        if self.max_attempts == 0 || self.max_attempts > MAX_ATTEMPTS {
            wrong.push((
                "max_attempts",
                format!("is {}, must be 1 to {MAX_ATTEMPTS}", self.max_attempts),
            ));
        }
        if self.initial_backoff.0 == 0 || self.initial_backoff > MAX_BACKOFF {
            wrong.push((
                "initial_backoff",
                format!("is {}, must be 1ms to 24h", self.initial_backoff),
            ));
        }
        if self.max_backoff < self.initial_backoff || self.max_backoff > MAX_BACKOFF {
            wrong.push((
                "max_backoff",
                format!("is {}, must be initial_backoff to 24h", self.max_backoff),
            ));
        }
        if !(1.0..=MAX_MULTIPLIER).contains(&self.multiplier) {
            wrong.push((
                "multiplier",
                format!("is {}, must be 1 to {MAX_MULTIPLIER}", self.multiplier),
            ));
        }
        wrong
    }

    /// The wait after failed attempt number `attempt` (from 1 on) of `who`.
    #[must_use]
    pub fn backoff(&self, attempt: u32, who: impl Hash) -> Millis {
        Millis(draw(self.bound(attempt).0, attempt, who))
    }

    /// The wait once the budget is used up and only slow retries go on: the
    /// upper half of the largest wait, so that it stays slow.
    #[must_use]
    pub fn slow_backoff(&self, attempt: u32, who: impl Hash) -> Millis {
        let half = self.max_backoff.0 / 2;
        Millis(half + draw(self.max_backoff.0 - half, attempt, who))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "clamped to max_backoff before the cast; milliseconds stay far below 2^52"
    )]
    fn bound(&self, attempt: u32) -> Millis {
        let exponent = attempt.saturating_sub(1).min(1_000);
        let grown = self.initial_backoff.0 as f64 * self.multiplier.powf(f64::from(exponent));
        Millis(grown.min(self.max_backoff.0 as f64) as u64)
    }
}

/// How long to wait when a participant asks to be called again.
pub(crate) fn postponement(asked: Option<Millis>) -> Millis {
    asked
        .unwrap_or(DEFAULT_POSTPONE)
        .clamp(POSTPONE_BOUNDS.0, POSTPONE_BOUNDS.1)
}

/// Evenly from 0 to `bound`, both included.
fn draw(bound: u64, attempt: u32, who: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    who.hash(&mut hasher);
    attempt.hash(&mut hasher);
    hasher.finish() % (bound + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        max_attempts: 5,
        initial_backoff: Millis(100),
        max_backoff: Millis(1_000),
        multiplier: 2.0,
    };

    #[test]
    fn bounds_grow_and_are_capped() {
        let bounds: Vec<u64> = [1, 2, 3, 4, 5, u32::MAX].map(|n| POLICY.bound(n).0).into();
        assert_eq!(bounds, [100, 200, 400, 800, 1000, 1000]);
    }

    #[test]
    fn jitter_is_full_and_differs_between_transactions() {
        let waits: Vec<u64> = (0..1000).map(|who| POLICY.backoff(5, who).0).collect();
        assert!(waits.iter().all(|w| *w <= 1000));
        assert!(waits.iter().any(|w| *w < 100) && waits.iter().any(|w| *w > 900));
        let mean = waits.iter().sum::<u64>() / 1000;
        assert!((400..600).contains(&mean), "mean {mean}");
        assert!((0..1000).all(|who| (500..=1000).contains(&POLICY.slow_backoff(9, who).0)));
    }

    #[test]
    fn absurd_policies_are_named_field_by_field() {
        let bad = RetryPolicy {
            max_attempts: 0,
            initial_backoff: Millis(0),
            max_backoff: MAX_BACKOFF + Millis(1),
            multiplier: f64::NAN,
        };
        let fields: Vec<_> = bad.check().into_iter().map(|(field, _)| field).collect();
        assert_eq!(
            fields,
            [
                "max_attempts",
                "initial_backoff",
                "max_backoff",
                "multiplier"
            ]
        );
        assert!(RetryPolicy::STEP.check().is_empty() && RetryPolicy::UNDO.check().is_empty());
    }
}
