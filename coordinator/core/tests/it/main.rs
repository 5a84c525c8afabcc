//! Tests of the core from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod corruption;
mod doubts;
mod filter;
mod golden;
mod half;
mod live;
mod planted_bugs;
mod random_worlds;
mod rules;
mod sketch;
mod small_worlds;
mod stored;
mod story;
mod table;
mod tcc;
mod travelling;
mod world;
