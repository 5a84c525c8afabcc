//! Keeps the two connections: one for publishing, one for everything else.
//!
//! Two, because a server that is short of memory or disk stops reading from connections that
//! publish: acknowledgements on the same one would stand still with them.
//!
//! One task keeps both. A connection that breaks is opened again with growing, jittered pauses;
//! what should exist at the broker is made again before the new one is handed out, and
//! whoever used the old one finds its channels failed. How it stands is a watch
//! channel: down while either is missing, blocked while the server takes no messages.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::Event;
use rand::Rng as _;
use tokio::sync::watch;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use super::connection::{Endpoint, Live};
use super::fault;
use super::names::Names;
use super::topology::Topology;
use crate::broker::{BrokerError, BrokerStatus};
use crate::clock::monotonic;

/// Longest pause before the first attempt to connect again.
const MIN_PAUSE: Duration = Duration::from_millis(250);
/// Longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// A connection that held so long was a good one: pauses start small again.
const STABLE_AFTER: Duration = Duration::from_secs(10);
/// How often a connection is looked at, beside what it reports itself.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What one of the two connections is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Publishing,
    Consuming,
}

/// The connections and how they stand, shared by all who use them.
pub(super) struct Links {
    endpoint: Endpoint,
    pub(super) topology: Topology,
    publishing: watch::Sender<Option<Arc<Live>>>,
    consuming: watch::Sender<Option<Arc<Live>>>,
    states: Mutex<[BrokerStatus; 2]>,
    status: watch::Sender<BrokerStatus>,
    stop: CancellationToken,
}

impl Links {
    /// Not yet connected; [`Self::keep`] does that.
    pub(super) fn new(endpoint: Endpoint, names: Names, stop: CancellationToken) -> Self {
        let down = || BrokerStatus::Down("not connected yet".to_owned());
        Self {
            endpoint,
            topology: Topology::new(names),
            publishing: watch::Sender::new(None),
            consuming: watch::Sender::new(None),
            states: Mutex::new([down(), down()]),
            status: watch::Sender::new(down()),
            stop,
        }
    }

    /// How it stands, now and with each change.
    pub(super) fn status(&self) -> watch::Receiver<BrokerStatus> {
        self.status.subscribe()
    }

    /// The connection to publish on, while the broker takes messages; else why not.
    pub(super) fn publishing(&self) -> Result<Arc<Live>, String> {
        match &*self.status.borrow() {
            BrokerStatus::Up => {}
            BrokerStatus::Blocked(why) => return Err(format!("the broker takes none: {why}")),
            BrokerStatus::Down(why) => return Err(why.clone()),
        }
        let live = self.publishing.borrow().clone();
        live.ok_or_else(|| "not connected".to_owned())
    }

    /// The connection for everything else.
    pub(super) fn consuming(&self) -> Result<Arc<Live>, BrokerError> {
        let live = self.consuming.borrow().clone();
        live.ok_or_else(|| match &*self.status.borrow() {
            BrokerStatus::Down(why) => BrokerError::Unavailable(why.clone()),
            _ => BrokerError::Unavailable("not connected".to_owned()),
        })
    }

    /// Whether the server has stopped taking messages.
    pub(super) fn blocked(&self) -> bool {
        matches!(&*self.status.borrow(), BrokerStatus::Blocked(_))
    }

    /// Keeps both connections until the broker is stopped.
    pub(super) async fn keep(&self) {
        tokio::join!(
            self.keep_one(Purpose::Publishing),
            self.keep_one(Purpose::Consuming)
        );
    }

    async fn keep_one(&self, purpose: Purpose) {
        let mut pause = MIN_PAUSE;
        while !self.stop.is_cancelled() {
            let opened = tokio::select! {
                opened = self.open(purpose) => opened,
                () = self.stop.cancelled() => return,
            };
            let why = match opened {
                Ok(live) => {
                    let since = monotonic();
                    let why = self.attend(purpose, live).await;
                    if since.elapsed() >= STABLE_AFTER {
                        pause = MIN_PAUSE;
                    }
                    why
                }
                Err(why) => why,
            };
            if self.stop.is_cancelled() {
                break;
            }
            tracing::warn!(?purpose, endpoint = ?self.endpoint, "no connection to RabbitMQ: {why}");
            self.set(purpose, BrokerStatus::Down(why));
            let jittered = rand::rng().random_range(Duration::ZERO..=pause);
            tokio::select! {
                () = tokio::time::sleep(jittered) => {}
                () = self.stop.cancelled() => {}
            }
            pause = (pause * 2).min(MAX_PAUSE);
        }
        self.set(purpose, BrokerStatus::Down("stopped".to_owned()));
    }

    /// Opens a connection and makes ready what it is used for.
    async fn open(&self, purpose: Purpose) -> Result<Arc<Live>, String> {
        let name = match purpose {
            Purpose::Publishing => "amends coordinator: publishing",
            Purpose::Consuming => "amends coordinator: consuming",
        };
        let live = self.endpoint.open(name).await;
        let live = live.map_err(|fault| BrokerError::from(fault).to_string())?;
        if purpose == Purpose::Consuming {
            let made = self.topology.make_all(&live).await;
            made.map_err(|error| error.to_string())?;
        }
        Ok(Arc::new(live))
    }

    /// Hands a connection out until it is lost; says why it was.
    async fn attend(&self, purpose: Purpose, live: Arc<Live>) -> String {
        let mut events = std::pin::pin!(live.connection.events_listener());
        let mut looks = interval(LOOK_INTERVAL);
        let slot = match purpose {
            Purpose::Publishing => &self.publishing,
            Purpose::Consuming => &self.consuming,
        };
        slot.send_replace(Some(Arc::clone(&live)));
        self.set(purpose, BrokerStatus::Up);
        tracing::info!(?purpose, endpoint = ?self.endpoint, "connected to RabbitMQ");
        let why = loop {
            let mut ended = None;
            tokio::select! {
                event = events.next() => match event {
                    Some(Event::ConnectionBlocked(why)) => {
                        tracing::warn!(why, "RabbitMQ takes no messages");
                        self.set(purpose, BrokerStatus::Blocked(why));
                    }
                    Some(Event::ConnectionUnblocked) => {
                        tracing::info!("RabbitMQ takes messages again");
                        self.set(purpose, BrokerStatus::Up);
                    }
                    // Those of single channels come here too.
                    Some(Event::Error(error)) => ended = Some(fault::of(&error).to_string()),
                    _ => {}
                },
                _ = looks.tick() => {}
                () = live.suspect.cancelled() => break "nothing comes back on it".to_owned(),
                () = self.stop.cancelled() => {
                    slot.send_replace(None);
                    live.close().await;
                    return "stopped".to_owned();
                }
            }
            if !live.connection.status().connected() {
                break ended.unwrap_or_else(|| "the connection was closed".to_owned());
            }
        };
        slot.send_replace(None);
        live.cut();
        why
    }

    /// Notes how one connection stands, and shows how the two together do.
    fn set(&self, purpose: Purpose, state: BrokerStatus) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states[purpose as usize] = state;
        let together = worst(states.as_slice());
        self.status.send_if_modified(|status| {
            let changed = *status != together;
            *status = together;
            changed
        });
    }
}

fn worst(states: &[BrokerStatus]) -> BrokerStatus {
    let down = |state: &&BrokerStatus| matches!(state, BrokerStatus::Down(_));
    let not_up = |state: &&BrokerStatus| **state != BrokerStatus::Up;
    let worst = states.iter().find(down).or(states.iter().find(not_up));
    worst.cloned().unwrap_or(BrokerStatus::Up)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn down_shows_before_blocked_and_blocked_before_up() {
        let (up, blocked, down) = (
            BrokerStatus::Up,
            BrokerStatus::Blocked("low on memory".to_owned()),
            BrokerStatus::Down("gone".to_owned()),
        );
        assert_eq!(worst(&[up.clone(), up.clone()]), up);
        assert_eq!(worst(&[blocked.clone(), up.clone()]), blocked);
        assert_eq!(worst(&[blocked, down.clone()]), down);
        assert_eq!(worst(&[up, down.clone()]), down);
    }
}
