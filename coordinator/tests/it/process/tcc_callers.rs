//! Callers of TCCs that take different courses, and take them again where the
//! coordinator died on the way.

use amends_proto::v1;
use amends_proto::v1::report_try_request::Outcome;
use amends_proto::v1::tcc_service_client::TccServiceClient;
use futures_util::{StreamExt as _, stream};
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::audit::connect;
use super::vault::Vault;

/// TCCs of one round.
pub(super) const TCCS: usize = 24;
/// Driven at the same time.
const AT_ONCE: usize = 8;
/// Whoever was to confirm it has died.
const ABANDONED_DEADLINE: i64 = 3;

/// The course that a caller takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    Confirm,
    /// One try is refused, so it cancels.
    Refused,
    /// One try is not known to have succeeded, so it cancels.
    Unknown,
    /// It says nothing more after its tries.
    Abandon,
    /// One branch is a TCC, and both are confirmed.
    NestedConfirm,
    /// The same, cancelled after the child was prepared.
    NestedCancel,
}

const PLANS: [Plan; 6] = [
    Plan::Confirm,
    Plan::Refused,
    Plan::NestedConfirm,
    Plan::Abandon,
    Plan::NestedCancel,
    Plan::Unknown,
];

#[derive(Debug, Clone)]
pub(super) struct Tcc {
    pub(super) gid: String,
    pub(super) plan: Plan,
}

impl Tcc {
    pub(super) fn child(&self) -> Option<String> {
        let nested = matches!(self.plan, Plan::NestedConfirm | Plan::NestedCancel);
        nested.then(|| format!("{}-child", self.gid))
    }
}

/// What its caller was told, as far as it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    Begun,
    Confirmed,
    Cancelled,
}

pub(super) fn tccs(round: &str) -> Vec<Tcc> {
    let tcc = |n: usize| Tcc {
        gid: format!("{round}-{n}"),
        plan: PLANS[n % PLANS.len()],
    };
    (0..TCCS).map(tcc).collect()
}

fn retry(max_attempts: u32) -> Option<v1::RetryPolicy> {
    Some(v1::RetryPolicy {
        max_attempts,
        initial_backoff: std::time::Duration::from_millis(5).try_into().ok(),
        max_backoff: std::time::Duration::from_millis(50).try_into().ok(),
        multiplier: 2.0,
    })
}

/// The calls of one caller. Each can be repeated, so the next run makes them again.
pub(super) struct Caller<'a> {
    pub(super) client: TccServiceClient<Channel>,
    pub(super) vault: &'a Vault,
}

impl Caller<'_> {
    pub(super) async fn begin(
        &mut self,
        gid: &str,
        parent: Option<&str>,
        deadline: i64,
    ) -> Result<(), Status> {
        let request = v1::BeginTccRequest {
            gid: gid.to_owned(),
            name: "shop.pay".to_owned(),
            deadline: Some(prost_types::Duration {
                seconds: deadline,
                nanos: 0,
            }),
            parent: parent.map(|parent| v1::TccParent {
                gid: parent.to_owned(),
                branch: "sub".to_owned(),
            }),
            ..v1::BeginTccRequest::default()
        };
        self.client.begin_tcc(request).await.map(drop)
    }

    fn branch(name: &str, step: &str) -> v1::TccBranch {
        v1::TccBranch {
            name: name.to_owned(),
            target: format!("bank/{step}"),
            retry: retry(if step == "lost" { 2 } else { 1_000 }),
            settle_retry: retry(1_000),
            ..v1::TccBranch::default()
        }
    }

    pub(super) async fn tried(
        &mut self,
        gid: &str,
        name: &str,
        step: &str,
    ) -> Result<v1::StepState, Status> {
        let request = v1::TryBranchRequest {
            gid: gid.to_owned(),
            branch: Some(Self::branch(name, step)),
            wait: None,
        };
        let tried = self.client.try_branch(request).await?.into_inner();
        Ok(tried.branch.unwrap().state())
    }

    /// A branch that this caller tries itself, once it is registered.
    async fn try_own(&mut self, gid: &str) -> Result<(), Status> {
        let register = v1::RegisterBranchRequest {
            gid: gid.to_owned(),
            branch: Some(Self::branch("own", "hold")),
        };
        self.client.register_branch(register).await?;
        let outcome = match self.vault.try_by_caller(gid, "own") {
            true => Outcome::Succeeded(v1::Payload::default()),
            // A cancel was faster.
            false => Outcome::Refused(v1::Failure::default()),
        };
        let report = v1::ReportTryRequest {
            gid: gid.to_owned(),
            branch: "own".to_owned(),
            outcome: Some(outcome),
        };
        self.client.report_try(report).await.map(drop)
    }

    pub(super) async fn confirm(&mut self, gid: &str) -> Result<(), Status> {
        let request = v1::ConfirmTccRequest {
            gid: gid.to_owned(),
            wait: None,
        };
        self.client.confirm_tcc(request).await.map(drop)
    }

    async fn cancel(&mut self, gid: &str) -> Result<(), Status> {
        let request = v1::CancelTccRequest {
            gid: gid.to_owned(),
            ..v1::CancelTccRequest::default()
        };
        self.client.cancel_tcc(request).await.map(drop)
    }

    /// Takes its course; notes what it was told.
    async fn drive(&mut self, tcc: &Tcc, told: &mut Told) -> Result<(), Status> {
        let gid = tcc.gid.as_str();
        let abandons = tcc.plan == Plan::Abandon;
        let deadline = if abandons { ABANDONED_DEADLINE } else { 600 };
        self.begin(gid, None, deadline).await?;
        if *told == Told::Nothing {
            *told = Told::Begun;
        }
        self.tried(gid, "first", "hold").await?;
        self.try_own(gid).await?;
        match tcc.plan {
            Plan::Refused => drop(self.tried(gid, "second", "refuse").await?),
            Plan::Unknown => drop(self.tried(gid, "second", "lost").await?),
            _ => {}
        }
        if let Some(child) = tcc.child() {
            self.begin(&child, Some(gid), 600).await?;
            match self.tried(&child, "part", "hold").await {
                // The run before had prepared it.
                Err(status) if status.code() == Code::FailedPrecondition => {}
                tried => drop(tried?),
            }
            self.confirm(&child).await?;
        }
        match tcc.plan {
            Plan::Abandon => {}
            Plan::Confirm | Plan::NestedConfirm => {
                self.confirm(gid).await?;
                *told = Told::Confirmed;
            }
            Plan::Refused | Plan::Unknown | Plan::NestedCancel => {
                self.cancel(gid).await?;
                *told = Told::Cancelled;
            }
        }
        Ok(())
    }
}

/// Drives all of them as far as the coordinator lives; what each caller was told.
pub(super) async fn drive(
    address: &str,
    vault: &Vault,
    tccs: &[Tcc],
    mut told: Vec<Told>,
) -> Vec<Told> {
    let Some(channel) = connect(address).await else {
        return told;
    };
    let driving = tccs.iter().zip(told.drain(..)).map(|(tcc, mut told)| {
        let client = TccServiceClient::new(channel.clone());
        let mut caller = Caller { client, vault };
        async move {
            match caller.drive(tcc, &mut told).await {
                Ok(()) => {}
                // It was decided before its caller was told, or its time was up.
                Err(status) if status.code() == Code::FailedPrecondition => {}
                Err(status) => assert_gone(&status),
            }
            told
        }
    });
    stream::iter(driving).buffered(AT_ONCE).collect().await
}

/// The coordinator died; anything else is an answer that should not have been given.
fn assert_gone(status: &Status) {
    let gone = matches!(
        status.code(),
        Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal
    );
    assert!(gone, "{status:?}");
}
