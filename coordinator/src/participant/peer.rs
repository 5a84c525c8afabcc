//! One address that calls go to: its connections and the limits on its use.
//!
//! Guarantees: no more calls under way than the limit; an open circuit turns
//! calls away at once; whatever becomes of a call's future, its place is given
//! back. Connections are made when first needed and made again when lost.
//! Not here: which address a call goes to, what an answer means.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::uri::Authority;
use tokio::sync::Semaphore;

use super::breaker::{Breaker, Health, Pass};
use super::connection::{Connections, Links};
use super::no_answer::NoAnswer;
use super::options::OutboundOptions;
use crate::clock::Clock;
use crate::config::HostPort;

/// The time that a call may take in all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    pub(super) started: Instant,
    pub(super) timeout: Duration,
}

impl Budget {
    fn left(self, now: Instant) -> Duration {
        self.timeout
            .saturating_sub(now.saturating_duration_since(self.started))
    }
}

/// An address with its connections and limits, shared by all who call it.
#[derive(Debug)]
pub(super) struct Peer {
    address: String,
    authority: Authority,
    connections: Connections,
    /// Calls under way or waiting for a place.
    load: AtomicU32,
    places: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    breaker: Breaker,
    used_at: Instant,
}

impl Peer {
    /// Connects to nothing yet.
    pub(super) fn new(
        address: &HostPort,
        options: &OutboundOptions,
        now: Instant,
    ) -> Result<Self, NoAnswer> {
        let address = address.to_string();
        let authority = Authority::try_from(address.as_str())
            .map_err(|_| super::AddressError::Invalid(address.clone()))?;
        let connections = options.connections_per_target.get() as usize;
        let places = options.max_in_flight_per_target.get() as usize;
        Ok(Self {
            connections: Connections::new(&address, connections),
            address,
            authority,
            load: AtomicU32::new(0),
            places: Semaphore::new(places.min(Semaphore::MAX_PERMITS)),
            state: Mutex::new(State {
                breaker: Breaker::new(options.breaker_failures, options.breaker_open),
                used_at: now,
            }),
        })
    }

    /// `host:port`.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Calls under way or waiting for a place.
    pub(super) fn load(&self) -> u32 {
        self.load.load(Ordering::Relaxed)
    }

    /// Whether its circuit would let a call through.
    pub(super) fn admits(&self, now: Instant) -> bool {
        self.state().breaker.admits(now)
    }

    /// When a call last went there.
    pub(super) fn used_at(&self) -> Instant {
        self.state().used_at
    }

    /// Forgets earlier failures: the target has said that it lives.
    pub(super) fn revive(&self) {
        self.state().breaker.reset();
    }

    /// Waits for a place within the call's time, then asks the circuit: calls
    /// that waited while it opened are turned away too.
    pub(super) async fn admit(
        self: Arc<Self>,
        budget: Budget,
        clock: &dyn Clock,
    ) -> Result<Admission, NoAnswer> {
        let waiting = Waiting::new(self);
        let peer = &waiting.peer;
        let mut now = clock.monotonic();
        if let Ok(place) = peer.places.try_acquire() {
            place.forget();
        } else {
            match tokio::time::timeout(budget.left(now), peer.places.acquire()).await {
                Ok(Ok(place)) => place.forget(),
                // The semaphore is never closed: both mean that no place came free.
                Ok(Err(_)) | Err(_) => {
                    return Err(NoAnswer::Queue {
                        address: peer.address.clone(),
                        timeout: budget.timeout,
                    });
                }
            }
            now = clock.monotonic();
        }
        let Some(pass) = peer.enter(now) else {
            peer.places.add_permits(1);
            return Err(NoAnswer::CircuitOpen(peer.address.clone()));
        };
        Ok(Admission {
            waiting,
            pass,
            admitted_at: now,
            remaining: budget.left(now),
            settled: None,
        })
    }

    fn enter(&self, now: Instant) -> Option<Pass> {
        let mut state = self.state();
        state.used_at = now;
        state.breaker.enter(now)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a call from when its target is chosen on.
#[derive(Debug)]
struct Waiting {
    peer: Arc<Peer>,
}

impl Waiting {
    fn new(peer: Arc<Peer>) -> Self {
        peer.load.fetch_add(1, Ordering::Relaxed);
        Self { peer }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.peer.load.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A place among the calls of a target. Dropping it gives the place back and,
/// unless [`Admission::settle`] was called, counts the call as given up.
#[derive(Debug)]
pub(super) struct Admission {
    waiting: Waiting,
    pass: Pass,
    admitted_at: Instant,
    remaining: Duration,
    settled: Option<(Health, Instant)>,
}

impl Admission {
    /// `host:port`.
    pub(super) fn address(&self) -> &str {
        &self.waiting.peer.address
    }

    /// What is left of the call's timeout.
    pub(super) fn remaining(&self) -> Duration {
        self.remaining
    }

    /// What requests name as their destination.
    pub(super) fn authority(&self) -> Authority {
        self.waiting.peer.authority.clone()
    }

    /// The connections of the present runtime. Must be called in one.
    pub(super) fn links(&self) -> Arc<Links> {
        self.waiting.peer.connections.here()
    }

    /// Ends the call, saying what it showed of the target.
    pub(super) fn settle(mut self, health: Health, now: Instant) {
        self.settled = Some((health, now));
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let (health, now) = self
            .settled
            .unwrap_or((Health::Abandoned, self.admitted_at));
        let peer = &self.waiting.peer;
        peer.state().breaker.settle(self.pass, health, now);
        peer.places.add_permits(1);
    }
}
