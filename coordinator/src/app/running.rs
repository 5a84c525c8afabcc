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
use crate::engine::{Engine, EngineParts};
use crate::grpc::{ApiParts, routes};
use crate::participant::{Outbound, Registry};
use crate::worker::{self, Cleaner, Lease, Recovery, Sleepers, Sweeper};

use super::error::ServeError;
use super::{build, now, server};

/// A running coordinator. Dropping it stops it at once, as a crash would.
pub struct Coordinator {
    address: SocketAddr,
    grace: Duration,
    engine: Engine,
    stop_workers: CancellationToken,
    stop_server: CancellationToken,
    server: JoinSet<Result<(), ServeError>>,
    workers: JoinSet<()>,
    engine_tasks: JoinSet<()>,
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
        let tls = server::tls(&config.server)?;
        let token = build::token(&config)?;
        let store = build::store(&config, incarnation.clone()).await?;
        let registry = build::registry(&config, store.as_ref()).await?;
        let (engine, engine_tasks) = Engine::start_tasks(EngineParts {
            store,
            incarnation,
            caller: Arc::new(Outbound::new(registry.clone())),
            clock: Arc::new(SystemClock),
            options: build::engine_options(&config),
        });
        let (recovered, recovered_receiver) = watch::channel(false);
        let api = ApiParts {
            engine: engine.clone(),
            registry: registry.clone(),
            allow: config.participants.allow.clone(),
            max_body_bytes: config.server.max_request_bytes.bytes(),
            started_at,
            recovered: recovered_receiver,
            token,
        };
        let (routes, health) =
            routes(api).map_err(|error| ServeError::Config(format!("reflection: {error}")))?;
        let stop_workers = CancellationToken::new();
        let workers = start_workers(
            &config,
            &engine,
            &registry,
            recovered,
            health,
            address,
            &stop_workers,
        );
        let stop_server = CancellationToken::new();
        let mut server = JoinSet::new();
        server.spawn(server::serve(listener, routes, tls, stop_server.clone()));
        let grace = config.server.shutdown_grace;
        Ok(Self {
            address,
            grace,
            engine,
            stop_workers,
            stop_server,
            server,
            workers,
            engine_tasks,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
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
            stop_workers,
            stop_server,
            mut server,
            mut workers,
            ..
        } = self;
        let orderly = async {
            stop_workers.cancel();
            stop_server.cancel();
            while workers.join_next().await.is_some() {}
            engine.stop().await;
            if let Err(error) = engine.store().release_lease().await {
                tracing::warn!(%error, "could not give up the lease; it runs out by itself");
            }
            // Clients that keep their connection would hold this up without limit.
            while server.join_next().await.is_some() {}
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
