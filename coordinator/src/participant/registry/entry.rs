//! One instance: what it said of itself, how long it is believed, what is seen of it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amends_core::id::{Gid, StepName, check_name};
use amends_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::RegistryError;
use crate::participant::peer::Peer;

/// Most steps that one instance offers.
pub const MAX_OFFERS: usize = 256;

/// Service and instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceKey {
    /// The service.
    pub service: String,
    /// The instance, unique in its service.
    pub instance_id: String,
}

/// A step that an instance offers; for people and tools.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Its name.
    pub name: String,
    /// Its documentation, if any.
    #[serde(default)]
    pub description: String,
    /// Whether it has a compensation.
    #[serde(default)]
    pub compensable: bool,
    /// Whether its effects lie outside the participant's database.
    #[serde(default)]
    pub external: bool,
}

/// What an instance said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The service.
    pub service: String,
    /// The instance, unique in its service.
    pub instance_id: String,
    /// `host:port`.
    pub address: String,
    /// What it offers.
    pub offers: Vec<Offer>,
    /// When it registered.
    pub registered_at: Timestamp,
}

/// An instance as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceView {
    /// What it said of itself.
    pub registration: Registration,
    /// When it was last heard of.
    pub heartbeat_at: Timestamp,
    /// Why no calls go to it now, if none do.
    pub unavailable: Option<Unavailable>,
    /// Calls under way, those that wait for a place included.
    pub in_flight: u32,
}

/// Why no calls go to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// It has not been heard of in time.
    LeaseOver,
    /// It gave no answers lately and is left alone for a moment.
    CircuitOpen,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LeaseOver => "it has not sent a heartbeat in time",
            Self::CircuitOpen => "it gave no answers lately and is left alone for a moment",
        })
    }
}

impl Registration {
    /// Service and instance.
    #[must_use]
    pub fn key(&self) -> InstanceKey {
        InstanceKey {
            service: self.service.clone(),
            instance_id: self.instance_id.clone(),
        }
    }
}

/// Until when an instance is believed to live.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lease {
    /// It is named in the configuration.
    None,
    /// Unless it is heard of again.
    Until(Instant),
}

/// One instance with its place to call.
#[derive(Debug)]
pub(super) struct Entry {
    registration: Registration,
    heartbeat_at: Timestamp,
    lease: Lease,
    peer: Arc<Peer>,
}

impl Entry {
    pub(super) fn new(registration: Registration, peer: Arc<Peer>, lease: Lease) -> Self {
        Self {
            heartbeat_at: registration.registered_at,
            registration,
            lease,
            peer,
        }
    }

    pub(super) fn key(&self) -> InstanceKey {
        self.registration.key()
    }

    pub(super) fn instance_id(&self) -> &str {
        &self.registration.instance_id
    }

    pub(super) fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// Whether it is not one that the configuration names.
    pub(super) fn is_leased(&self) -> bool {
        matches!(self.lease, Lease::Until(_))
    }

    pub(super) fn is_live(&self, now: Instant) -> bool {
        !self.is_over(now, Duration::ZERO)
    }

    /// Whether its lease ended so long ago.
    pub(super) fn is_over(&self, now: Instant, ago: Duration) -> bool {
        match self.lease {
            Lease::None => false,
            Lease::Until(end) => end + ago <= now,
        }
    }

    pub(super) fn renew(&mut self, now: Timestamp, until: Instant) {
        self.heartbeat_at = now;
        if self.is_leased() {
            self.lease = Lease::Until(until);
        }
    }

    pub(super) fn view(&self, now: Instant) -> InstanceView {
        let unavailable = if !self.is_live(now) {
            Some(Unavailable::LeaseOver)
        } else if !self.peer.admits(now) {
            Some(Unavailable::CircuitOpen)
        } else {
            None
        };
        InstanceView {
            registration: self.registration.clone(),
            heartbeat_at: self.heartbeat_at,
            unavailable,
            in_flight: self.peer.load(),
        }
    }
}

/// Checks everything but the address.
pub(super) fn check_registration(registration: &Registration) -> Result<(), RegistryError> {
    let name = |field| move |source| RegistryError::Name { field, source };
    check_name(&registration.service).map_err(name("service"))?;
    // An instance is named by the rules of transaction ids.
    Gid::new(&registration.instance_id).map_err(name("instance_id"))?;
    let offered = registration.offers.len();
    if offered > MAX_OFFERS {
        return Err(RegistryError::TooManyOffers(offered));
    }
    for offer in &registration.offers {
        StepName::new(&offer.name).map_err(name("name of a step"))?;
    }
    Ok(())
}
