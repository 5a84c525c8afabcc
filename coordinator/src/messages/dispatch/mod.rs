//! Delivery to consumers: one dispatcher for each group and topic that has consumers here.
//!
//! ```text
//!   writer ──offers──▶ ┐                         ┌──▶ consumers
//!   store  ──pages───▶ │ actor ──▶ group (pure) ─┤
//!   broker ──feed────▶ │   ▲                     ├──▶ writer: what became of them
//!   consumers ─says──▶ ┘   └── what is durable ──┘
//! ```
//!
//! `group` decides, `actor` does. A dispatcher that has no consumers any more ends after a while;
//! what it had in memory is in the store or at the broker.

mod acting;
mod actor;
mod consumers;
mod entry;
mod feed;
mod group;
mod lanes;
#[cfg(test)]
mod model;
mod registry;
mod sources;
mod time;

pub(super) use actor::Command;
pub(super) use consumers::ConsumerId;
pub(super) use entry::Offer;
pub(super) use registry::Dispatchers;
pub(super) use time::Timers;
