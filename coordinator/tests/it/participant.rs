//! Calls to participants, against real servers in this process.

mod classify;
mod faults;
mod limits;
mod registry;
mod server;
mod world;
