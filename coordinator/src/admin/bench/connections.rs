//! Connections to one address, used in turn.
//!
//! One HTTP/2 connection is served by one task; several are what lets client
//! and server use more than one core. The settings are those of the
//! coordinator's calls to participants.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use crate::admin::error::{CommandError, innermost};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Clients, each with a connection of its own.
#[derive(Debug)]
pub(super) struct Connections<C> {
    clients: Vec<C>,
    turn: AtomicUsize,
}

impl<C: Clone> Connections<C> {
    /// Connects `count` times (at least once), and makes a client of each connection.
    pub(super) async fn open(
        address: &str,
        count: usize,
        client: impl Fn(Channel) -> C,
    ) -> Result<Self, CommandError> {
        let failed = |error: tonic::transport::Error| {
            CommandError::Failed(format!(
                "cannot connect to {address}: {}",
                innermost(&error)
            ))
        };
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(failed)?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .tcp_nodelay(true);
        let mut clients = Vec::with_capacity(count.max(1));
        for _ in 0..count.max(1) {
            clients.push(client(endpoint.connect().await.map_err(failed)?));
        }
        Ok(Self {
            clients,
            turn: AtomicUsize::new(0),
        })
    }

    /// The next one in turn.
    pub(super) fn next(&self) -> C {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.clients[turn % self.clients.len()].clone()
    }
}
