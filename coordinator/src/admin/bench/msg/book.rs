//! Who has seen which message, and when.
//!
//! Guarantees: a message counts once, when both its publisher has the answer and its consumer
//! has the message, in whichever order they come. Its time runs from the publish call to the
//! consumer: from outside nobody sees the commit in between, and the answer may well come last.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::admin::bench::driver::{Fault, Tally};
use crate::admin::bench::latency::{Latencies, micros};
use crate::clock::monotonic;

/// What is known of the messages of a round.
#[derive(Debug, Default)]
pub(super) struct Book {
    pages: Mutex<Pages>,
    drained: Notify,
}

#[derive(Debug, Default)]
struct Pages {
    /// Published, and not yet seen by both.
    open: HashMap<u64, Open>,
    /// Delivered without having been published, or once more.
    surplus: u64,
    /// Answered and not yet delivered.
    awaited: usize,
    latencies: Latencies,
    lateness: Latencies,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    begun: Instant,
    answered: bool,
    /// How long it took to the consumer.
    took: Option<Duration>,
}

impl Book {
    /// These are about to be published.
    pub(super) fn begun(&self, numbers: impl Iterator<Item = u64>) {
        let open = Open {
            begun: monotonic(),
            answered: false,
            took: None,
        };
        let open = numbers.map(|number| (number, open));
        self.pages().open.extend(open);
    }

    /// The publisher knows that these are durable.
    pub(super) fn answered(&self, numbers: impl Iterator<Item = u64>) {
        let mut pages = self.pages();
        for number in numbers {
            let Some(open) = pages.open.get_mut(&number) else {
                continue;
            };
            open.answered = true;
            match open.took {
                Some(took) => pages.close(number, took),
                None => pages.awaited += 1,
            }
        }
    }

    /// A consumer has these; a delayed one comes with how late it is.
    pub(super) fn delivered(&self, numbers: impl Iterator<Item = (u64, Option<Duration>)>) {
        let now = monotonic();
        let mut pages = self.pages();
        for (number, late) in numbers {
            match pages.open.get_mut(&number) {
                Some(open) if open.took.is_none() => {
                    let took = now.saturating_duration_since(open.begun);
                    open.took = Some(took);
                    if open.answered {
                        pages.close(number, took);
                        pages.awaited -= 1;
                    }
                }
                _ => pages.surplus += 1,
            }
            if let Some(late) = late {
                pages.lateness.push(micros(late));
            }
        }
        if pages.awaited == 0 {
            self.drained.notify_waiters();
        }
    }

    /// Waits until all that was answered has been delivered, and takes the page
    /// out: how long each took to its consumer.
    pub(super) async fn drained(&self, at_most: Duration) -> Tally {
        self.wait(at_most).await;
        let pages = std::mem::take(&mut *self.pages());
        let mut tally = Tally {
            latencies: pages.latencies,
            ..Tally::default()
        };
        for open in pages.open.into_values() {
            if open.answered {
                tally.add_fault(Fault(format!("not delivered within {at_most:?}")));
            }
        }
        for _ in 0..pages.surplus {
            tally.add_fault(Fault("delivered more than once".to_owned()));
        }
        tally
    }

    /// The same for delayed messages: how late each was.
    pub(super) async fn lateness(&self, at_most: Duration) -> Tally {
        self.wait(at_most).await;
        let lateness = std::mem::take(&mut self.pages().lateness);
        Tally {
            latencies: lateness,
            ..self.drained(Duration::ZERO).await
        }
    }

    async fn wait(&self, at_most: Duration) {
        let all = async {
            loop {
                let drained = self.drained.notified();
                if self.pages().awaited == 0 {
                    return;
                }
                drained.await;
            }
        };
        // What is missing then is counted as a fault.
        let _ = timeout(at_most, all).await;
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    /// Both have seen it.
    fn close(&mut self, number: u64, took: Duration) {
        self.open.remove(&number);
        self.latencies.push(micros(took));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_counts_when_both_have_seen_it() {
        let book = Book::default();
        book.begun([1, 2, 3, 4, 5].into_iter());
        book.answered([1, 2, 3].into_iter());
        book.delivered([(4, None), (1, None), (2, None), (2, None), (5, None)].into_iter());
        book.answered([4].into_iter());
        let tally = book.drained(Duration::ZERO).await;
        assert_eq!(tally.count(), 3, "5 was never answered");
        let faults: Vec<_> = tally.faults.into_values().collect();
        assert_eq!(faults, [1, 1], "3 is missing, 2 came twice");
        assert_eq!(book.drained(Duration::ZERO).await.fault_count(), 0);
    }
}
