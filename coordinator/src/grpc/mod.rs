//! The gRPC front: thin adapters from `amends.v1` to engine commands.
//!
//! `read` and `show` translate, `status` words errors, each service sits in a
//! file of its own. Fronts for other protocols can stand beside this one.
//! Not here: any decision about transactions, any SQL.

mod admin;
mod auth;
mod live;
mod message;
mod page;
mod read;
mod record;
mod record_tcc;
mod registry;
mod report;
mod saga;
mod show;
mod show_tcc;
mod status;
mod tcc;
mod times;
mod transaction;

use std::sync::Arc;

use amends_core::time::Timestamp;
use amends_proto::v1::admin_service_server::AdminServiceServer;
use amends_proto::v1::consumer_service_server::ConsumerServiceServer;
use amends_proto::v1::dead_letter_service_server::DeadLetterServiceServer;
use amends_proto::v1::half_message_service_server::HalfMessageServiceServer;
use amends_proto::v1::live_saga_service_server::LiveSagaServiceServer;
use amends_proto::v1::message_service_server::MessageServiceServer;
use amends_proto::v1::registry_service_server::RegistryServiceServer;
use amends_proto::v1::report_service_server::ReportServiceServer;
use amends_proto::v1::saga_service_server::SagaServiceServer;
use amends_proto::v1::tcc_service_server::TccServiceServer;
use amends_proto::v1::transaction_service_server::TransactionServiceServer;
use tokio::sync::watch;
use tonic::service::{Routes, interceptor::InterceptedService};

pub use auth::Token;
pub use registry::from_stored;

use crate::config::AllowList;
use crate::engine::Engine;
use crate::messages::{Commands, Halves, Messages};
use crate::participant::Registry;

/// A message holds at most this many bodies of the largest size …
const BODIES_PER_MESSAGE: usize = 2;
/// … and this much beside them.
const MESSAGE_OVERHEAD_BYTES: usize = 1 << 20;
/// A batch of messages to publish may be at least this large together.
const MIN_PUBLISH_BYTES: usize = 16 << 20;

/// What the services stand on.
pub struct ApiParts {
    /// The engine.
    pub engine: Engine,
    /// Messages.
    pub messages: Messages,
    /// Half messages.
    pub halves: Halves,
    /// The participants.
    pub registry: Arc<Registry>,
    /// Who waits for what participants report.
    pub commands: Commands,
    /// Addresses that definitions may name.
    pub allow: AllowList,
    /// Largest body of a request, in bytes.
    pub max_body_bytes: u64,
    /// When this run began.
    pub started_at: Timestamp,
    /// Whether recovery is done.
    pub recovered: watch::Receiver<bool>,
    /// What every call must carry, if anything.
    pub token: Option<Token>,
}

/// Every service of the API, with health and reflection, which need no token.
///
/// # Errors
/// The compiled descriptors cannot be read (a broken build).
pub fn routes(
    parts: ApiParts,
) -> Result<(Routes, tonic_health::server::HealthReporter), tonic_reflection::server::Error> {
    let ApiParts {
        engine,
        messages,
        halves,
        registry,
        commands,
        allow,
        max_body_bytes,
        started_at,
        recovered,
        token,
    } = parts;
    let limit = request_limit(max_body_bytes);
    let store = engine.store().clone();
    let check = auth::Check::new(token);
    let transactional = transactional(&engine, allow, max_body_bytes, &check);
    let registrations = RegistryServiceServer::new(registry::Registrations { registry, store })
        .max_decoding_message_size(limit);
    let message_api = message::MessageApi {
        messages: messages.clone(),
        clock: engine.clock().clone(),
        max_bytes: max_body_bytes,
    };
    let message_limit = limit.max(MIN_PUBLISH_BYTES);
    let publishing =
        MessageServiceServer::new(message_api.clone()).max_decoding_message_size(message_limit);
    let half_api = message::HalfApi {
        halves: halves.clone(),
        max_bytes: max_body_bytes,
    };
    let half_messages =
        HalfMessageServiceServer::new(half_api).max_decoding_message_size(message_limit);
    let consumers = ConsumerServiceServer::new(message_api.clone());
    let dead_letters =
        DeadLetterServiceServer::new(message_api).max_decoding_message_size(message_limit);
    let reports =
        ReportServiceServer::new(report::Reports { commands }).max_decoding_message_size(limit);
    let admin = AdminServiceServer::new(admin::Admin {
        engine,
        messages,
        halves,
        started_at,
        recovered,
    });
    let (health, health_service) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(amends_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let routes = transactional
        .add_service(InterceptedService::new(registrations, check.clone()))
        .add_service(InterceptedService::new(publishing, check.clone()))
        .add_service(InterceptedService::new(half_messages, check.clone()))
        .add_service(InterceptedService::new(consumers, check.clone()))
        .add_service(InterceptedService::new(dead_letters, check.clone()))
        .add_service(InterceptedService::new(reports, check.clone()))
        .add_service(InterceptedService::new(admin, check))
        .add_service(health_service)
        .add_service(reflection);
    Ok((routes, health))
}

/// The services that begin transactions, show them and act on them.
fn transactional(
    engine: &Engine,
    allow: AllowList,
    max_body_bytes: u64,
    check: &auth::Check,
) -> Routes {
    let limit = request_limit(max_body_bytes);
    let sagas = SagaServiceServer::new(saga::Sagas {
        engine: engine.clone(),
        max_bytes: max_body_bytes,
        allow: allow.clone(),
    })
    .max_decoding_message_size(limit);
    let tccs = TccServiceServer::new(tcc::Tccs {
        engine: engine.clone(),
        max_bytes: max_body_bytes,
        allow: allow.clone(),
    })
    .max_decoding_message_size(limit);
    let live_sagas = LiveSagaServiceServer::new(live::LiveSagas {
        engine: engine.clone(),
        max_bytes: max_body_bytes,
        allow,
    })
    .max_decoding_message_size(limit);
    let transactions = TransactionServiceServer::new(transaction::Transactions {
        engine: engine.clone(),
    })
    .max_decoding_message_size(limit);
    Routes::new(InterceptedService::new(sagas, check.clone()))
        .add_service(InterceptedService::new(tccs, check.clone()))
        .add_service(InterceptedService::new(live_sagas, check.clone()))
        .add_service(InterceptedService::new(transactions, check.clone()))
}

/// The largest request, in bytes.
fn request_limit(max_body_bytes: u64) -> usize {
    usize::try_from(max_body_bytes)
        .unwrap_or(usize::MAX)
        .saturating_mul(BODIES_PER_MESSAGE)
        .saturating_add(MESSAGE_OVERHEAD_BYTES)
}
