//! TCCs in a world that can go wrong: a caller who stops anywhere, participants,
//! a crashing coordinator, logs of which only a part survives, and an auditor.
//!
//! A case is a family: the first TCC and those begun under it, each with a log
//! of its own. The world knows the machine only through its public functions.
//! What is true of the participants is kept in [`participant`], what may not
//! happen in [`auditor`]; neither looks at the machine's state.

pub(crate) mod auditor;
pub(crate) mod case;
pub(crate) mod crash;
pub(crate) mod delivery;
pub(crate) mod judge;
pub(crate) mod moves;
pub(crate) mod participant;
pub(crate) mod planted;
pub(crate) mod state;
pub(crate) mod view;
