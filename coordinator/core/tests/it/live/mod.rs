//! Tests of live sagas: their caller is one more party that can do anything at any time.

mod corruption;
mod planted_bugs;
mod sketch;
mod small_worlds;
mod story;
mod table;
mod world;
