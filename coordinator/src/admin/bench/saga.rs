//! Sagas, each started and awaited by one call, and checked for how it ended.

use std::time::Duration;

use amends_proto::v1::admin_service_client::AdminServiceClient;
use amends_proto::v1::saga_service_client::SagaServiceClient;
use amends_proto::v1::start_saga_request::Source;
use amends_proto::v1::transaction_service_client::TransactionServiceClient;
use amends_proto::v1::{
    DefinitionRef, GetStatusRequest, GetStatusResponse, RegisterDefinitionRequest, SagaDefinition,
    StartSagaRequest, Transaction, TransactionState, WaitTransactionRequest,
};
use clap::ValueEnum;
use tokio::runtime::Handle;
use tonic::transport::Channel;
use uuid::Uuid;

use super::connections::Connections;
use super::driver::{Fault, Work};
use super::workload::{Workload, input};
use crate::admin::definition_file::Span;
use crate::admin::error::CommandError;
use crate::admin::view::state;

/// The longest wait of one call.
const WAIT: Duration = Duration::from_secs(60);
/// Waits after which a saga counts as one that does not end.
const MAX_WAITS: usize = 3;
/// Enough for both sides to use all cores.
const CONNECTIONS: usize = 4;

/// How a start names what to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum DefinitionSource {
    /// By the name under which it was registered once
    #[default]
    Registered,
    /// By sending it along each time
    Inline,
}

/// A client of the coordinator.
pub(super) type Clients = Connections<(
    SagaServiceClient<Channel>,
    TransactionServiceClient<Channel>,
)>;

/// Connects to the coordinator.
pub(super) async fn connect(coordinator: &str, cores: &[Handle]) -> Result<Clients, CommandError> {
    let clients = |channel: Channel| {
        (
            SagaServiceClient::new(channel.clone()),
            TransactionServiceClient::new(channel),
        )
    };
    Connections::open(coordinator, CONNECTIONS, cores, clients).await
}

/// How the coordinator is doing, and where the time of its sagas went.
pub(super) async fn status(
    coordinator: &str,
    cores: &[Handle],
) -> Result<GetStatusResponse, CommandError> {
    let admin = Connections::open(coordinator, 1, cores, AdminServiceClient::new).await?;
    let request = GetStatusRequest { profile: true };
    Ok(admin.next().get_status(request).await?.into_inner())
}

/// Registers a definition, or takes it as it is.
pub(super) async fn source(
    clients: &Clients,
    definition: SagaDefinition,
    how: DefinitionSource,
) -> Result<Source, CommandError> {
    if how == DefinitionSource::Inline {
        return Ok(Source::Definition(definition));
    }
    let reference = DefinitionRef {
        name: definition.name.clone(),
        version: definition.version,
    };
    let request = RegisterDefinitionRequest {
        saga: Some(definition),
    };
    clients.next().0.register_definition(request).await?;
    Ok(Source::Registered(reference))
}

/// Sagas of one workload.
pub(super) struct Sagas {
    clients: Clients,
    template: StartSagaRequest,
    expected: TransactionState,
}

impl Sagas {
    pub(super) async fn prepare(
        coordinator: &str,
        cores: &[Handle],
        workload: Workload,
        how: DefinitionSource,
    ) -> Result<Self, CommandError> {
        let clients = connect(coordinator, cores).await?;
        let source = source(&clients, workload.definition(), how).await?;
        let template = StartSagaRequest {
            source: Some(source),
            input: Some(input()),
            wait: Some(Span(WAIT).to_proto()),
            ..StartSagaRequest::default()
        };
        Ok(Self {
            clients,
            template,
            expected: workload.expected(),
        })
    }
}

impl Work for Sagas {
    fn cores(&self) -> &[Handle] {
        self.clients.cores()
    }

    async fn once(&self) -> Result<(), Fault> {
        let gid = Uuid::now_v7().to_string();
        let request = StartSagaRequest {
            gid: gid.clone(),
            ..self.template.clone()
        };
        let (mut sagas, mut transactions) = self.clients.next();
        let started = sagas.start_saga(request).await?.into_inner();
        if !started.created {
            return Err(Fault("a new saga was taken for an old one".to_owned()));
        }
        let seen = ended(&mut transactions, &gid, started.transaction).await?;
        if seen == self.expected {
            Ok(())
        } else {
            Err(Fault(format!("a saga ended {}", state(seen))))
        }
    }
}

/// The state in which a transaction ends; waits for that, within bounds.
pub(super) async fn ended(
    client: &mut TransactionServiceClient<Channel>,
    gid: &str,
    mut seen: Option<Transaction>,
) -> Result<TransactionState, Fault> {
    let mut now = state_of(seen);
    for _ in 0..MAX_WAITS {
        if is_final(now) {
            return Ok(now);
        }
        let request = WaitTransactionRequest {
            gid: gid.to_owned(),
            timeout: Some(Span(WAIT).to_proto()),
        };
        seen = client
            .wait_transaction(request)
            .await?
            .into_inner()
            .transaction;
        now = state_of(seen);
    }
    if is_final(now) {
        return Ok(now);
    }
    Err(Fault(format!("a saga did not end, it is {}", state(now))))
}

fn state_of(seen: Option<Transaction>) -> TransactionState {
    let summary = seen.and_then(|transaction| transaction.summary);
    summary.map_or(TransactionState::Unspecified, |summary| summary.state())
}

fn is_final(state: TransactionState) -> bool {
    use TransactionState::{Compensated, Forced, Stuck, Succeeded};
    matches!(state, Succeeded | Compensated | Forced | Stuck)
}
