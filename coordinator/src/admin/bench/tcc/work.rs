//! What is measured: one TCC with all its calls, and the calls that its
//! participants get, made by a client without a coordinator.

use std::time::Duration;

use amends_proto::v1::tcc_service_client::TccServiceClient;
use amends_proto::v1::{
    BeginTccRequest, CancelTccRequest, ConfirmTccRequest, ExecuteRequest, Phase, StepState,
    TccBranch, Transaction, TransactionState, TryBranchRequest,
};
use clap::ValueEnum;
use futures_util::future::try_join_all;
use tokio::runtime::Handle;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::admin::bench::connections::Connections;
use crate::admin::bench::driver::{Fault, Work};
use crate::admin::bench::workload::{PlannedCall, SERVICE, WORK, input, output};
use crate::admin::definition_file::Span;
use crate::admin::error::CommandError;
use crate::admin::view::{state, step_state};

/// Enough for both sides to use all cores.
const CONNECTIONS: usize = 4;
/// The longest wait of one call.
const WAIT: Duration = Duration::from_secs(60);

/// The course that each TCC takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Mode {
    /// Branches are tried one after the other, then all are confirmed
    #[default]
    Confirm,
    /// The same, but all are cancelled
    Cancel,
    /// Branches are tried at the same time, then all are confirmed
    Parallel,
}

impl Mode {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Cancel => "cancel",
            Self::Parallel => "parallel",
        }
    }
}

/// One TCC's shape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) mode: Mode,
    pub(super) branches: usize,
}

impl Shape {
    /// The calls of its participants: one stage after the other, those of a
    /// stage at the same time, as the coordinator makes them.
    pub(super) fn stages(self) -> Vec<Vec<PlannedCall>> {
        let all = |phase| (0..self.branches).map(move |ix| call(ix, phase));
        let mut stages: Vec<Vec<PlannedCall>> = match self.mode {
            Mode::Parallel => vec![all(Phase::Try).collect()],
            Mode::Confirm | Mode::Cancel => all(Phase::Try).map(|call| vec![call]).collect(),
        };
        stages.push(match self.mode {
            Mode::Cancel => all(Phase::Cancel).collect(),
            Mode::Confirm | Mode::Parallel => all(Phase::Confirm).collect(),
        });
        stages
    }

    /// Calls of one TCC when nothing is repeated.
    pub(super) fn calls(self) -> usize {
        2 * self.branches
    }
}

fn call(ix: usize, phase: Phase) -> PlannedCall {
    PlannedCall {
        request: ExecuteRequest {
            service: SERVICE.to_owned(),
            step: WORK.to_owned(),
            phase: phase.into(),
            gid: String::new(),
            branch: name(ix),
            attempt: 1,
            input: Some(input()),
            output: (phase != Phase::Try).then(output),
        },
        refused: false,
    }
}

fn name(ix: usize) -> String {
    format!("b{}", ix + 1)
}

/// TCCs of one shape.
pub(super) struct Tccs {
    clients: Connections<TccServiceClient<Channel>>,
    shape: Shape,
}

impl Tccs {
    pub(super) async fn connect(
        coordinator: &str,
        cores: &[Handle],
        shape: Shape,
    ) -> Result<Self, CommandError> {
        let client = TccServiceClient::new;
        let clients = Connections::open(coordinator, CONNECTIONS, cores, client).await?;
        Ok(Self { clients, shape })
    }

    async fn tried(&self, gid: &str, ix: usize) -> Result<(), Fault> {
        let branch = TccBranch {
            name: name(ix),
            target: format!("{SERVICE}/{WORK}"),
            input: Some(input()),
            ..TccBranch::default()
        };
        let request = TryBranchRequest {
            gid: gid.to_owned(),
            branch: Some(branch),
            wait: None,
        };
        let tried = self.clients.next().try_branch(request).await?.into_inner();
        let seen = tried.branch.map_or(StepState::Unspecified, |it| it.state());
        if seen == StepState::Succeeded {
            return Ok(());
        }
        Err(Fault(format!("a try ended {}", step_state(seen))))
    }

    async fn settled(&self, gid: String) -> Result<(Option<Transaction>, TransactionState), Fault> {
        let mut client = self.clients.next();
        let wait = Some(Span(WAIT).to_proto());
        if self.shape.mode == Mode::Cancel {
            let request = CancelTccRequest {
                gid,
                reason: String::new(),
                wait,
            };
            let seen = client.cancel_tcc(request).await?.into_inner().transaction;
            return Ok((seen, TransactionState::Compensated));
        }
        let request = ConfirmTccRequest { gid, wait };
        let seen = client.confirm_tcc(request).await?.into_inner().transaction;
        Ok((seen, TransactionState::Succeeded))
    }
}

impl Work for Tccs {
    fn cores(&self) -> &[Handle] {
        self.clients.cores()
    }

    async fn once(&self) -> Result<(), Fault> {
        let gid = Uuid::now_v7().to_string();
        let request = BeginTccRequest {
            gid: gid.clone(),
            name: "bench".to_owned(),
            ..BeginTccRequest::default()
        };
        let begun = self.clients.next().begin_tcc(request).await?.into_inner();
        if !begun.created {
            return Err(Fault("a new TCC was taken for an old one".to_owned()));
        }
        let tries = (0..self.shape.branches).map(|ix| self.tried(&gid, ix));
        if self.shape.mode == Mode::Parallel {
            try_join_all(tries).await?;
        } else {
            for tried in tries {
                tried.await?;
            }
        }
        let (seen, expected) = self.settled(gid).await?;
        let summary = seen.and_then(|seen| seen.summary);
        let seen = summary.map_or(TransactionState::Unspecified, |it| it.state());
        if seen == expected {
            return Ok(());
        }
        Err(Fault(format!("a TCC ended {}", state(seen))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `b1?` is a try, `b1+` a confirm, `b1-` a cancel.
    fn check(mode: Mode, branches: usize, expected: &str) {
        let shape = Shape { mode, branches };
        let show = |call: &PlannedCall| {
            let mark = match call.request.phase() {
                Phase::Try => '?',
                Phase::Confirm => '+',
                _ => '-',
            };
            format!("{}{mark}", call.request.branch)
        };
        let stages = shape.stages();
        assert_eq!(stages.iter().map(Vec::len).sum::<usize>(), shape.calls());
        let stages: Vec<String> = stages
            .iter()
            .map(|stage| stage.iter().map(show).collect::<Vec<_>>().join("|"))
            .collect();
        assert_eq!(stages.join(" "), expected);
    }

    #[test]
    fn the_same_calls_as_the_tcc_makes() {
        check(Mode::Confirm, 2, "b1? b2? b1+|b2+");
        check(Mode::Cancel, 3, "b1? b2? b3? b1-|b2-|b3-");
        check(Mode::Parallel, 2, "b1?|b2? b1+|b2+");
    }
}
