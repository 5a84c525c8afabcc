//! The shop of Amends: the classic order case, with every fault it must
//! survive.
//!
//! Four services, each with a database of its own, place orders together
//! through one saga; a fifth takes payments, which [`provider`] makes. [`domain`] has the rules, [`services`] what each service
//! does, [`saga`] how they work together, [`front`] the shop as customers see
//! it, [`invariants`] what must be true whatever happened, and [`runner`] the
//! program that starts everything and tells its story.

pub mod cli;
pub mod clock;
pub mod database;
pub mod domain;
pub mod front;
pub mod holds;
mod http;
pub mod invariants;
pub mod live;
pub mod proto;
pub mod provider;
pub mod role;
pub mod runner;
pub mod saga;
pub mod samples;
pub mod services;
