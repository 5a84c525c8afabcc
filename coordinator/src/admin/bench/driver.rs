//! The closed loop: so many at a time, each begins its next one when the last
//! has ended, for a bounded time and a bounded number.
//!
//! Guarantees: what was begun is brought to its end and counted, as done or as
//! a fault. Not here: what is done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tonic::Status;
use tonic_types::StatusExt as _;

use super::latency::{Latencies, micros};
use crate::admin::error::CommandError;
use crate::clock::monotonic;

/// Different faults that are told apart; further ones are counted together.
const MAX_FAULT_KINDS: usize = 16;
const OTHER_FAULTS: &str = "others";
/// After a fault, so that a loop of faults leaves the machine to the others.
const PAUSE_AFTER_FAULT: Duration = Duration::from_millis(10);

/// Something that can be done over and over.
pub(super) trait Work: Send + Sync + 'static {
    /// Does it once, and checks how it ended.
    fn once(&self) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Where it is done, in turn.
    fn cores(&self) -> &[Handle];
}

/// It did not end as it should have. Holds no ids, so that equal faults are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault(pub(super) String);

impl From<Status> for Fault {
    fn from(status: Status) -> Self {
        let code = status.code().description();
        match status.get_details_error_info() {
            Some(info) => Self(format!("{code} ({})", info.reason)),
            None => Self(code.to_owned()),
        }
    }
}

/// The bounds of one round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) concurrency: usize,
    pub(super) time: Duration,
    /// Most repetitions, over all that run at the same time.
    pub(super) count: i64,
}

/// What came of one or several rounds.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Of those that ended well.
    pub(super) latencies: Latencies,
    /// From the beginning of the first to the end of the last, summed over rounds.
    pub(super) elapsed: Duration,
    pub(super) faults: BTreeMap<String, u64>,
}

impl Tally {
    /// Those that ended well.
    pub(super) fn count(&self) -> usize {
        self.latencies.count()
    }

    /// Those that ended well, by time.
    pub(super) fn per_second(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 {
            self.count() as f64 / seconds
        } else {
            0.0
        }
    }

    pub(super) fn fault_count(&self) -> u64 {
        self.faults.values().sum()
    }

    /// Adds another round, which came after this one.
    pub(super) fn add(&mut self, other: Self) {
        self.elapsed += other.elapsed;
        self.add_parallel(other);
    }

    pub(super) fn add_fault(&mut self, fault: Fault) {
        self.add_faults(fault.0, 1);
    }

    fn add_parallel(&mut self, other: Self) {
        self.latencies.add(other.latencies);
        for (fault, count) in other.faults {
            self.add_faults(fault, count);
        }
    }

    fn add_faults(&mut self, fault: String, count: u64) {
        let known = self.faults.contains_key(&fault) || self.faults.len() < MAX_FAULT_KINDS;
        let key = if known {
            fault
        } else {
            OTHER_FAULTS.to_owned()
        };
        *self.faults.entry(key).or_default() += count;
    }
}

/// Runs one round to its end.
///
/// # Errors
/// The work panicked.
pub(super) async fn drive<W: Work>(work: &Arc<W>, load: Load) -> Result<Tally, CommandError> {
    let left = Arc::new(AtomicI64::new(load.count));
    let start = monotonic();
    let until = start + load.time;
    let mut workers = JoinSet::new();
    for core in work.cores().iter().cycle().take(load.concurrency) {
        workers.spawn_on(repeat(Arc::clone(work), until, Arc::clone(&left)), core);
    }
    let mut sum = Tally::default();
    while let Some(ended) = workers.join_next().await {
        let tally = ended.map_err(|error| CommandError::Failed(error.to_string()))?;
        sum.add_parallel(tally);
    }
    sum.elapsed = monotonic().saturating_duration_since(start);
    Ok(sum)
}

async fn repeat<W: Work>(work: Arc<W>, until: Instant, left: Arc<AtomicI64>) -> Tally {
    let mut tally = Tally::default();
    let mut begun = monotonic();
    while begun < until && left.fetch_sub(1, Ordering::Relaxed) > 0 {
        let outcome = work.once().await;
        let ended = monotonic();
        match outcome {
            Ok(()) => tally
                .latencies
                .push(micros(ended.saturating_duration_since(begun))),
            Err(fault) => {
                tally.add_fault(fault);
                tokio::time::sleep(PAUSE_AFTER_FAULT).await;
            }
        }
        begun = monotonic();
    }
    tally
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    struct EveryThirdFails(AtomicI64, [Handle; 1]);

    impl Work for EveryThirdFails {
        fn cores(&self) -> &[Handle] {
            &self.1
        }

        async fn once(&self) -> Result<(), Fault> {
            match self.0.fetch_add(1, Ordering::Relaxed) % 3 {
                0 => Err(Fault("third".to_owned())),
                _ => Ok(()),
            }
        }
    }

    #[tokio::test]
    async fn everything_is_counted_once() {
        let work = Arc::new(EveryThirdFails(AtomicI64::new(0), [Handle::current()]));
        let load = Load {
            concurrency: 4,
            time: Duration::from_secs(60),
            count: 30,
        };
        let mut tally = drive(&work, load).await.unwrap();
        assert_eq!((tally.count(), tally.fault_count()), (20, 10));
        tally.add(drive(&work, load).await.unwrap());
        assert_eq!(tally.faults, BTreeMap::from([("third".to_owned(), 20)]));
    }

    #[test]
    fn too_many_kinds_of_faults_are_counted_together() {
        let mut tally = Tally::default();
        for number in 0..MAX_FAULT_KINDS + 5 {
            tally.add_fault(Fault(format!("{number}")));
        }
        assert_eq!(tally.faults[OTHER_FAULTS], 5);
        assert_eq!(tally.fault_count(), MAX_FAULT_KINDS as u64 + 5);
    }
}
