//! What can be set about calls to participants.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::config::{AllowList, Participants};

/// Largest answer of a participant, in bytes.
const MAX_RESPONSE_BYTES: usize = 4 << 20;

/// The settings of [`Registry`](super::Registry) and [`Outbound`](super::Outbound).
#[derive(Debug, Clone)]
pub struct OutboundOptions {
    /// Addresses that may register or be called directly.
    pub allow: AllowList,
    /// Connections to one target.
    pub connections_per_target: NonZeroU32,
    /// Calls under way to one target; further ones wait within their timeout.
    pub max_in_flight_per_target: NonZeroU32,
    /// Calls in a row without any answer after which a target is left alone.
    pub breaker_failures: NonZeroU32,
    /// How long it is left alone before one call tries it again.
    pub breaker_open: Duration,
    /// A registered instance not heard of for this long gets no calls.
    pub lease: Duration,
    /// How often an instance is asked to say that it lives.
    pub heartbeat_interval: Duration,
    /// Largest answer, in bytes; a larger one proves nothing.
    pub max_response_bytes: usize,
}

impl Default for OutboundOptions {
    /// Nothing is allowed; the limits are those of the configuration's defaults.
    fn default() -> Self {
        Self {
            allow: AllowList::default(),
            connections_per_target: at_least_one(2),
            max_in_flight_per_target: at_least_one(256),
            breaker_failures: at_least_one(20),
            breaker_open: Duration::from_secs(2),
            lease: Duration::from_secs(10),
            heartbeat_interval: Duration::from_secs(3),
            max_response_bytes: MAX_RESPONSE_BYTES,
        }
    }
}

impl From<&Participants> for OutboundOptions {
    fn from(config: &Participants) -> Self {
        Self {
            allow: config.allow.clone(),
            connections_per_target: config.connections_per_target,
            max_in_flight_per_target: config.max_in_flight_per_target,
            breaker_failures: config.breaker_failures,
            breaker_open: config.breaker_open,
            lease: config.lease,
            heartbeat_interval: config.heartbeat_interval,
            max_response_bytes: MAX_RESPONSE_BYTES,
        }
    }
}

fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}
