//! The engine: runs transactions. The only caller of `decide`.
//!
//! ```text
//!   grpc, workers ──Engine──▶ shard 0..S ──appends──▶ committer ──▶ store
//!                              │   ▲  ▲                   │
//!                              │   │  └── what is durable ┘
//!                              ▼   └── answers
//!                            calls ──▶ Caller, parents and children
//! ```
//!
//! Each shard owns its live transactions and is the only one to touch them. A
//! decision changes the state in memory at once; its effects run when the
//! records they rest on are durable. Records nobody waits for are written
//! along with the next ones, or after a short while.
//!
//! Guarantees: what was accepted ends, whatever dies when; an effect never
//! runs before what it needs is durable; memory is bounded by what is active.
//! Not here: how a store writes, how a call is made, what the wire looks like.

mod calling;
mod committer;
mod definitions;
mod error;
mod handle;
mod histogram;
mod lanes;
mod live;
mod live_saga;
mod message;
mod nested;
mod options;
mod profile;
mod reads;
mod replay;
mod seat;
mod shard;
mod start;
mod stopwatch;
mod tcc;
mod timers;
mod transaction;
mod unawaited;

pub use definitions::{Definitions, to_stored};
pub use error::EngineError;
pub use handle::{Engine, EngineParts};
pub use histogram::Counted;
pub use live::View;
pub use options::{EngineOptions, Ownership};
pub use profile::{Part, Profile};
pub use reads::Reading;
pub use start::{Start, Started};
pub use transaction::{Command, Rejected, Transaction};
