//! Tests of the core from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod doubts;
mod planted_bugs;
mod random_worlds;
mod sketch;
mod small_worlds;
mod story;
mod world;
