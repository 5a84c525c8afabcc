//! Messages: accepts them, publishes them, delivers them, retries, and keeps what nobody could handle.
//!
//! ```text
//!   grpc ──Messages──▶ writer ──▶ store         (one commit for whatever waits)
//!                        │ what is durable, in the order of the commits
//!                        ├──▶ outbox ──▶ lanes ──▶ external broker, or the groups' rows
//!                        └──▶ dispatchers ◀──▶ consumers
//! ```
//!
//! Guarantees:
//! - what was accepted reaches every group that subscribes to it, at least once, whatever dies when;
//! - a message of a group is with one consumer at a time, and so is a key of ordered ones;
//! - retries and dead letters are durable before anything rests on them;
//! - memory is bounded: what does not fit waits in the store, or at the broker.
//!
//! Not here: how a store writes, how a broker carries, what the wire looks like.

mod accept;
mod commands;
mod consumer;
mod counters;
mod dead;
mod dispatch;
mod error;
mod half;
mod handle;
mod hints;
mod look;
mod options;
mod relay;
mod subscribe;
mod table;
mod types;
mod writer;

pub use commands::Commands;
pub use consumer::{ConsumerHandle, Deliveries};
pub use counters::Counted;
pub use error::MessagesError;
pub use half::{
    DecideHalf, HalfOptions, HalfView, Halves, MAX_CHECK_CONCURRENCY, Member, NewHalf, Prepared,
    Question, Who, described, timestamp,
};
pub use handle::{MessageParts, Messages};
pub use options::{MAX_CREDIT, MAX_ITEMS, MAX_PUBLISH, MessageOptions};
pub use types::{
    Accepted, DeadSelection, Deliver, Edit, Handed, ItemOutcome, ItemResult, Join, MessageView,
    MessagesHealth, NewMessage, Resend, Settled, Settlement, SubscriptionFilter, SubscriptionView,
    Verdict,
};
