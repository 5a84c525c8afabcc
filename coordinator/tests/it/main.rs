//! The coordinator's integration tests: one binary, one module a subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bench;
mod cli;
mod config;
mod disk_full;
mod engine;
mod grpc;
mod messages;
mod participant;
mod process;
mod rabbitmq;
mod store;
