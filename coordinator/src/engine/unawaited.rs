//! Which live transactions have records that nobody waits for, and by when
//! those must be written.
//!
//! What a participant has answered is worth a write soon: a crash would cost
//! the call again. That a call failed is worth less, and while a participant
//! hangs there is much of it: records of thousands of transactions, each of
//! which changes pages of its own. So it waits for longer, for what comes next.

use std::collections::VecDeque;
use std::time::Duration;

use amends_core::id::Gid;
use tokio::time::Instant;

use super::transaction::Record;

/// Failed attempts may stay unwritten for this many times as long as progress.
const ATTEMPTS_LONGER: u32 = 25;

/// What the records say that were not written yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worth {
    /// Calls failed, and will be made again.
    Attempts,
    /// Anything more.
    Progress,
}

impl Worth {
    pub(super) fn of(records: &[Record]) -> Self {
        match records.iter().all(Record::is_failed_attempt) {
            true => Self::Attempts,
            false => Self::Progress,
        }
    }
}

/// The two lists on which a transaction can stand.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Listed {
    attempts: bool,
    progress: bool,
}

/// At most two entries for each live transaction.
pub(super) struct Unawaited {
    after: Duration,
    attempts: VecDeque<(Instant, Gid)>,
    progress: VecDeque<(Instant, Gid)>,
}

impl Unawaited {
    /// Progress is written `after` this time.
    pub(super) fn new(after: Duration) -> Self {
        Self {
            after,
            attempts: VecDeque::new(),
            progress: VecDeque::new(),
        }
    }

    /// Lists a transaction, unless it is listed for that already.
    pub(super) fn add(&mut self, gid: &Gid, listed: &mut Listed, worth: Worth, now: Instant) {
        let (listed, list, after) = match worth {
            Worth::Attempts => {
                let longer = self.after.saturating_mul(ATTEMPTS_LONGER);
                (&mut listed.attempts, &mut self.attempts, longer)
            }
            Worth::Progress => (&mut listed.progress, &mut self.progress, self.after),
        };
        if !std::mem::replace(listed, true) {
            list.push_back((now + after, gid.clone()));
        }
    }

    /// When the next one must be written.
    pub(super) fn next(&self) -> Option<Instant> {
        let first = |list: &VecDeque<(Instant, Gid)>| list.front().map(|(at, _)| *at);
        let firsts = [first(&self.attempts), first(&self.progress)];
        firsts.into_iter().flatten().min()
    }

    /// The next one that must be written by `until`, of all for `None`.
    pub(super) fn pop(&mut self, until: Option<Instant>) -> Option<(Gid, Worth)> {
        let due = |list: &mut VecDeque<(Instant, Gid)>| {
            list.pop_front_if(|(at, _)| until.is_none_or(|until| *at <= until))
        };
        if let Some((_, gid)) = due(&mut self.progress) {
            return Some((gid, Worth::Progress));
        }
        let (_, gid) = due(&mut self.attempts)?;
        Some((gid, Worth::Attempts))
    }
}

impl Listed {
    /// It was taken from the list for that.
    pub(super) fn took(&mut self, worth: Worth) {
        match worth {
            Worth::Attempts => self.attempts = false,
            Worth::Progress => self.progress = false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::clock::runtime_now;

    const AFTER: Duration = Duration::from_millis(100);

    #[test]
    fn failed_attempts_wait_for_longer_than_progress() {
        let (start, mut list) = (runtime_now(), Unawaited::new(AFTER));
        let (slow, fast) = (Gid::new("slow").unwrap(), Gid::new("fast").unwrap());
        let mut listed = [Listed::default(); 2];
        for _ in 0..2 {
            list.add(&slow, &mut listed[0], Worth::Attempts, start);
            list.add(&fast, &mut listed[1], Worth::Progress, start);
        }
        assert_eq!(list.next(), Some(start + AFTER));
        assert_eq!(list.pop(Some(start)), None);
        let later = Some(start + AFTER);
        assert_eq!(list.pop(later), Some((fast, Worth::Progress)));
        assert_eq!(list.pop(later), None, "listed once");
        assert_eq!(list.next(), Some(start + AFTER * ATTEMPTS_LONGER));
        list.add(&slow, &mut listed[0], Worth::Progress, start);
        assert_eq!(list.pop(later), Some((slow.clone(), Worth::Progress)));
        assert_eq!(list.pop(None), Some((slow, Worth::Attempts)));
        assert_eq!((list.pop(None), list.next()), (None, None));
    }
}
