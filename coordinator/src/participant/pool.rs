//! All peers by address, so that everybody who calls an address shares its
//! connections and limits.
//!
//! A peer lives as long as a registered instance holds it; one that is called
//! directly (`grpc://…`) is held here until nobody has called it for a while.
//! Both are bounded. Not here: services.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use super::allow;
use super::no_answer::NoAnswer;
use super::options::OutboundOptions;
use super::peer::Peer;
use crate::config::HostPort;

/// Most addresses that are called directly.
pub const MAX_INLINE_TARGETS: usize = 1024;
/// A directly called address that nobody called for this long is forgotten.
const IDLE_AFTER: Duration = Duration::from_secs(300);

/// The peers.
#[derive(Debug, Default)]
pub(super) struct Pool {
    by_address: Mutex<HashMap<HostPort, Weak<Peer>>>,
    /// By authority as written in targets; what is here was found allowed.
    inline: RwLock<HashMap<String, Arc<Peer>>>,
}

impl Pool {
    /// The peer of an address; the caller has checked that it may be called.
    pub(super) fn peer(
        &self,
        address: &HostPort,
        options: &OutboundOptions,
        now: Instant,
    ) -> Result<Arc<Peer>, NoAnswer> {
        let mut peers = self
            .by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(peer) = peers.get(address).and_then(Weak::upgrade) {
            return Ok(peer);
        }
        peers.retain(|_, peer| peer.strong_count() > 0);
        let peer = Arc::new(Peer::new(address, options, now)?);
        peers.insert(address.clone(), Arc::downgrade(&peer));
        Ok(peer)
    }

    /// The peer of the address in a target, if the allow list has it.
    pub(super) fn inline(
        &self,
        authority: &str,
        options: &OutboundOptions,
        now: Instant,
    ) -> Result<Arc<Peer>, NoAnswer> {
        let known = self.inline.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(peer) = known.get(authority) {
            return Ok(Arc::clone(peer));
        }
        drop(known);
        let address = allow::check(&options.allow, authority)?;
        let peer = self.peer(&address, options, now)?;
        let mut known = self.inline.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_INLINE_TARGETS {
            forget_idle(&mut known, now);
        }
        if known.len() >= MAX_INLINE_TARGETS {
            return Err(NoAnswer::TooManyTargets);
        }
        known.insert(authority.to_owned(), Arc::clone(&peer));
        Ok(peer)
    }

    /// Forgets what nobody has called for a while; its connections are closed.
    pub(super) fn sweep(&self, now: Instant) {
        let mut known = self.inline.write().unwrap_or_else(PoisonError::into_inner);
        forget_idle(&mut known, now);
    }
}

fn forget_idle(known: &mut HashMap<String, Arc<Peer>>, now: Instant) {
    known.retain(|_, peer| {
        peer.load() > 0 || now.saturating_duration_since(peer.used_at()) < IDLE_AFTER
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn options() -> OutboundOptions {
        OutboundOptions {
            allow: ["127.0.0.0/8".parse().unwrap()].into_iter().collect(),
            ..OutboundOptions::default()
        }
    }

    #[test]
    fn one_peer_an_address_however_it_is_named() {
        let (pool, options, now) = (Pool::default(), options(), crate::clock::monotonic());
        let registered = pool.peer(&"127.0.0.1:1".parse().unwrap(), &options, now);
        let inline = pool.inline("127.0.0.1:1", &options, now);
        assert!(Arc::ptr_eq(&registered.unwrap(), &inline.unwrap()));
    }

    #[test]
    fn a_registered_address_is_not_thereby_open_to_targets() {
        let (pool, options, now) = (Pool::default(), options(), crate::clock::monotonic());
        let held = pool.peer(&"10.0.0.1:1".parse().unwrap(), &options, now);
        assert!(held.is_ok(), "configuration names it for a service");
        let refused = pool.inline("10.0.0.1:1", &options, now).unwrap_err();
        assert_eq!(refused.code(), "ADDRESS_NOT_ALLOWED");
    }

    #[test]
    fn targets_are_bounded_and_idle_ones_make_room() {
        let (pool, options, now) = (Pool::default(), options(), crate::clock::monotonic());
        let call = |n: usize, now| {
            let authority = format!("127.0.0.1:{}", n + 1);
            pool.inline(&authority, &options, now).map(|_| ())
        };
        for n in 0..MAX_INLINE_TARGETS {
            call(n, now).unwrap();
        }
        let one_more = MAX_INLINE_TARGETS;
        assert_eq!(call(one_more, now), Err(NoAnswer::TooManyTargets));
        assert_eq!(call(0, now), Ok(()), "known ones go on");
        assert_eq!(call(one_more, now + IDLE_AFTER), Ok(()));
        pool.sweep(now + IDLE_AFTER * 3);
        assert_eq!(pool.inline.read().unwrap().len(), 0);
        assert!(
            pool.by_address
                .lock()
                .unwrap()
                .values()
                .all(|peer| peer.strong_count() == 0)
        );
    }
}
