//! Half messages: prepared, then decided by their producer, a check or a person.
//!
//! A verdict and what it makes of the messages are one write of the store, so no
//! crash can come between them. What may happen to a half is said by the machine
//! in the core (`amends_core::message::half`); of two who write at once the store
//! lets one win, and the other is told what stands.
//!
//! Not here: how a verdict is stored, how delivered messages reach their groups.

mod ask;
mod decide;
mod options;
mod prepare;
mod read;
mod recent;
mod types;

use std::sync::Arc;

use super::Messages;
use recent::Recent;

pub use options::HalfOptions;
pub use types::{DecideHalf, HalfView, NewHalf, Prepared, Who};

/// Prepares and decides half messages. Cheap to clone.
#[derive(Clone)]
pub struct Halves {
    messages: Messages,
    options: HalfOptions,
    /// What was prepared lately, so that a verdict need not read it.
    recent: Arc<Recent>,
}

impl Halves {
    /// Over the messages of this coordinator.
    #[must_use]
    pub fn new(messages: Messages, options: HalfOptions) -> Self {
        Self {
            messages,
            options,
            recent: Arc::default(),
        }
    }
}
