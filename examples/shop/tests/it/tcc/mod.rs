//! TCC with the SDK, against a coordinator that is a real process.

mod bank;
mod calling;
mod judge;
mod nested;
mod own;
mod purchase;
mod transfers;
mod world;
