//! Latencies, every one of them, and their percentiles.

use std::time::Duration;

/// How long each one took, in microseconds. Bounded by the number of
/// repetitions, which is bounded by the command line.
#[derive(Debug, Clone, Default)]
pub(super) struct Latencies(Vec<u32>);

/// Whole microseconds; the longest that fits is over an hour.
pub(super) fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

impl Latencies {
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn push(&mut self, micros: u32) {
        self.0.push(micros);
    }

    pub(super) fn add(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(super) fn percentiles(mut self) -> Percentiles {
        self.0.sort_unstable();
        let at = |per_mille| self.at(per_mille).map(|micros| f64::from(micros) / 1000.0);
        Percentiles {
            p50_ms: at(500),
            p99_ms: at(990),
            p999_ms: at(999),
        }
    }

    /// Nearest rank: the smallest value that so many per mille do not exceed.
    fn at(&self, per_mille: usize) -> Option<u32> {
        let rank = (self.0.len() * per_mille).div_ceil(1000);
        self.0.get(rank.checked_sub(1)?).copied()
    }
}

/// In milliseconds; `None` when nothing ended well.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Percentiles {
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    pub(super) p999_ms: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(micros: impl DoubleEndedIterator<Item = u32>, expected: [Option<f64>; 3]) {
        let Percentiles {
            p50_ms,
            p99_ms,
            p999_ms,
        } = Latencies(micros.rev().collect()).percentiles();
        assert_eq!([p50_ms, p99_ms, p999_ms], expected);
    }

    #[test]
    fn nearest_rank() {
        check(0..0, [None; 3]);
        check(7..8, [Some(0.007); 3]);
        check(1..=2, [Some(0.001), Some(0.002), Some(0.002)]);
        check(1..=1000, [Some(0.5), Some(0.99), Some(0.999)]);
        check(1..=1001, [Some(0.501), Some(0.991), Some(1.0)]);
    }
}
