//! The live instances of services.
//!
//! An instance registers, says now and then that it lives, and leaves; one that
//! falls silent gets no calls once its lease is over, and is forgotten later.
//! Instances named in the configuration are always there.
//!
//! Guarantees: calls go to the least loaded instance that is there, in turn
//! where several are; an address that no configuration allows is never kept.
//! Not here: storing registrations; the caller stores what [`Registry::register`]
//! accepts and hands it back to [`Registry::restore`] at the next start.

mod entry;
mod error;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use super::allow::{self, AddressError};
use super::no_answer::NoAnswer;
use super::options::OutboundOptions;
use super::peer::Peer;
use super::pool::Pool;
use crate::clock::Clock;
use crate::config::HostPort;

use entry::{Entry, Lease, check_registration};
pub use entry::{InstanceKey, InstanceView, MAX_OFFERS, Offer, Registration, Unavailable};
pub use error::RegistryError;

/// Most instances of all services together.
pub const MAX_INSTANCES: usize = 10_000;
/// A silent instance stays visible for this long after its lease.
const FORGET_AFTER: Duration = Duration::from_secs(300);

/// The instances by service. All methods are quick and never wait.
pub struct Registry {
    options: OutboundOptions,
    clock: Arc<dyn Clock>,
    pool: Pool,
    services: RwLock<HashMap<String, Service>>,
}

#[derive(Default)]
struct Service {
    entries: Vec<Entry>,
    turn: AtomicUsize,
}

/// What became of a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// To be stored.
    pub registration: Registration,
    /// To be removed from the store: instances that were at this address
    /// before. Two processes cannot listen there.
    pub replaced: Vec<InstanceKey>,
    /// How often to send a heartbeat.
    pub heartbeat_interval: Duration,
}

impl Registry {
    /// Knows nobody yet.
    #[must_use]
    pub fn new(options: OutboundOptions, clock: Arc<dyn Clock>) -> Self {
        Self {
            options,
            clock,
            pool: Pool::default(),
            services: RwLock::default(),
        }
    }

    /// Adds an instance that the configuration names. It has no lease, and the
    /// allow list does not matter for it: naming it is allowing it.
    ///
    /// # Errors
    /// The name or the address is malformed.
    pub fn add_static(&self, service: &str, address: &HostPort) -> Result<(), RegistryError> {
        let registration = Registration {
            service: service.to_owned(),
            instance_id: address.to_string(),
            address: address.to_string(),
            offers: Vec::new(),
            registered_at: self.clock.now(),
        };
        check_registration(&registration)?;
        self.insert(&registration, address, Lease::None)?;
        Ok(())
    }

    /// Takes in an instance, or takes it in again. It starts with a closed
    /// circuit and a fresh lease.
    ///
    /// # Errors
    /// Something in it is malformed, the address is not allowed, or there are
    /// too many instances.
    pub fn register(
        &self,
        service: &str,
        instance_id: &str,
        address: &str,
        offers: Vec<Offer>,
    ) -> Result<Accepted, RegistryError> {
        let registration = Registration {
            service: service.to_owned(),
            instance_id: instance_id.to_owned(),
            address: address.to_owned(),
            offers,
            registered_at: self.clock.now(),
        };
        self.accept(registration)
    }

    /// Takes in what an earlier run had stored, each with one fresh lease.
    /// Returns those that are refused now, with the reason: their addresses
    /// may no longer be allowed.
    pub fn restore(
        &self,
        stored: impl IntoIterator<Item = Registration>,
    ) -> Vec<(InstanceKey, RegistryError)> {
        let refused = |registration: Registration| {
            let key = registration.key();
            self.accept(registration).err().map(|error| (key, error))
        };
        stored.into_iter().filter_map(refused).collect()
    }

    /// Renews an instance's lease. Returns how soon to do so again.
    ///
    /// # Errors
    /// It is not registered, or no longer: it has to register again.
    pub fn heartbeat(&self, service: &str, instance_id: &str) -> Result<Duration, RegistryError> {
        let (now, until) = (self.clock.now(), self.lease_end());
        let mut services = self.write();
        let entry = services
            .get_mut(service)
            .and_then(|service| service.find_mut(instance_id))
            .ok_or_else(|| RegistryError::NotRegistered {
                service: service.to_owned(),
                instance_id: instance_id.to_owned(),
            })?;
        entry.renew(now, until);
        Ok(self.options.heartbeat_interval)
    }

    /// Takes an instance out of use; calls under way to it go on. One that is
    /// not there is fine; one that the configuration names stays.
    pub fn deregister(&self, service: &str, instance_id: &str) {
        let leaves = |entry: &Entry| entry.is_leased() && entry.instance_id() == instance_id;
        let mut services = self.write();
        if let Some(found) = services.get_mut(service) {
            found.entries.retain(|entry| !leaves(entry));
            if found.entries.is_empty() {
                services.remove(service);
            }
        }
    }

    /// Forgets instances that have been silent for long, and connections that
    /// nobody uses. Returns the instances, to be removed from the store.
    pub fn sweep(&self) -> Vec<InstanceKey> {
        let now = self.clock.monotonic();
        self.pool.sweep(now);
        let mut forgotten = Vec::new();
        self.write().retain(|_, service| {
            service.entries.retain(|entry| {
                let is_kept = !entry.is_over(now, FORGET_AFTER);
                if !is_kept {
                    forgotten.push(entry.key());
                }
                is_kept
            });
            !service.entries.is_empty()
        });
        forgotten
    }

    /// The instances of one service or of all, by service and instance.
    #[must_use]
    pub fn list(&self, service: Option<&str>) -> Vec<InstanceView> {
        let now = self.clock.monotonic();
        let services = self.read();
        let mut views: Vec<InstanceView> = services
            .iter()
            .filter(|(name, _)| service.is_none_or(|wanted| wanted == *name))
            .flat_map(|(_, service)| &service.entries)
            .map(|entry| entry.view(now))
            .collect();
        drop(services);
        views.sort_by_key(|view| view.registration.key());
        views
    }

    /// The least loaded instance that can be called now, in turn where several are.
    pub(super) fn choose(&self, name: &str, now: Instant) -> Result<Arc<Peer>, NoAnswer> {
        let services = self.read();
        let no_instance = || NoAnswer::NoInstance(name.to_owned());
        let service = services.get(name).ok_or_else(no_instance)?;
        let turn = service.turn.fetch_add(1, Ordering::Relaxed) % service.entries.len().max(1);
        let (before, from_here) = service.entries.split_at(turn);
        let mut is_some_live = false;
        let mut best: Option<(&Arc<Peer>, u32)> = None;
        for entry in from_here.iter().chain(before).filter(|e| e.is_live(now)) {
            is_some_live = true;
            let (peer, load) = (entry.peer(), entry.peer().load());
            if best.is_none_or(|(_, least)| load < least) && peer.admits(now) {
                best = Some((peer, load));
            }
        }
        match best {
            Some((peer, _)) => Ok(Arc::clone(peer)),
            None if is_some_live => Err(NoAnswer::CircuitOpen(format!("service {name:?}"))),
            None => Err(no_instance()),
        }
    }

    /// The target of a `grpc://` address.
    pub(super) fn inline(&self, authority: &str, now: Instant) -> Result<Arc<Peer>, NoAnswer> {
        self.pool.inline(authority, &self.options, now)
    }

    pub(super) fn options(&self) -> &OutboundOptions {
        &self.options
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    fn accept(&self, mut registration: Registration) -> Result<Accepted, RegistryError> {
        check_registration(&registration)?;
        let address = allow::check(&self.options.allow, &registration.address)?;
        registration.address = address.to_string();
        let replaced = self.insert(&registration, &address, Lease::Until(self.lease_end()))?;
        Ok(Accepted {
            registration,
            replaced,
            heartbeat_interval: self.options.heartbeat_interval,
        })
    }

    /// Puts the instance in the place of the one with its id, and of those at
    /// its address, which are returned. One that the configuration names stays
    /// without a lease, whatever registers at its address.
    fn insert(
        &self,
        registration: &Registration,
        address: &HostPort,
        lease: Lease,
    ) -> Result<Vec<InstanceKey>, RegistryError> {
        let peer = self
            .pool
            .peer(address, &self.options, self.clock.monotonic())
            .map_err(|_| AddressError::Invalid(registration.address.clone()))?;
        let mut services = self.write();
        let all: usize = services.values().map(|s| s.entries.len()).sum();
        let known = services.get(&registration.service);
        let gives_way = |old: &Entry| {
            let is_same = old.is_leased() && old.instance_id() == registration.instance_id;
            is_same || old.peer().address() == peer.address()
        };
        let old: Vec<&Entry> = known
            .map(|service| {
                service
                    .entries
                    .iter()
                    .filter(|old| gives_way(old))
                    .collect()
            })
            .unwrap_or_default();
        if all - old.len() >= MAX_INSTANCES {
            return Err(RegistryError::TooMany);
        }
        let is_named = old.iter().any(|old| !old.is_leased());
        let replaced = old
            .iter()
            .filter(|old| old.is_leased() && old.instance_id() != registration.instance_id)
            .map(|old| old.key())
            .collect();
        peer.revive();
        let lease = if is_named { Lease::None } else { lease };
        let service = services.entry(registration.service.clone()).or_default();
        service.entries.retain(|old| !gives_way(old));
        service
            .entries
            .push(Entry::new(registration.clone(), Arc::clone(&peer), lease));
        Ok(replaced)
    }

    fn lease_end(&self) -> Instant {
        self.clock.monotonic() + self.options.lease
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<String, Service>> {
        self.services.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<String, Service>> {
        self.services
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service {
    fn find_mut(&mut self, instance_id: &str) -> Option<&mut Entry> {
        self.entries
            .iter_mut()
            .find(|entry| entry.instance_id() == instance_id)
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}
