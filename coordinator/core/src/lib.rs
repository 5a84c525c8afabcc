//! The pure core of Amends: transaction machines without IO, clock or chance.
//!
//! A transaction is a fold over its records. Everything that happens to it is
//! a [`saga::Command`]; [`saga::decide`] turns a command into records and
//! effects, [`saga::apply`] folds a record into the state, and
//! [`saga::replay`] folds a whole log. Whatever must be in flight in a state
//! is told by [`saga::pending_effects`]: after a crash this, and nothing else,
//! restarts the work.
//!
//! What this crate may not do: wait, read a clock, draw a random number, log,
//! or touch anything outside its arguments. `now` is always passed in.

pub mod answer;
pub mod dag;
pub mod id;
pub mod log;
pub mod message;
pub mod payload;
pub mod public_state;
pub mod reference;
pub mod retry;
pub mod saga;
pub mod target;
pub mod tcc;
pub mod time;
pub mod took;
