//! How often which length of time was seen: a fixed number of counters, so
//! that its cost does not grow with what it counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters for each doubling of the time: a length is known to an eighth.
const PER_DOUBLING: usize = 8;
const PER_DOUBLING_BITS: u32 = PER_DOUBLING.trailing_zeros();
/// Doublings told apart, from one microsecond on; what is longer (over two
/// weeks) counts as the longest.
const DOUBLINGS: usize = 41;
const BUCKETS: usize = PER_DOUBLING * (DOUBLINGS - PER_DOUBLING_BITS as usize + 1);

/// Counts lengths of time. Anybody may add and read at any time.
#[derive(Debug)]
pub(super) struct Histogram {
    counts: Box<[AtomicU64]>,
    sum_micros: AtomicU64,
}

/// What was counted so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// All lengths added up.
    pub sum: Duration,
    /// How many were at most so long and longer than the one before; those without any left out.
    pub buckets: Vec<(Duration, u64)>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            sum_micros: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    pub(super) fn add(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get(bucket(micros)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Adds what this one has counted to `sum`, which was read from others of its kind.
    pub(super) fn add_to(&self, sum: &mut Counted) {
        sum.sum += Duration::from_micros(self.sum_micros.load(Ordering::Relaxed));
        for (ix, count) in self.counts.iter().enumerate() {
            let count = count.load(Ordering::Relaxed);
            if count == 0 {
                continue;
            }
            let up_to = Duration::from_micros(longest(ix));
            match sum.buckets.binary_search_by_key(&up_to, |bucket| bucket.0) {
                Ok(at) => sum.buckets[at].1 += count,
                Err(at) => sum.buckets.insert(at, (up_to, count)),
            }
        }
    }
}

/// The short ones each have a counter of their own; after that the highest
/// bits of the number choose it.
fn bucket(micros: u64) -> usize {
    let shift = (micros | 1).ilog2().saturating_sub(PER_DOUBLING_BITS);
    let within = usize::try_from(micros >> shift).unwrap_or(usize::MAX);
    (PER_DOUBLING * shift as usize + within).min(BUCKETS - 1)
}

/// The longest time that a counter counts, in microseconds.
fn longest(bucket: usize) -> u64 {
    let shift = (bucket / PER_DOUBLING).saturating_sub(1);
    let within = (bucket - PER_DOUBLING * shift) as u64;
    ((within + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_known_to_an_eighth() {
        let mut micros: Vec<u64> = (0..2_000).collect();
        micros.extend((0..DOUBLINGS as u32).flat_map(|bits| {
            let power = 1_u64 << bits;
            [power - 1, power, power + power / 3]
        }));
        for micros in micros {
            let up_to = longest(bucket(micros));
            assert!(
                up_to >= micros && up_to - micros <= micros / PER_DOUBLING as u64,
                "{micros} counts as {up_to}"
            );
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn the_counters_follow_each_other_without_a_gap() {
        for ix in 1..BUCKETS {
            assert_eq!(bucket(longest(ix - 1) + 1), ix);
            assert_eq!(bucket(longest(ix)), ix);
        }
    }

    #[test]
    fn sums_of_several() {
        let (one, other) = (Histogram::default(), Histogram::default());
        for micros in [3, 5] {
            one.add(Duration::from_micros(micros));
        }
        other.add(Duration::from_micros(5));
        let mut sum = Counted::default();
        one.add_to(&mut sum);
        other.add_to(&mut sum);
        let micros = Duration::from_micros;
        assert_eq!(sum.sum, micros(13));
        assert_eq!(sum.buckets, [(micros(3), 1), (micros(5), 2)]);
    }
}
