//! The calibration: what a saga costs a process that makes its calls and does
//! nothing else.
//!
//! A bare server that takes the same request as the coordinator, makes the
//! calls of a saga with the client of the direct side, and gives an answer of
//! the same size. It has no store, no engine and no record. Processor time that
//! the coordinator needs beyond this is its own.

use std::sync::Arc;

use amends_proto::v1::saga_service_server::{SagaService, SagaServiceServer};
use amends_proto::v1::{
    GetDefinitionRequest, GetDefinitionResponse, ListDefinitionsRequest, ListDefinitionsResponse,
    RegisterDefinitionRequest, RegisterDefinitionResponse, StartSagaRequest, StartSagaResponse,
    Step, StepState, Transaction, TransactionSummary,
};
use clap::Args;
use tokio::runtime::Handle;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use super::direct::Direct;
use super::driver::{Fault, Work as _};
use super::place::Place;
use super::process::Process;
use super::serving::serve;
use super::workload::{Mode, Workload, input, output};
use crate::admin::error::CommandError;
use crate::admin::exit::Exit;

/// Arguments of `amends bench relay`.
#[derive(Debug, Args)]
pub(super) struct RelayArgs {
    #[arg(long)]
    participant: String,
    #[arg(long)]
    connections: usize,
    #[arg(long, value_enum)]
    mode: Mode,
    #[arg(long)]
    steps: usize,
}

/// Starts it as a process of its own.
pub(super) async fn start(
    place: &Place,
    participant: &str,
    workload: Workload,
    connections: usize,
) -> Result<Process, CommandError> {
    let mut program = place.program()?;
    program
        .args(["bench", "relay", "--participant", participant])
        .args(["--connections", &connections.to_string()])
        .args(["--mode", workload.mode.name()])
        .args(["--steps", &workload.steps.to_string()]);
    Process::start("relay", program).await
}

/// Serves until standard input ends, as it does when the bench ends.
pub(super) async fn run(args: &RelayArgs, cores: &[Handle]) -> Result<Exit, CommandError> {
    let workload = Workload {
        mode: args.mode,
        steps: args.steps,
    };
    let stages = workload.stages();
    let direct = Direct::connect(&args.participant, args.connections, cores, stages).await?;
    let service = SagaServiceServer::new(Relay {
        direct: Arc::new(direct),
        answer: answer(workload),
    });
    serve("relay", Routes::new(service), cores).await
}

struct Relay {
    direct: Arc<Direct>,
    answer: Transaction,
}

/// What a coordinator would say at the end.
fn answer(workload: Workload) -> Transaction {
    let definition = workload.definition();
    let step = |step: &amends_proto::v1::StepDefinition| Step {
        name: step.name.clone(),
        state: StepState::Succeeded.into(),
        attempts: 1,
        output: Some(output()),
        after: step.after.clone(),
        target: step.target.clone(),
        ..Step::default()
    };
    Transaction {
        summary: Some(TransactionSummary {
            state: workload.expected().into(),
            definition: definition.name.clone(),
            version: definition.version,
            ..TransactionSummary::default()
        }),
        definition_hash: "0".repeat(64),
        input: Some(input()),
        steps: definition.steps.iter().map(step).collect(),
        ..Transaction::default()
    }
}

#[tonic::async_trait]
impl SagaService for Relay {
    async fn start_saga(
        &self,
        request: Request<StartSagaRequest>,
    ) -> Result<Response<StartSagaResponse>, Status> {
        let gid = request.into_inner().gid;
        let Fault(why) = match self.direct.once().await {
            Ok(()) => {
                let mut transaction = self.answer.clone();
                if let Some(summary) = &mut transaction.summary {
                    summary.gid = gid;
                }
                return Ok(Response::new(StartSagaResponse {
                    transaction: Some(transaction),
                    created: true,
                }));
            }
            Err(fault) => fault,
        };
        Err(Status::internal(why))
    }

    async fn register_definition(
        &self,
        _request: Request<RegisterDefinitionRequest>,
    ) -> Result<Response<RegisterDefinitionResponse>, Status> {
        Ok(Response::new(RegisterDefinitionResponse::default()))
    }

    async fn get_definition(
        &self,
        _request: Request<GetDefinitionRequest>,
    ) -> Result<Response<GetDefinitionResponse>, Status> {
        Err(Status::unimplemented("a relay keeps nothing"))
    }

    async fn list_definitions(
        &self,
        _request: Request<ListDefinitionsRequest>,
    ) -> Result<Response<ListDefinitionsResponse>, Status> {
        Err(Status::unimplemented("a relay keeps nothing"))
    }
}
