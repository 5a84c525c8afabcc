//! What a consumer group wants, and how it is retried.

use serde::{Deserialize, Serialize};

use super::names::{GroupName, Topic};
use crate::time::Millis;

/// Most waits of a schedule, and most attempts.
const MAX_WAITS: usize = 64;
/// Longest wait of a schedule.
const MAX_WAIT: Millis = Millis::from_secs(30 * 24 * 3600);

const DEFAULT_WAITS_SECS: [u64; 16] = [
    10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200,
];

/// Who receives a message of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// One instance.
    #[default]
    Clustering,
    /// Every instance.
    Broadcasting,
}

/// How often and when a group is given a message again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetrySchedule {
    max_attempts: u32,
    waits: Vec<Millis>,
}

/// Why a schedule is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Too many waits.
    #[error("has {0} waits, at most {MAX_WAITS} are allowed")]
    TooMany(usize),
    /// A wait that is too long.
    #[error("{0} is longer than {MAX_WAIT}")]
    TooLong(Millis),
    /// Too many attempts.
    #[error("{0} attempts, at most {MAX_WAITS} are allowed")]
    Attempts(u32),
}

impl Default for RetrySchedule {
    /// 16 waits: 10 s, 30 s, 1 to 10 min, 20 min, 30 min, 1 h, 2 h.
    fn default() -> Self {
        Self {
            max_attempts: 16,
            waits: DEFAULT_WAITS_SECS.map(Millis::from_secs).to_vec(),
        }
    }
}

impl RetrySchedule {
    /// From what a subscription says; zero attempts and no waits mean the defaults.
    ///
    /// # Errors
    /// Says which bound it breaks.
    pub fn new(max_attempts: u32, waits: Vec<Millis>) -> Result<Self, ScheduleError> {
        if waits.len() > MAX_WAITS {
            return Err(ScheduleError::TooMany(waits.len()));
        }
        if let Some(&long) = waits.iter().find(|wait| **wait > MAX_WAIT) {
            return Err(ScheduleError::TooLong(long));
        }
        if max_attempts as usize > MAX_WAITS {
            return Err(ScheduleError::Attempts(max_attempts));
        }
        let waits = if waits.is_empty() {
            Self::default().waits
        } else {
            waits
        };
        let max_attempts = match max_attempts {
            0 => u32::try_from(waits.len()).unwrap_or(u32::MAX),
            some => some,
        };
        Ok(Self {
            max_attempts,
            waits,
        })
    }

    /// Attempts in all.
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        self.max_attempts
    }

    /// The waits; the last one repeats.
    #[must_use]
    pub fn waits(&self) -> &[Millis] {
        &self.waits
    }

    /// How long to wait after so many failed attempts; `None`: it is a dead letter.
    #[must_use]
    pub fn wait_after(&self, failed: u32) -> Option<Millis> {
        if failed >= self.max_attempts {
            return None;
        }
        let ix = (failed.max(1) - 1) as usize;
        self.waits.get(ix).or(self.waits.last()).copied()
    }
}

/// What a group wants of a topic. Durable: messages are kept for the group
/// while no consumer is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The group.
    pub group: GroupName,
    /// The topic.
    pub topic: Topic,
    /// Which messages of the topic.
    pub filter: super::filter::Filter,
    /// Who receives a message.
    pub mode: Mode,
    /// How it is retried.
    pub retry: RetrySchedule,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_follow_the_schedule_and_the_last_repeats() {
        let schedule = RetrySchedule::new(4, vec![Millis(10), Millis(20)]).expect("in bounds");
        let waits: Vec<_> = (1..=4).map(|failed| schedule.wait_after(failed)).collect();
        assert_eq!(
            waits,
            [Some(Millis(10)), Some(Millis(20)), Some(Millis(20)), None]
        );
        assert_eq!(
            RetrySchedule::new(0, Vec::new()),
            Ok(RetrySchedule::default())
        );
        assert_eq!(RetrySchedule::default().wait_after(16), None);
        assert_eq!(
            RetrySchedule::default().wait_after(15),
            Some(Millis::from_secs(3600))
        );
        let long = Millis(MAX_WAIT.0 + 1);
        assert_eq!(
            RetrySchedule::new(0, vec![long]),
            Err(ScheduleError::TooLong(long))
        );
        assert_eq!(
            RetrySchedule::new(65, Vec::new()),
            Err(ScheduleError::Attempts(65))
        );
    }
}
