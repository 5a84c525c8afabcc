//! Serves services to a coordinator.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use amends::{Database, Participant, Service, ServiceBuilder, ServiceDef};
//! # struct Inventory;
//! # impl Service for Inventory {
//! #     const NAME: &'static str = "inventory";
//! #     fn define(self: Arc<Self>) -> ServiceDef { ServiceBuilder::new(Self::NAME, self).build() }
//! # }
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let database = Database::connect("sqlite:inventory.db").await?;
//! let participant = Participant::builder(database)
//!     .service(Inventory)
//!     .listen("127.0.0.1:0")
//!     .coordinator("http://127.0.0.1:7431")
//!     .start()
//!     .await?;
//! // .. until the process is told to end ..
//! participant.shutdown().await;
//! # Ok(()) }
//! ```
//!
//! A running participant answers `Execute` calls through the consumer log,
//! keeps its services registered whatever becomes of the coordinator, and
//! ends in order: out of the registry, no new calls, the calls under way
//! finished within a bound. It does not watch the database: a step whose
//! database is away is unknown, and called again.

mod cleaner;
mod registration;
mod server;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use amends_proto::v1::participant_service_server::ParticipantServiceServer;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::consumer_log::DEFAULT_RETENTION;
use crate::{Access, BoxError, Database, DatabaseError, Service, ServiceDef};
use registration::Registration;

/// The longest `Execute` request and answer: 1 MiB of payload, and the rest.
pub const MAX_MESSAGE_BYTES: usize = 1024 * 1024 + 64 * 1024;

/// Calls executed at a time unless the builder says otherwise; more are
/// answered `RESOURCE_EXHAUSTED`, which means unknown.
pub const MAX_CONCURRENCY: usize = 256;

/// How long a shutdown waits for the calls under way.
pub const MAX_DRAIN: Duration = Duration::from_secs(10);

/// How long a shutdown then waits for clients to close their connections.
const MAX_FLUSH: Duration = Duration::from_secs(1);

/// Why a participant did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParticipantError {
    /// What the builder was told makes no sense; the text says what.
    #[error("{0}")]
    Configuration(String),
    /// The address to listen on cannot be used.
    #[error("cannot listen on {address}")]
    Listen {
        /// As configured.
        address: String,
        /// What the system says.
        #[source]
        source: BoxError,
    },
    /// The tables of the consumer log cannot be created.
    #[error("cannot create the SDK's tables")]
    Tables(#[source] DatabaseError),
    /// The coordinator does not want this participant: for example its
    /// address is not allowed there. Waiting would not help.
    #[error("the coordinator does not accept the service `{service}`")]
    Rejected {
        /// The service.
        service: String,
        /// What the coordinator says.
        #[source]
        source: BoxError,
    },
}

/// The serving side of services; see [`Participant::builder`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Participant;

impl Participant {
    /// A participant whose services share this database.
    pub fn builder(database: Database) -> ParticipantBuilder {
        ParticipantBuilder {
            database,
            services: Vec::new(),
            listen: "127.0.0.1:0".to_owned(),
            advertise: None,
            coordinator: None,
            access: Access::new(),
            concurrency: MAX_CONCURRENCY,
            retention: DEFAULT_RETENTION,
        }
    }
}

/// Builds a participant.
#[derive(Debug)]
#[must_use = "call `start`"]
pub struct ParticipantBuilder {
    database: Database,
    services: Vec<ServiceDef>,
    listen: String,
    advertise: Option<String>,
    coordinator: Option<String>,
    access: Access,
    concurrency: usize,
    retention: Duration,
}

impl ParticipantBuilder {
    /// Adds a service.
    pub fn service<S: Service>(mut self, service: S) -> Self {
        self.services.push(Arc::new(service).define());
        self
    }

    /// Where to listen, `host:port`; port 0 takes a free one. Default `127.0.0.1:0`.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = address.into();
        self
    }

    /// The `host:port` that the coordinator calls. Default: where it listens.
    pub fn advertise(mut self, address: impl Into<String>) -> Self {
        self.advertise = Some(address.into());
        self
    }

    /// The coordinator to register with, `http://host:port` or, with
    /// [`access`](Self::access), `https://host:port`. Without one the
    /// participant serves whoever calls.
    pub fn coordinator(mut self, url: impl Into<String>) -> Self {
        self.coordinator = Some(url.into());
        self
    }

    /// The token and the certificates for the coordinator. Default none.
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// How many calls are executed at a time. Default [`MAX_CONCURRENCY`].
    pub fn concurrency(mut self, calls: usize) -> Self {
        self.concurrency = calls;
        self
    }

    /// How long rows of the consumer log are kept. It must exceed the longest
    /// time after which a call can be repeated. Default [`DEFAULT_RETENTION`].
    pub fn retention(mut self, age: Duration) -> Self {
        self.retention = age;
        self
    }

    /// Creates the SDK's tables where missing, listens, and registers.
    ///
    /// A coordinator that cannot be reached is no error: registering goes on
    /// in the background, see [`RunningParticipant::registered`].
    ///
    /// # Errors
    /// [`ParticipantError`]; nothing runs then.
    pub async fn start(self) -> Result<RunningParticipant, ParticipantError> {
        let services = named(self.services)?;
        self.database
            .create_tables_if_missing()
            .await
            .map_err(ParticipantError::Tables)?;
        let listen_error = |source: BoxError| ParticipantError::Listen {
            address: self.listen.clone(),
            source,
        };
        let listener = TcpListener::bind(&self.listen)
            .await
            .map_err(|error| listen_error(error.into()))?;
        let address = listener
            .local_addr()
            .map_err(|error| listen_error(error.into()))?;
        let advertise = match self.advertise {
            Some(advertise) => advertise,
            None if address.ip().is_unspecified() && self.coordinator.is_some() => {
                return Err(ParticipantError::Configuration(format!(
                    "it listens on {address}, which nobody can call: say what to advertise"
                )));
            }
            None => address.to_string(),
        };
        let registration = match &self.coordinator {
            Some(url) => Some(Registration::new(url, &self.access, &services, &advertise)?),
            None => None,
        };

        let stop = CancellationToken::new();
        tokio::spawn(cleaner::run(
            self.database.clone(),
            self.retention,
            stop.clone(),
        ));
        let executor = server::Executor::new(self.database, services, self.concurrency);
        let tracker = executor.tracker();
        let service = ParticipantServiceServer::new(executor)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let serving = Server::builder()
            .add_service(service)
            .serve_with_incoming_shutdown(
                TcpIncoming::from(listener).with_nodelay(Some(true)),
                stop.clone().cancelled_owned(),
            );
        let server = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the participant stopped serving");
            }
        });
        let mut running = RunningParticipant {
            address,
            registration: None,
            tracker,
            server,
            stop: stop.drop_guard(),
        };
        if let Some(registration) = registration {
            running.registration = Some(registration.start().await?);
        }
        Ok(running)
    }
}

/// A participant that serves. Dropping it stops it without the courtesies of
/// [`RunningParticipant::shutdown`].
#[derive(Debug)]
pub struct RunningParticipant {
    address: SocketAddr,
    registration: Option<registration::Registered>,
    tracker: tokio_util::task::TaskTracker,
    server: JoinHandle<()>,
    stop: DropGuard,
}

impl RunningParticipant {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the coordinator knows all services; returns at once
    /// without a coordinator. Cancel-safe.
    pub async fn registered(&self) {
        if let Some(registration) = &self.registration {
            registration.registered().await;
        }
    }

    /// Leaves the registry, takes no new calls, waits for those under way (at
    /// most [`MAX_DRAIN`]) and ends.
    pub async fn shutdown(self) {
        if let Some(registration) = self.registration {
            registration.leave().await;
        }
        drop(self.stop);
        self.tracker.close();
        if tokio::time::timeout(MAX_DRAIN, self.tracker.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                calls = self.tracker.len(),
                "calls were still under way at the end"
            );
        }
        // The last answers are on their way; clients that keep their
        // connections open in spite of that are not waited for.
        let end = self.server.abort_handle();
        tokio::time::timeout(MAX_FLUSH, self.server).await.ok();
        end.abort();
    }
}

fn named(
    services: Vec<ServiceDef>,
) -> Result<BTreeMap<&'static str, ServiceDef>, ParticipantError> {
    let mut named = BTreeMap::new();
    for service in services {
        let name = service.name();
        if named.insert(name, service).is_some() {
            let text = format!("the service `{name}` was added twice");
            return Err(ParticipantError::Configuration(text));
        }
    }
    if named.is_empty() {
        return Err(ParticipantError::Configuration(
            "a participant needs a service".to_owned(),
        ));
    }
    Ok(named)
}
