//! The bounds of publishing and delivering.

use std::time::Duration;

use amends_core::time::Millis;

/// Most messages of one publish call.
pub const MAX_PUBLISH: usize = 256;
/// Most items of one call about many messages or dead letters.
pub const MAX_ITEMS: usize = 1_000;
/// Most deliveries that one consumer has at a time.
pub const MAX_CREDIT: u32 = 1_000;

/// What publishing and delivering is allowed to use.
#[derive(Debug, Clone)]
pub struct MessageOptions {
    /// A delivery not settled within this time is delivered again.
    pub lease: Millis,
    /// Messages of one group and topic in memory; the others wait in the store or at the broker.
    pub buffer: usize,
    /// How often to look into the store for what came in by other ways.
    pub poll: Duration,
    /// Wait after the first failed attempt to publish; doubles with each.
    pub publish_backoff: Millis,
    /// The longest such wait.
    pub max_publish_backoff: Millis,
}

impl Default for MessageOptions {
    fn default() -> Self {
        Self {
            lease: Millis::from_secs(30),
            buffer: 2_048,
            poll: Duration::from_secs(1),
            publish_backoff: Millis(100),
            max_publish_backoff: Millis::from_secs(30),
        }
    }
}

impl MessageOptions {
    /// How often consumers say that they live.
    #[must_use]
    pub fn keepalive_interval(&self) -> Duration {
        Duration::from(self.lease) / 3
    }
}
