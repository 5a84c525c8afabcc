//! Tests of the TCC machine, laid out like those of the saga machine.

mod corruption;
mod nested;
mod planted_bugs;
mod random_worlds;
mod sketch;
mod small_worlds;
mod stored;
mod story;
mod table;
mod world;
