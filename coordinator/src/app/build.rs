//! From configuration to parts.

use std::sync::Arc;

use amends_core::time::Millis;

use crate::clock::SystemClock;
use crate::config::Config;
use crate::engine::EngineOptions;
use crate::grpc::{Token, from_stored};
use crate::participant::{OutboundOptions, Registry};
use crate::store::open::{StoreOptions, open};
use crate::store::{Incarnation, Store};
use crate::worker::{LEASE, Retention};

use super::error::ServeError;

pub(super) fn store_options(config: &Config) -> StoreOptions {
    StoreOptions {
        url: config.store.url.clone(),
        max_connections: config.store.max_connections.get(),
    }
}

/// A name for this run that no other run has.
pub(super) fn incarnation() -> Incarnation {
    Incarnation(uuid::Uuid::now_v7().to_string())
}

/// Opens the store and takes up the lease, so that nothing that begins from
/// here on looks abandoned.
pub(super) async fn store(
    config: &Config,
    incarnation: Incarnation,
) -> Result<Arc<dyn Store>, ServeError> {
    let store = open(&store_options(config), incarnation, config.store.migrate)
        .await
        .map_err(|source| ServeError::Open {
            url: config.store.url.to_string(),
            source,
        })?;
    store
        .renew_lease(&config.server.listen.to_string(), LEASE)
        .await?;
    Ok(store)
}

/// The participants: those that the configuration names and those stored.
pub(super) async fn registry(
    config: &Config,
    store: &dyn Store,
) -> Result<Arc<Registry>, ServeError> {
    let options = OutboundOptions::from(&config.participants);
    let registry = Registry::new(options, Arc::new(SystemClock));
    for (service, addresses) in config.participants.services.iter() {
        for address in addresses {
            registry
                .add_static(service, address)
                .map_err(|error| ServeError::Config(format!("participants.services: {error}")))?;
        }
    }
    let stored = store.participants().await?;
    for (key, error) in registry.restore(stored.into_iter().map(from_stored)) {
        tracing::warn!(service = key.service, instance = key.instance_id, %error, "a stored participant is not taken in again");
        store
            .remove_participant(&key.service, &key.instance_id)
            .await?;
    }
    Ok(Arc::new(registry))
}

pub(super) fn engine_options(config: &Config) -> EngineOptions {
    let defaults = EngineOptions::default();
    EngineOptions {
        shards: match config.engine.shards {
            0 => defaults.shards,
            shards => usize::try_from(shards).unwrap_or(usize::MAX),
        },
        max_live: config.engine.max_live.get(),
        queue: config.engine.queue.get(),
        evict_after: Millis::from(config.engine.evict_after),
        flush_after: config.engine.flush_after,
    }
}

pub(super) fn retention(config: &Config) -> Retention {
    Retention {
        finished: Millis::from(config.retention.finished),
        batch: config.retention.batch.get(),
        interval: config.retention.interval,
    }
}

pub(super) fn token(config: &Config) -> Result<Option<Token>, ServeError> {
    let Some(path) = &config.server.token_file else {
        return Ok(None);
    };
    let file = |source| ServeError::File {
        key: "server.token_file",
        path: path.clone(),
        source,
    };
    let text = std::fs::read_to_string(path).map_err(file)?;
    match text.trim() {
        "" => Err(ServeError::Config(format!(
            "server.token_file: {} is empty",
            path.display()
        ))),
        secret => Ok(Some(Token::new(secret))),
    }
}
