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
//! finished within a bound. Its handlers of messages
//! consume from the same coordinator, and finish in the same way; what they
//! publish with [`Conn::publish`](crate::Conn::publish) is relayed to it. It
//! answers what became of the local transactions of half messages. It does not watch the database: a step whose
//! database is away is unknown, and called again.

mod cleaner;
mod commands;
mod consumers;
mod producers;
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
use crate::half::Checks;
use crate::message::SubscriptionError;
use crate::outbox::{Relay, RunningRelay};
use crate::{Access, BoxError, Client, Database, DatabaseError, Service, ServiceDef};
use consumers::Consumers;
use registration::Registration;
use server::Calls;

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
    /// A handler of messages wants something that cannot be.
    #[error(transparent)]
    Subscription(#[from] SubscriptionError),
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
            producers: Vec::new(),
            listen: "127.0.0.1:0".to_owned(),
            advertise: None,
            coordinator: None,
            access: Access::new(),
            instance: None,
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
    producers: Vec<String>,
    listen: String,
    advertise: Option<String>,
    coordinator: Option<String>,
    access: Access,
    instance: Option<String>,
    concurrency: usize,
    retention: Duration,
}

impl ParticipantBuilder {
    /// Adds a service.
    pub fn service<S: Service>(mut self, service: S) -> Self {
        self.services.push(Arc::new(service).define());
        self
    }

    /// Answers the checks of a producer group from the consumer log: for half
    /// messages whose group is none of the services. 1 to 128 of A-Z, a-z,
    /// 0-9, `-`, `_`, `.`.
    pub fn producer(mut self, group: impl Into<String>) -> Self {
        self.producers.push(group.into());
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

    /// The name of this instance among those of its services, the same after a
    /// restart: 1 to 128 of A-Z, a-z, 0-9, `-`, `_`, `.`. Broadcasting handlers
    /// need one, because what they missed is kept under it. Default a new one
    /// for each process.
    pub fn instance(mut self, name: impl Into<String>) -> Self {
        self.instance = Some(name.into());
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

    /// Creates the SDK's tables where missing, listens, registers, and
    /// consumes messages. Without a coordinator there are none to consume.
    ///
    /// A coordinator that cannot be reached is no error: registering goes on
    /// in the background, see [`RunningParticipant::registered`].
    ///
    /// # Errors
    /// [`ParticipantError`]; nothing runs then.
    pub async fn start(mut self) -> Result<RunningParticipant, ParticipantError> {
        let mut services = named(std::mem::take(&mut self.services))?;
        let checks = self.checks(&mut services)?;
        let handlers = consumers::handlers(&mut services);
        let calls = Arc::new(Calls::new(self.database.clone(), services));
        let consumers = consumers::of(handlers, &calls, &self)?;
        let relay = self.relay()?;
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
        let advertise = self.advertised(address)?;
        let registration = match &self.coordinator {
            Some(url) => Some(Registration::new(
                url,
                &self.access,
                calls.services(),
                checks.groups(),
                &advertise,
            )?),
            None => None,
        };

        let stop = CancellationToken::new();
        tokio::spawn(cleaner::run(self.database, self.retention, stop.clone()));
        let executor = server::Executor::new(calls, self.concurrency);
        let tracker = executor.tracker();
        let service = ParticipantServiceServer::new(executor)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let serving = Server::builder()
            .add_service(service)
            .add_service(producers::service(checks, tracker.clone()))
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
            consumers: Consumers::default(),
            relay: None,
            tracker,
            server,
            stop: stop.drop_guard(),
        };
        if let Some(registration) = registration {
            running.registration = Some(registration.start().await?);
        }
        running.consumers.start(consumers);
        running.relay = relay.map(Relay::start);
        Ok(running)
    }
}

impl ParticipantBuilder {
    /// What the coordinator is told to call.
    fn advertised(&self, address: SocketAddr) -> Result<String, ParticipantError> {
        match &self.advertise {
            Some(advertise) => Ok(advertise.clone()),
            None if address.ip().is_unspecified() && self.coordinator.is_some() => {
                Err(ParticipantError::Configuration(format!(
                    "it listens on {address}, which nobody can call: say what to advertise"
                )))
            }
            None => Ok(address.to_string()),
        }
    }

    /// Who answers for half messages: each service, and the groups beside them.
    fn checks(
        &self,
        services: &mut BTreeMap<&'static str, ServiceDef>,
    ) -> Result<Checks, ParticipantError> {
        let mut checks = Checks::new(self.database.clone(), self.retention);
        for service in services.values_mut() {
            checks.join_service(service);
        }
        for group in &self.producers {
            checks.join(group);
        }
        if checks.groups().next().is_none() {
            return Err(ParticipantError::Configuration(
                "a participant needs a service or a producer group".to_owned(),
            ));
        }
        Ok(checks)
    }

    /// Publishes what the services put into the outbox of their database.
    fn relay(&self) -> Result<Option<Relay>, ParticipantError> {
        let Some(url) = &self.coordinator else {
            return Ok(None);
        };
        let client = Client::connect_with(url, &self.access);
        let client = client.map_err(|error| ParticipantError::Configuration(error.to_string()))?;
        Ok(Some(Relay::new(self.database.clone(), client)))
    }
}

/// A participant that serves. Dropping it stops it without the courtesies of
/// [`RunningParticipant::shutdown`].
#[derive(Debug)]
pub struct RunningParticipant {
    address: SocketAddr,
    registration: Option<registration::Registered>,
    consumers: Consumers,
    relay: Option<RunningRelay>,
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

    /// Waits until the coordinator has accepted the subscription of every handler: a group gets what is
    /// published from then on. Returns at once where there are none. Cancel-safe.
    pub async fn subscribed(&self) {
        self.consumers.accepted().await;
    }

    /// Leaves the registry, takes no new calls and messages, waits for those
    /// under way (at most [`MAX_DRAIN`]) and ends.
    pub async fn shutdown(self) {
        self.consumers.begin_no_more();
        if let Some(registration) = self.registration {
            registration.leave().await;
        }
        drop(self.stop);
        self.tracker.close();
        let calls = tokio::time::timeout(MAX_DRAIN, self.tracker.wait());
        if tokio::join!(calls, self.consumers.stop()).0.is_err() {
            tracing::warn!(
                calls = self.tracker.len(),
                "calls were still under way at the end"
            );
        }
        // What it has not published yet goes out at the next start.
        if let Some(relay) = self.relay {
            relay.shutdown().await;
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
    Ok(named)
}
