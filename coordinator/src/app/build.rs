//! From configuration to parts.

use std::num::NonZeroU32;
use std::sync::Arc;

use amends_core::message::half::{AfterLastCheck, CheckPolicy};
use amends_core::time::Millis;
use tokio::task::JoinSet;

use crate::broker::ExternalBroker;
use crate::broker::rabbitmq::{RabbitMq, RabbitOptions};
use crate::clock::SystemClock;
use crate::config::{BrokerUrl, Config, GiveUp};
use crate::engine::EngineOptions;
use crate::grpc::{Token, from_stored};
use crate::messages::{HalfOptions, Halves, MessageOptions, MessageParts, Messages};
use crate::participant::{AskProducers, OutboundOptions, Registry};
use crate::store::messages::MessageStore;
use crate::store::open::{StoreOptions, Stores, open};
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
pub(super) async fn store(config: &Config, incarnation: Incarnation) -> Result<Stores, ServeError> {
    let store = open(&store_options(config), incarnation, config.store.migrate)
        .await
        .map_err(|source| ServeError::Open {
            url: config.store.url.to_string(),
            source,
        })?;
    store
        .transactions
        .renew_lease(&config.server.listen.to_string(), LEASE)
        .await?;
    Ok(store)
}

/// Publishing and delivering, with its tasks.
pub(super) async fn messages(
    config: &Config,
    store: Arc<dyn MessageStore>,
) -> Result<(Messages, JoinSet<()>), ServeError> {
    let parts = MessageParts {
        store,
        broker: broker(config)?,
        clock: Arc::new(SystemClock),
        options: MessageOptions::default(),
    };
    Ok(Messages::start(parts).await?)
}

/// What carries messages; none: the store itself. The server need not be there
/// yet. Must be called inside a runtime.
fn broker(config: &Config) -> Result<Option<Arc<dyn ExternalBroker>>, ServeError> {
    let BrokerUrl::RabbitMq { url } = &config.broker.url else {
        return Ok(None);
    };
    let options = RabbitOptions {
        tls_ca: config.broker.tls_ca.clone(),
        lanes: config.broker.lanes,
        heartbeat: config.broker.heartbeat,
        prefix: config.broker.prefix.as_str().to_owned(),
        ..RabbitOptions::new(url.clone())
    };
    let broker = RabbitMq::start(&options, Arc::new(SystemClock))?;
    Ok(Some(Arc::new(broker)))
}

/// The participants: those that the configuration names and those stored.
pub(super) async fn registry(
    config: &Config,
    store: &dyn Store,
    cores: usize,
) -> Result<Arc<Registry>, ServeError> {
    let mut options = OutboundOptions::from(&config.participants);
    options.connections_per_target = a_core(options.connections_per_target, cores);
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

/// Each core has connections of its own: their share of the configured number,
/// and at least one.
fn a_core(connections: NonZeroU32, cores: usize) -> NonZeroU32 {
    let cores = u32::try_from(cores).unwrap_or(u32::MAX).max(1);
    NonZeroU32::new(connections.get().div_ceil(cores)).unwrap_or(NonZeroU32::MIN)
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

/// Half messages; `asker` reaches producers without a stream.
pub(super) fn halves(config: &Config, messages: &Messages, asker: Arc<dyn AskProducers>) -> Halves {
    let half = &config.half;
    let options = HalfOptions {
        check_after: Millis::from(half.check_after),
        policy: CheckPolicy {
            interval: Millis::from(half.check_interval),
            max_checks: half.max_checks.get(),
            after_last: match half.after_last_check {
                GiveUp::Keep => AfterLastCheck::Keep,
                GiveUp::Discard => AfterLastCheck::Discard,
            },
        },
        check_timeout: half.check_timeout,
        checks_in_flight: usize::try_from(half.checks_in_flight.get()).unwrap_or(usize::MAX),
    };
    Halves::new(messages.clone(), asker, options)
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
