//! The tests of the shop: its rules, its services, its saga, and the whole
//! of it as real processes. Each fault that other shops of this kind were
//! seen to have has a test of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub
)]

mod broker;
mod compose;
mod coupon;
mod databases;
mod demo;
mod fence;
mod front;
mod goods;
mod killed_consumer;
mod mail;
mod order;
mod pay;
mod placing;
mod processes;
mod rules;
mod saga;
mod shop;
mod tcc;
mod till;
mod user;
