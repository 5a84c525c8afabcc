//! The invariants.
