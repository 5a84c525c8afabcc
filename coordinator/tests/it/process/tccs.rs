//! A coordinator that is killed around begin, register, try, decision, confirm and
//! cancel: what was answered holds, everything ends, and of each TCC either all is
//! taken or nothing is held.

use std::os::unix::process::ExitStatusExt as _;

use amends_proto::v1;
use amends_proto::v1::TransactionState;
use amends_proto::v1::report_try_request::Outcome;
use amends_proto::v1::tcc_service_client::TccServiceClient;
use amends_proto::v1::transaction_service_client::TransactionServiceClient;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rustix::process::Signal;
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::audit::connect;
use super::ledger::Participant;
use super::serve::{PATIENCE, Process, configure_service};
use super::vault::Vault;
use crate::cli;
use crate::store::place;

/// TCCs of one round.
const TCCS: usize = 24;
/// Driven at the same time.
const AT_ONCE: usize = 8;
/// Fewer calls than a round takes, whatever fails.
const CALLS: usize = 60;
/// Of so many calls of a participant one takes effect and then proves nothing.
const LOST_STRIDE: usize = 7;
/// Whoever was to confirm it has died.
const ABANDONED_DEADLINE: i64 = 3;

/// The course that a caller takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
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
struct Tcc {
    gid: String,
    plan: Plan,
}

impl Tcc {
    fn child(&self) -> Option<String> {
        let nested = matches!(self.plan, Plan::NestedConfirm | Plan::NestedCancel);
        nested.then(|| format!("{}-child", self.gid))
    }
}

/// What its caller was told, as far as it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Begun,
    Confirmed,
    Cancelled,
}

fn tccs(round: &str) -> Vec<Tcc> {
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
struct Caller<'a> {
    client: TccServiceClient<Channel>,
    vault: &'a Vault,
}

impl Caller<'_> {
    async fn begin(
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

    async fn tried(&mut self, gid: &str, name: &str, step: &str) -> Result<v1::StepState, Status> {
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

    async fn confirm(&mut self, gid: &str) -> Result<(), Status> {
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
async fn drive(address: &str, vault: &Vault, tccs: &[Tcc], mut told: Vec<Told>) -> Vec<Told> {
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

/// Waits for the end of each, and checks what is held.
async fn check(address: &str, vault: &Vault, tccs: &[Tcc], told: &[Told], what: &str) {
    let client = TransactionServiceClient::new(connect(address).await.expect(what));
    let checking = tccs.iter().zip(told).map(|(tcc, told)| {
        let mut client = client.clone();
        async move {
            let end = end(&mut client, &tcc.gid).await;
            if *told == Told::Nothing && end.is_none() {
                return;
            }
            let end = end.unwrap_or_else(|| panic!("{what}: {tcc:?} was begun and is lost"));
            match (told, tcc.plan) {
                (Told::Confirmed, _) => {
                    assert_eq!(end, TransactionState::Succeeded, "{what}: {tcc:?}")
                }
                (Told::Cancelled, _)
                | (_, Plan::Abandon | Plan::Refused | Plan::Unknown | Plan::NestedCancel) => {
                    assert_eq!(end, TransactionState::Compensated, "{what}: {tcc:?}");
                }
                _ => {}
            }
            let mut branches = vec![
                (tcc.gid.clone(), "first"),
                (tcc.gid.clone(), "second"),
                (tcc.gid.clone(), "own"),
            ];
            if let Some(child) = tcc.child() {
                if let Some(childs) = self::end(&mut client, &child).await {
                    assert_eq!(childs, end, "{what}: {child}");
                }
                branches.push((child, "part"));
            }
            for (gid, branch) in branches {
                let held = vault.branch(&gid, branch);
                let fine: &[&str] = match (end, branch) {
                    (TransactionState::Succeeded, "second") => &["nothing"],
                    (TransactionState::Succeeded, _) => &["taken"],
                    _ => &["released", "nothing", "fenced off"],
                };
                assert!(
                    fine.contains(&held.state()),
                    "{what}: {gid} {branch} of {end:?}: {held:?}"
                );
            }
        }
    });
    stream::iter(checking)
        .buffer_unordered(TCCS)
        .collect::<Vec<()>>()
        .await;
    vault.audit();
}

/// `None`: there is no such TCC.
async fn end(
    client: &mut TransactionServiceClient<Channel>,
    gid: &str,
) -> Option<TransactionState> {
    let request = v1::WaitTransactionRequest {
        gid: gid.to_owned(),
        timeout: None,
    };
    match client.wait_transaction(request).await {
        Ok(waited) => {
            let waited = waited.into_inner();
            assert!(waited.finished, "{gid} does not end: {waited:?}");
            Some(waited.transaction.unwrap().summary.unwrap().state())
        }
        Err(status) if status.code() == Code::NotFound => None,
        Err(status) => panic!("{gid}: {status:?}"),
    }
}

/// One coordinator after the other on the same store, one participant.
struct Scene {
    folder: TempDir,
    store: String,
    vault: Vault,
    _participant: Participant,
}

impl Scene {
    async fn new(store: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let vault = Vault::new(LOST_STRIDE);
        let participant = Participant::start(&vault).await;
        configure_service(folder.path(), "bank", participant.address);
        Self {
            folder,
            store: store.to_owned(),
            vault,
            _participant: participant,
        }
    }

    async fn serve(&self, crash_at: &str) -> Process {
        Process::start(self.folder.path(), &self.store, crash_at).await
    }

    async fn drive(&self, process: &Process, tccs: &[Tcc], told: Vec<Told>) -> Vec<Told> {
        drive(&process.address, &self.vault, tccs, told).await
    }

    /// What was decided is carried out by itself; the rest once its callers come again.
    async fn recover(&self, tccs: &[Tcc], told: Vec<Told>, what: &str) {
        let process = self.serve("").await;
        let decided = |(_, told): &(&Tcc, &Told)| matches!(told, Told::Confirmed | Told::Cancelled);
        let (first, firsts): (Vec<Tcc>, Vec<Told>) = tccs
            .iter()
            .zip(&told)
            .filter(decided)
            .map(|(tcc, told)| (tcc.clone(), *told))
            .unzip();
        check(&process.address, &self.vault, &first, &firsts, what).await;
        let told = self.drive(&process, tccs, told).await;
        assert!(!told.contains(&Told::Nothing), "{what}: {told:?}");
        check(&process.address, &self.vault, tccs, &told, what).await;
        process.kill().await;
    }

    async fn crash_at(&self, point: &str) {
        let tccs = tccs(&point.replace(':', "-"));
        let process = self.serve(point).await;
        let told = self.drive(&process, &tccs, vec![Told::Nothing; TCCS]).await;
        let status = process.exit().await;
        assert_eq!(status.signal(), Some(9), "{point}: {status}");
        self.recover(&tccs, told, point).await;
    }

    async fn kill_after(&self, calls: usize, round: usize) {
        let what = format!("round {round}, killed after {calls} calls");
        let tccs = tccs(&format!("round-{round}"));
        let process = self.serve("").await;
        let begun = self.vault.calls();
        let address = process.address.clone();
        let driving = drive(&address, &self.vault, &tccs, vec![Told::Nothing; TCCS]);
        let killing = async {
            let reached = self.vault.called(begun + calls);
            tokio::time::timeout(PATIENCE, reached).await.expect(&what);
            process.kill().await;
        };
        let (told, ()) = tokio::join!(driving, killing);
        self.recover(&tccs, told, &what).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_around_every_step_of_a_tcc() {
    let scene = Scene::new("sqlite:amends.db").await;
    for point in [
        "before-append:3",
        "after-append:5",
        "tcc-begun",
        "tcc-begun:9",
        "tcc-registered:3",
        "tcc-tried:7",
        "step-answered:11",
        "step-answered:50",
        "tcc-deciding:2",
        "tcc-decided",
        "tcc-decided:8",
        "final-durable",
        "final-durable:9",
    ] {
        scene.crash_at(point).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_and_again_while_recovering() {
    let scene = Scene::new("sqlite:amends.db").await;
    let mut random = StdRng::seed_from_u64(11);
    for round in 0..3 {
        scene.kill_after(random.random_range(1..CALLS), round).await;
    }
    let tccs = tccs("recovering");
    let process = scene.serve("tcc-decided:5").await;
    let told = scene
        .drive(&process, &tccs, vec![Told::Nothing; TCCS])
        .await;
    process.exit().await;
    let status = scene.serve("adopted").await.exit().await;
    assert_eq!(status.signal(), Some(9), "adopted: {status}");
    scene.recover(&tccs, told, "adopted").await;
}

/// Here the next one waits for the lease of the one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_around_a_decision_on_postgres() {
    let name = format!("amends_test_{}", uuid::Uuid::new_v4().simple());
    place::administer(format!("CREATE DATABASE {name}")).await;
    let scene = Scene::new(&place::server_url(&name)).await;
    let rounds = async {
        for point in ["tcc-registered:5", "tcc-decided:3", "final-durable:2"] {
            scene.crash_at(point).await;
        }
        scene.kill_after(30, 0).await;
    };
    let result = std::panic::AssertUnwindSafe(rounds).catch_unwind().await;
    place::administer(format!("DROP DATABASE {name} WITH (FORCE)")).await;
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// The command line on one whose confirm was refused, before and after a `kill -9`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_settles_what_is_stuck() {
    let scene = Scene::new("sqlite:amends.db").await;
    let process = scene.serve("").await;
    let client = TccServiceClient::new(connect(&process.address).await.unwrap());
    let mut caller = Caller {
        client,
        vault: &scene.vault,
    };
    for gid in ["pay-1", "pay-2", "pay-3"] {
        caller.begin(gid, None, 600).await.unwrap();
        caller.tried(gid, "fine", "hold").await.unwrap();
        caller.tried(gid, "strict", "strict").await.unwrap();
    }
    for gid in ["pay-1", "pay-2"] {
        caller.confirm(gid).await.unwrap();
    }
    let amends = async |process: &Process, args: &[&str]| {
        let address = process
            .address
            .trim_start_matches("http://")
            .parse()
            .unwrap();
        let args: Vec<String> = args.iter().map(|it| (*it).to_owned()).collect();
        super::serve::blocking(move || {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            cli::remote(address, &args)
        })
        .await
    };
    let stuck = [
        "tx", "list", "--kind", "tcc", "--state", "stuck", "-o", "jsonl",
    ];
    let both = async { while amends(&process, &stuck).await.out.lines().count() < 2 {} };
    tokio::time::timeout(PATIENCE, both)
        .await
        .expect("both get stuck");
    process.kill().await;
    let process = scene.serve("").await;
    assert_eq!(amends(&process, &stuck).await.out.lines().count(), 2);
    let shown = amends(&process, &["tx", "get", "pay-1"]).await.out;
    for part in [
        "kind        TCC",
        "decision    CONFIRM",
        "NO_ACCOUNT: closed meanwhile",
        "mark-done strict",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let all_tccs = [
        "tx", "cancel", "--kind", "tcc", "--state", "running", "--yes",
    ];
    let cancelled = amends(&process, &all_tccs).await;
    assert_eq!(
        (cancelled.code, cancelled.out.matches("pay-3").count()),
        (0, 1),
        "{}",
        cancelled.out
    );
    let too_late = amends(&process, &["tx", "cancel", "pay-1"]).await;
    assert_eq!(too_late.code, 5, "{}", too_late.out);
    assert!(
        too_late.out.contains("ALREADY_CONFIRMED"),
        "{}",
        too_late.out
    );
    let by_hand = ["tx", "mark-done", "pay-1", "strict", "--reason", "by phone"];
    assert_eq!(amends(&process, &by_hand).await.code, 0);
    assert_eq!(amends(&process, &["tx", "wait", "pay-1"]).await.code, 0);
    let trace = amends(&process, &["tx", "trace", "pay-1"]).await.out;
    assert!(
        trace.contains("strict declared done by olga: by phone"),
        "{trace}"
    );
    scene.vault.open();
    let retried = amends(
        &process,
        &["tx", "retry", "--kind", "tcc", "--state", "stuck", "--yes"],
    )
    .await;
    assert_eq!(retried.code, 0, "{}", retried.out);
    // Its cancel was refused as well, or was not called before the vault was open.
    amends(&process, &["tx", "retry", "pay-3"]).await;
    assert_eq!(amends(&process, &["tx", "wait", "pay-2"]).await.code, 0);
    assert_eq!(amends(&process, &["tx", "wait", "pay-3"]).await.code, 5);
    assert_eq!(
        scene.vault.states("pay-2", &["fine", "strict"]),
        ["taken"; 2]
    );
    assert_eq!(
        scene.vault.states("pay-3", &["fine", "strict"]),
        ["released"; 2]
    );
    scene.vault.audit();
    process.signal(Signal::TERM);
    assert!(process.exit().await.success());
}
