//! Half messages: the machine, and every order of what can happen to one.

mod machine;
mod planted_bugs;
mod small_worlds;
mod world;
