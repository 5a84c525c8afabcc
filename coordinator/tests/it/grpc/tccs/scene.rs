//! A coordinator, a vault, and short ways to call.

use std::time::Duration;

use amends_proto::v1;
use amends_proto::v1::TransactionState;
use amends_proto::v1::report_try_request::Outcome;
use amends_proto::v1::tcc_service_client::TccServiceClient;
use tonic::Status;
use tonic::transport::Channel;

use crate::grpc::api::{Api, json, seconds, state};
use crate::process::ledger::Participant;
use crate::process::vault::Vault;
use crate::store::place::Place;

pub(super) struct Scene {
    pub(super) api: Api,
    pub(super) vault: Vault,
    store: String,
    participant: Participant,
}

impl Scene {
    pub(super) async fn start(place: &Place) -> Self {
        Self::start_with(place, &[]).await
    }

    pub(super) async fn start_with(place: &Place, settings: &[(&str, &str)]) -> Self {
        let vault = Vault::new(0);
        let participant = Participant::start(&vault).await;
        let store = match place {
            Place::Memory(_) => "memory:".to_owned(),
            Place::Sqlite(folder) => {
                format!("sqlite:{}", folder.path().join("amends.db").display())
            }
            Place::Postgres(_) => place.url().to_owned(),
        };
        let services = services(&participant);
        let ours = [
            ("store.url", store.as_str()),
            ("participants.services", &services),
        ];
        let api = Api::start_with(&[&ours, settings].concat()).await;
        Self {
            api,
            vault,
            store,
            participant,
        }
    }

    /// Stops the coordinator and starts another one on the same store.
    pub(super) async fn restart(self) -> Self {
        let services = services(&self.participant);
        let ours = [
            ("store.url", self.store.as_str()),
            ("participants.services", &services),
        ];
        let api = self.api.restart(&ours).await;
        api.recovered().await;
        Self { api, ..self }
    }

    /// What is in memory is gone after a restart.
    pub(super) fn is_durable(&self) -> bool {
        self.store != "memory:"
    }

    pub(super) fn client(&self) -> TccServiceClient<Channel> {
        TccServiceClient::new(self.api.channel.clone())
    }

    pub(super) async fn begin(&self, gid: &str) -> v1::Transaction {
        let begun = self.client().begin_tcc(begin(gid)).await.unwrap();
        begun.into_inner().transaction.unwrap()
    }

    /// Lets the coordinator try a branch whose target is this step.
    pub(super) async fn tried(
        &self,
        gid: &str,
        name: &str,
        step: &str,
    ) -> Result<v1::Step, Status> {
        let request = v1::TryBranchRequest {
            gid: gid.to_owned(),
            branch: Some(branch(name, step)),
            wait: None,
        };
        let tried = self.client().try_branch(request).await?.into_inner();
        Ok(tried.branch.unwrap())
    }

    /// Registers a branch that is still to be tried.
    pub(super) async fn register(&self, gid: &str, name: &str) -> Result<v1::Step, Status> {
        let request = v1::RegisterBranchRequest {
            gid: gid.to_owned(),
            branch: Some(branch(name, "hold")),
        };
        let registered = self.client().register_branch(request).await?.into_inner();
        Ok(registered.branch.unwrap())
    }

    pub(super) async fn report(
        &self,
        gid: &str,
        name: &str,
        outcome: Outcome,
    ) -> Result<v1::Step, Status> {
        let request = v1::ReportTryRequest {
            gid: gid.to_owned(),
            branch: name.to_owned(),
            outcome: Some(outcome),
        };
        let noted = self.client().report_try(request).await?.into_inner();
        Ok(noted.branch.unwrap())
    }

    /// Waits for the end, unless somebody is needed before.
    pub(super) async fn confirm(&self, gid: &str) -> Result<v1::Transaction, Status> {
        let request = v1::ConfirmTccRequest {
            gid: gid.to_owned(),
            wait: seconds(60),
        };
        let confirmed = self.client().confirm_tcc(request).await?;
        Ok(confirmed.into_inner().transaction.unwrap())
    }

    /// Answers once it is decided.
    pub(super) async fn decide_confirm(&self, gid: &str) -> Result<v1::Transaction, Status> {
        let request = v1::ConfirmTccRequest {
            gid: gid.to_owned(),
            wait: None,
        };
        let confirmed = self.client().confirm_tcc(request).await?;
        Ok(confirmed.into_inner().transaction.unwrap())
    }

    pub(super) async fn cancel(&self, gid: &str) -> Result<v1::Transaction, Status> {
        let request = v1::CancelTccRequest {
            gid: gid.to_owned(),
            reason: "no longer wanted".to_owned(),
            wait: seconds(60),
        };
        let cancelled = self.client().cancel_tcc(request).await?;
        Ok(cancelled.into_inner().transaction.unwrap())
    }

    pub(super) async fn decide_cancel(&self, gid: &str) -> Result<v1::Transaction, Status> {
        let request = v1::CancelTccRequest {
            gid: gid.to_owned(),
            ..v1::CancelTccRequest::default()
        };
        let cancelled = self.client().cancel_tcc(request).await?;
        Ok(cancelled.into_inner().transaction.unwrap())
    }

    pub(super) async fn get(&self, gid: &str) -> v1::Transaction {
        let request = v1::GetTccRequest {
            gid: gid.to_owned(),
        };
        let found = self.client().get_tcc(request).await.unwrap();
        found.into_inner().transaction.unwrap()
    }

    /// Waits until it is in this state.
    pub(super) async fn reaches(&self, gid: &str, wanted: TransactionState) -> v1::Transaction {
        let watch = v1::WatchTransactionRequest {
            gid: gid.to_owned(),
        };
        let changes = self.api.transactions().watch_transaction(watch).await;
        let mut changes = changes.unwrap().into_inner();
        loop {
            let seen = changes.message().await.unwrap();
            let seen = seen.expect("it ended otherwise").transaction.unwrap();
            if state(&seen) == wanted {
                return seen;
            }
        }
    }
}

fn services(participant: &Participant) -> String {
    format!("{{ bank = [\"{}\"] }}", participant.address)
}

/// Under a minute is left for a slow machine.
pub(super) fn begin(gid: &str) -> v1::BeginTccRequest {
    v1::BeginTccRequest {
        gid: gid.to_owned(),
        name: "shop.pay".to_owned(),
        ..v1::BeginTccRequest::default()
    }
}

/// The same as branch `branch` of another one.
pub(super) fn under(gid: &str, parent: &str, branch: &str) -> v1::BeginTccRequest {
    v1::BeginTccRequest {
        parent: Some(v1::TccParent {
            gid: parent.to_owned(),
            branch: branch.to_owned(),
        }),
        ..begin(gid)
    }
}

/// Two attempts, and slow ones that do not come within a test.
fn two_attempts() -> Option<v1::RetryPolicy> {
    Some(v1::RetryPolicy {
        max_attempts: 2,
        initial_backoff: Duration::from_millis(1).try_into().ok(),
        max_backoff: seconds(3_600),
        multiplier: 1.0,
    })
}

pub(super) fn branch(name: &str, step: &str) -> v1::TccBranch {
    v1::TccBranch {
        name: name.to_owned(),
        target: format!("bank/{step}"),
        input: json(r#"{"amount": 7}"#),
        retry: two_attempts(),
        settle_retry: two_attempts(),
        ..v1::TccBranch::default()
    }
}

pub(super) fn held() -> Outcome {
    Outcome::Succeeded(json("1").unwrap())
}

pub(super) fn failure(code: &str) -> v1::Failure {
    v1::Failure {
        code: code.to_owned(),
        message: "as asked for".to_owned(),
    }
}

/// The state of each branch.
pub(super) fn steps(transaction: &v1::Transaction) -> Vec<v1::StepState> {
    transaction.steps.iter().map(v1::Step::state).collect()
}
