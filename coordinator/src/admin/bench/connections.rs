//! Connections to one address, each core's own, used in turn.
//!
//! One HTTP/2 connection is served by one task; several are what lets client
//! and server use more than one core. The settings are those of the
//! coordinator's calls to participants.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::{Handle, Id};
use tonic::transport::{Channel, Endpoint};

use crate::admin::error::{CommandError, innermost};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Clients, each with a connection of its own.
#[derive(Debug)]
pub(super) struct Connections<C> {
    cores: Vec<Handle>,
    clients: Vec<OnCore<C>>,
}

#[derive(Debug)]
struct OnCore<C> {
    runtime: Id,
    clients: Vec<C>,
    turn: AtomicUsize,
}

impl<C: Clone> Connections<C> {
    /// Connects `count` times, at least once on each core, and makes a client
    /// of each connection.
    pub(super) async fn open(
        address: &str,
        count: usize,
        cores: &[Handle],
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
        let mut on_cores = Vec::with_capacity(cores.len());
        for core in cores {
            let mut clients = Vec::new();
            for _ in 0..count.div_ceil(cores.len()).max(1) {
                let endpoint = endpoint.clone();
                // The core that connects is the one that serves the connection.
                let connected = core.spawn(async move { endpoint.connect().await });
                let connected = connected
                    .await
                    .map_err(|error| CommandError::Failed(error.to_string()))?;
                clients.push(client(connected.map_err(failed)?));
            }
            on_cores.push(OnCore {
                runtime: core.id(),
                clients,
                turn: AtomicUsize::new(0),
            });
        }
        Ok(Self {
            cores: cores.to_vec(),
            clients: on_cores,
        })
    }

    /// The cores that have connections.
    pub(super) fn cores(&self) -> &[Handle] {
        &self.cores
    }

    /// The next one in turn of those of the present core; elsewhere, of the first.
    pub(super) fn next(&self) -> C {
        let runtime = Handle::current().id();
        let here = self.clients.iter().find(|core| core.runtime == runtime);
        let core = here.unwrap_or(&self.clients[0]);
        let turn = core.turn.fetch_add(1, Ordering::Relaxed);
        core.clients[turn % core.clients.len()].clone()
    }
}
