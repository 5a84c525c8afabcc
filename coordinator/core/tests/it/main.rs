//! Tests of the core from outside.

mod sketch;
mod story;
