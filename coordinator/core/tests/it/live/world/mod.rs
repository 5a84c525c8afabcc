//! A live saga in a world that can go wrong: a caller that runs a program and may
//! change its mind, fall silent or die anywhere; participants; a coordinator that crashes; a
//! log of which only a part survives.
//!
//! What the caller was told and what is true of the participants is kept apart
//! from the machine, and judged against what it does.

pub(crate) mod caller;
mod explored;
pub(crate) mod judge;
pub(crate) mod moves;
pub(crate) mod state;
