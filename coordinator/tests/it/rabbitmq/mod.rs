//! RabbitMQ as the broker, on a real server.
//!
//! Tests that disturb the server start one of their own (`server`); the others share the one at
//! `AMENDS_TEST_RABBITMQ_URL` and have topics and groups of their own there.

mod carrying;
mod faults;
pub(crate) mod place;
pub(crate) mod proxy;
mod publishing;
mod receiving;
pub(crate) mod server;
mod topology;
