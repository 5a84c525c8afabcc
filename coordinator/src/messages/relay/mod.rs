//! From the outbox to the broker.
//!
//! The outbox actor knows what is to be published now or soon, in memory up to a bound; the rest
//! is in the store and read from there, by time. It hands each message to one lane, by its
//! order key or its id. A lane publishes and records; nothing is recorded as
//! published before the broker has confirmed it, or before the groups have it.
//!
//! Not here: who wants a message (`table`), how a broker carries it (`broker`).

mod backoff;
mod carrying;
mod claim;
mod due;
mod embedded;
mod lane;
mod outbox;

pub(super) use claim::Claim;
pub(super) use due::Due;
pub(super) use embedded::Embedded;
pub(super) use lane::Lane;
pub(super) use outbox::{Outbox, OutboxCommand, OutboxLive, OutboxParts};
