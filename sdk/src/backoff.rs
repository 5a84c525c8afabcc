//! Waits between attempts: exponential, capped, with full jitter.

use std::time::Duration;

/// How the waits grow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    pub(crate) most: Duration,
}

impl Backoff {
    /// The wait after this many failed attempts: anything up to the bound.
    pub(crate) fn wait(self, failed: u32) -> Duration {
        self.bound(failed).mul_f64(rand::random::<f64>())
    }

    fn bound(self, failed: u32) -> Duration {
        let doublings = failed.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_double_up_to_the_cap() {
        let backoff = Backoff {
            first: Duration::from_millis(10),
            most: Duration::from_millis(50),
        };
        let bounds: Vec<_> = [0, 1, 2, 3, 4, 99]
            .map(|n| backoff.bound(n).as_millis())
            .into();
        assert_eq!(bounds, [10, 10, 20, 40, 50, 50]);
        assert!((0..1000).all(|_| backoff.wait(2) < backoff.bound(2)));
    }
}
