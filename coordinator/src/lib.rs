//! The Amends coordinator. ARCHITECTURE.md shows the house.

pub mod clock;
pub mod participant;
pub mod store;
