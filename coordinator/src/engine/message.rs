//! What is said to a shard.

use std::time::Instant;

use amends_core::id::{Gid, RecordNo};
use amends_core::took::Took;
use tokio::sync::oneshot;

use crate::store::Appended;

use super::error::EngineError;
use super::live::View;
use super::reads::Reading;
use super::seat::Seat;
use super::start::Birth;
use super::stopwatch::CallTimes;
use super::transaction::{Command, Transaction};

/// Where a reply goes; the asker may have left.
pub(super) type Reply<T> = oneshot::Sender<T>;

/// From the handle to a shard.
pub(super) enum Message {
    /// Begin a transaction. `Err` gives the start back: the id is in the store already.
    Start {
        start: Birth,
        /// Its place in memory.
        seat: Seat,
        /// For who waits for the end too; dropped when it is not accepted.
        end: Option<Reply<Option<View>>>,
        /// Since when it waits for the shard.
        asked: Instant,
        reply: Reply<Result<Accepted, StartFailed>>,
    },
    /// Put a command to a live transaction, or to one that comes along from
    /// its log: it could be asleep again before a command that came later.
    Command {
        gid: Gid,
        command: Command,
        loaded: Option<Box<Loaded>>,
        reply: Reply<Result<View, CommandFailed>>,
    },
    /// Look at a live transaction; `None` when it is not in memory.
    Observe {
        gid: Gid,
        until: Until,
        reply: Reply<Option<View>>,
    },
    /// Take a transaction from its log into memory.
    Load {
        loaded: Box<Loaded>,
        reply: Reply<()>,
    },
    /// Write everything and end.
    Stop { reply: Reply<()> },
}

/// What an observer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// Nothing: as it is.
    Now,
    /// A change after this number.
    Change(u64),
    /// The end.
    End,
}

/// A start that is durable.
pub(super) struct Accepted {
    /// False when the same start was accepted before.
    pub(super) created: bool,
    /// The transaction, unless whoever asked waits for its end.
    pub(super) view: Option<View>,
}

/// Why a start was not accepted.
pub(super) enum StartFailed {
    /// The store knows this id.
    Exists(Birth),
    /// Anything else.
    Error(EngineError),
}

/// Why a command was not accepted.
pub(super) enum CommandFailed {
    /// The transaction is not in memory.
    NotLive(Command),
    /// Anything else.
    Error(EngineError),
}

/// A transaction replayed from its log.
pub(super) struct Loaded {
    /// As the log tells it.
    pub(super) transaction: Transaction,
    /// Whether another run of a coordinator had it before: then whatever it
    /// had called without a trace may have run.
    pub(super) resume: Option<Command>,
    /// Whether its row says when it has to be loaded, which is over now.
    pub(super) marked: bool,
    /// Since when its log was read; see [`super::reads`].
    pub(super) reading: Reading,
}

/// A call that came back, or a word from another transaction.
pub(super) struct CallDone {
    pub(super) gid: Gid,
    /// Which stay in memory the call was made in.
    pub(super) stay: u64,
    /// What it means for its transaction.
    pub(super) command: Command,
    /// Where a participant was called.
    pub(super) times: Option<CallTimes>,
}

impl CallDone {
    /// Notes where the time of the call went.
    pub(super) fn took(&mut self, took: Took) {
        if let Command::Answered(answered) = &mut self.command {
            answered.took = Some(took);
        }
    }
}

/// What became of an append.
pub(super) struct CommitDone {
    pub(super) gid: Gid,
    pub(super) stay: u64,
    pub(super) last: RecordNo,
    pub(super) outcome: Appended,
    /// Since when that is known.
    pub(super) at: Instant,
}
