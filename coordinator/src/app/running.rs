//! A coordinator from start to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::clock::SystemClock;
use crate::config::Config;
use crate::cores::Cores;
use crate::engine::{Engine, EngineParts};
use crate::grpc::{ApiParts, routes};
use crate::messages::{Commands, Halves, Messages};
use crate::participant::{Outbound, Registry};
use crate::worker::{self, Cleaner, Lease, MessageCleaner, Outbox, Recovery, Sleepers, Sweeper};

use super::error::ServeError;
use super::metrics::Listening;
use super::{build, now, server};

/// A running coordinator. Dropping it stops it at once, as a crash would.
pub struct Coordinator {
    address: SocketAddr,
    metrics_address: Option<SocketAddr>,
    grace: Duration,
    engine: Engine,
    messages: Messages,
    halves: Halves,
    stop_workers: CancellationToken,
    stop_server: CancellationToken,
    server: JoinSet<Result<(), ServeError>>,
    workers: JoinSet<()>,
    engine_tasks: JoinSet<()>,
    message_tasks: JoinSet<()>,
    cores: Cores,
}

impl Coordinator {
    /// Starts all parts; it takes calls when this returns. Recovery goes on in
    /// the background.
    ///
    /// # Errors
    /// Says what kept it from starting.
    pub async fn start(config: Config) -> Result<Self, ServeError> {
        let started_at = now();
        let incarnation = build::incarnation();
        let (listener, address) = server::listen(&config.server).await?;
        let metrics = Listening::bind(config.metrics.listen).await?;
        let tls = server::tls(&config.server)?;
        let token = build::token(&config)?;
        let stores = build::store(&config, incarnation.clone()).await?;
        let store = stores.transactions;
        let cores = Cores::start().map_err(ServeError::Runtime)?;
        let registry = build::registry(&config, store.as_ref(), cores.handles().len()).await?;
        let (messages, message_tasks) = build::messages(&config, stores.messages).await?;
        let direct = Arc::new(Outbound::new(registry.clone()));
        let halves = build::halves(&config, &messages, direct.clone());
        let commands = Commands::new(messages.clone(), direct);
        let engine_parts = EngineParts {
            store,
            incarnation,
            caller: Arc::new(commands.clone()),
            clock: Arc::new(SystemClock),
            options: build::engine_options(&config),
        };
        let (engine, engine_tasks) = Engine::start_tasks_on(engine_parts, cores.handles());
        let (recovered, recovered_receiver) = watch::channel(false);
        let api = ApiParts {
            engine: engine.clone(),
            messages: messages.clone(),
            halves: halves.clone(),
            registry: registry.clone(),
            commands,
            allow: config.participants.allow.clone(),
            max_body_bytes: config.server.max_request_bytes.bytes(),
            started_at,
            recovered: recovered_receiver,
            token,
        };
        let (routes, health) =
            routes(api).map_err(|error| ServeError::Config(format!("reflection: {error}")))?;
        let [stop_workers, stop_server] = [(); 2].map(|()| CancellationToken::new());
        let mut workers = start_workers(
            &config,
            &engine,
            &registry,
            recovered,
            health,
            address,
            &stop_workers,
        );
        start_message_workers(&config, &messages, &halves, &mut workers, &stop_workers);
        let metrics_address = metrics.start(&engine, &messages, &mut workers, &stop_workers);
        let on = cores.handles();
        let server = server::start(listener, &routes, tls.as_ref(), &stop_server, on);
        Ok(Self {
            address,
            metrics_address,
            grace: config.server.shutdown_grace,
            engine,
            messages,
            halves,
            stop_workers,
            stop_server,
            server,
            workers,
            engine_tasks,
            message_tasks,
            cores,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its numbers can be read, if anywhere.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// Runs until `stop` is done, then stops cleanly.
    ///
    /// # Errors
    /// A part ended that must not end.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
        tokio::select! {
            () = stop => {}
            ended = self.server.join_next() => {
                return match ended {
                    Some(Ok(Err(error))) => Err(error),
                    _ => Err(ServeError::Ended("the gRPC server")),
                };
            }
            _ = self.engine_tasks.join_next() => return Err(ServeError::Ended("the engine")),
            _ = self.message_tasks.join_next() => return Err(ServeError::Ended("a part that handles messages")),
            _ = self.workers.join_next() => return Err(ServeError::Ended("a worker")),
        }
        self.stop().await;
        Ok(())
    }

    /// Stops taking calls, writes everything, gives up the lease. Takes at
    /// most `server.shutdown_grace`.
    pub async fn stop(self) {
        let Self {
            grace,
            engine,
            messages,
            halves,
            stop_workers,
            stop_server,
            mut server,
            mut workers,
            mut message_tasks,
            cores,
            ..
        } = self;
        let orderly = async {
            stop_workers.cancel();
            stop_server.cancel();
            while workers.join_next().await.is_some() {}
            // Ends the streams of consumers, which would go on for as long as the server.
            halves.close();
            messages.stop().await;
            engine.stop().await;
            if let Err(error) = engine.store().release_lease().await {
                tracing::warn!(%error, "could not give up the lease; it runs out by itself");
            }
            // Clients that keep their connection would hold this up without limit.
            while server.join_next().await.is_some() {}
            cores.stop().await;
            // They end when nobody speaks to them any more.
            drop((halves, messages));
            while message_tasks.join_next().await.is_some() {}
        };
        if tokio::time::timeout(grace, orderly).await.is_err() {
            tracing::warn!(
                "stopped without waiting longer: clients kept their connections, or the store took no writes"
            );
        }
    }
}

/// Done at SIGINT or SIGTERM.
pub(super) fn stop_signal() -> Result<impl Future<Output = ()>, ServeError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Runtime)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Runtime)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping");
    })
}

fn start_workers(
    config: &Config,
    engine: &Engine,
    registry: &Arc<Registry>,
    recovered: watch::Sender<bool>,
    health: HealthReporter,
    address: SocketAddr,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let mut workers = JoinSet::new();
    workers.spawn(worker::run(
        Lease::new(engine.clone(), address.to_string()),
        stop.clone(),
    ));
    workers.spawn(worker::run(
        Recovery::new(engine.clone(), recovered),
        stop.clone(),
    ));
    workers.spawn(worker::run(Sleepers::new(engine.clone()), stop.clone()));
    workers.spawn(worker::run(
        Cleaner::new(engine.clone(), build::retention(config)),
        stop.clone(),
    ));
    workers.spawn(worker::run(
        Sweeper::new(registry.clone(), engine.store().clone()),
        stop.clone(),
    ));
    workers.spawn(report_health(engine.store_healthy(), health, stop.clone()));
    workers
}

fn start_message_workers(
    config: &Config,
    messages: &Messages,
    halves: &Halves,
    workers: &mut JoinSet<()>,
    stop: &CancellationToken,
) {
    workers.spawn(worker::run(Outbox::new(messages.clone()), stop.clone()));
    let cleaner = MessageCleaner::new(messages.clone(), build::retention(config));
    workers.spawn(worker::run(cleaner, stop.clone()));
    workers.spawn(halves.clone().check_until(stop.clone()));
}

/// Serving while the store takes writes.
async fn report_health(
    mut healthy: watch::Receiver<bool>,
    health: HealthReporter,
    stop: CancellationToken,
) {
    loop {
        let status = if *healthy.borrow_and_update() {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        health.set_service_status("", status).await;
        tokio::select! {
            () = stop.cancelled() => {
                health.set_service_status("", ServingStatus::NotServing).await;
                return;
            }
            changed = healthy.changed() => if changed.is_err() { return },
        }
    }
}
