//! The engine over a store in memory, with participants that say what the test wants.

mod acting;
mod beginning;
mod faults;
mod flaky;
mod live;
mod restart;
mod script;
mod sleeping;
mod starting;
mod tcc;
mod world;
