//! The Amends coordinator. ARCHITECTURE.md shows the house.

pub mod admin;
pub mod app;
pub mod broker;
pub mod clock;
pub mod config;
pub mod cores;
pub mod crash;
pub mod engine;
pub mod grpc;
pub mod messages;
pub mod participant;
pub mod store;
pub mod worker;
