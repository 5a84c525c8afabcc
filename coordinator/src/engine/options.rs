//! The engine's bounds.

use std::time::Duration;

use amends_core::time::Millis;

/// What the engine is allowed to use.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Number of shards.
    pub shards: usize,
    /// Most transactions in memory; beyond it a start is answered with "overloaded".
    pub max_live: usize,
    /// Most messages waiting for one shard.
    pub queue: usize,
    /// A transaction that will do nothing for at least this long leaves memory.
    pub evict_after: Millis,
    /// Longest time that a record nobody waits for stays unwritten.
    pub flush_after: Duration,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            shards: std::thread::available_parallelism().map_or(1, usize::from),
            max_live: 100_000,
            queue: 4_096,
            evict_after: Millis::from_secs(30),
            flush_after: Duration::from_millis(200),
        }
    }
}

/// Whether this coordinator certainly owns what it believes to own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// Its lease is fresh.
    Certain,
    /// Its lease could not be renewed in time.
    InDoubt,
}
