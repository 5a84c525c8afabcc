//! A saga in a world that can go wrong: participants, a crashing coordinator, a
//! log of which only a part survives, and an auditor who watches.
//!
//! The world knows the machine only through its public functions. What is true
//! of the participants is kept in [`participant`], what may not happen in
//! [`auditor`]; neither looks at the machine's state. [`explore`] walks through
//! every history of a [`case::Case`], [`planted`] breaks the machine on purpose.

pub(crate) mod auditor;
pub(crate) mod case;
pub(crate) mod explore;
pub(crate) mod moves;
pub(crate) mod participant;
pub(crate) mod planted;
pub(crate) mod rare;
pub(crate) mod shapes;
pub(crate) mod state;
pub(crate) mod view;
