//! Half messages: prepared, then decided by their producer, a check or a person.
//!
//! A verdict and what it makes of the messages are one write of the store, so no
//! crash can come between them. What may happen to a half is said by the machine
//! in the core (`amends_core::message::half`); of two who write at once the store
//! lets one win, and the other is told what stands.
//!
//! Not here: how a verdict is stored, how delivered messages reach their groups.

mod ask;
mod check;
mod checker;
mod decide;
mod members;
mod options;
mod prepare;
mod read;
mod recent;
mod types;
mod wire;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use amends_core::message::GroupName;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{Messages, MessagesError};
use crate::participant::AskProducers;
use members::Members;
use recent::Recent;

pub use members::{MAX_CONCURRENCY as MAX_CHECK_CONCURRENCY, Member, Question};
pub use options::HalfOptions;
pub use types::{DecideHalf, HalfView, NewHalf, Prepared, Who};
pub use wire::{described, timestamp};

/// Prepares, checks and decides half messages. Cheap to clone.
#[derive(Clone)]
pub struct Halves {
    messages: Messages,
    options: HalfOptions,
    shared: Arc<Shared>,
}

struct Shared {
    /// What was prepared lately, so that a verdict need not read it.
    recent: Recent,
    /// Producers that opened a stream.
    members: Arc<Members>,
    /// The others.
    asker: Arc<dyn AskProducers>,
    /// Something may be due that the checker does not know of.
    wake: Notify,
    /// Groups that halves wait for and that have no live instance.
    silent: watch::Sender<Vec<GroupName>>,
    /// Verdicts that were given here.
    verdicts: AtomicU64,
    closing: CancellationToken,
}

impl Halves {
    /// Over the messages of this coordinator. `asker` reaches producers without a stream.
    #[must_use]
    pub fn new(messages: Messages, asker: Arc<dyn AskProducers>, options: HalfOptions) -> Self {
        Self {
            messages,
            options,
            shared: Arc::new(Shared {
                recent: Recent::default(),
                members: Arc::default(),
                asker,
                wake: Notify::new(),
                silent: watch::Sender::default(),
                verdicts: AtomicU64::new(0),
                closing: CancellationToken::new(),
            }),
        }
    }

    /// A producer that is asked over a stream; live until the member is dropped.
    ///
    /// # Errors
    /// [`MessagesError::Overloaded`]: there are too many.
    pub fn join(
        &self,
        producer: GroupName,
        instance: &str,
        concurrency: u32,
    ) -> Result<Member, MessagesError> {
        let member = self.shared.members.join(producer, instance, concurrency)?;
        self.look();
        Ok(member)
    }

    /// Looks at the clock and into the store now: for whoever knows that something is due.
    pub fn look(&self) {
        self.shared.wake.notify_one();
    }

    /// Ends the streams of producers.
    pub fn close(&self) {
        self.shared.closing.cancel();
    }

    /// Cancelled when streams have to end.
    #[must_use]
    pub fn closing(&self) -> CancellationToken {
        self.shared.closing.clone()
    }

    /// Groups that are waited for and have no live instance, as they change.
    #[must_use]
    pub fn silent_producers(&self) -> watch::Receiver<Vec<GroupName>> {
        self.shared.silent.subscribe()
    }

    /// Instances of a group that can be asked now.
    #[must_use]
    pub fn instances(&self, producer: &GroupName) -> Vec<String> {
        let mut all = self.shared.members.instances(producer);
        all.extend(self.shared.asker.instances(producer.as_str()));
        all.sort_unstable();
        all.dedup();
        all
    }
}
