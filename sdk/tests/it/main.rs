//! The tests of the SDK as its users see it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub
)]

#[cfg(feature = "macros")]
mod access;
mod broker;
#[cfg(feature = "macros")]
mod client;
#[cfg(feature = "macros")]
mod commands;
mod conn;
mod consume;
mod consumer_log;
mod databases;
mod external;
#[cfg(feature = "macros")]
mod fake;
mod fence;
mod half;
mod half_kills;
mod half_producers;
#[cfg(feature = "macros")]
mod half_service;
mod halves;
mod live;
mod live_fake;
mod outbox;
mod participant;
mod points;
mod publish;
mod registry;
#[cfg(feature = "macros")]
mod saga_definition;
#[cfg(feature = "macros")]
mod saga_kit;
#[cfg(feature = "macros")]
mod service_macro;
mod shelf;
#[cfg(feature = "macros")]
mod shop;
mod tcc;
#[cfg(feature = "macros")]
mod ui;
