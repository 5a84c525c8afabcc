//! Live sagas in real processes: the coordinator is killed at every crash point and
//! the callers go on, or are gone and everything of them is made good.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use amends_proto::v1;
use amends_proto::v1::live_saga_service_client::LiveSagaServiceClient;
use amends_proto::v1::transaction_service_client::TransactionServiceClient;
use futures_util::future::join_all;
use tempfile::TempDir;
use tonic::Status;
use tonic::transport::Channel;

use super::ledger::{Ledger, Participant, REFUSED};
use super::serve::{PATIENCE, Process, configure};
use crate::store::place;
use v1::{StepState, TransactionState};

/// Live sagas of one round: half of them are refused at the last step.
const SAGAS: usize = 12;
const STEPS: [&str; 4] = ["first", "left", "right", "last"];
/// How long callers may be silent: those that die, and those that do not.
const SHORT_LEASE: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(30);

struct Scene {
    folder: TempDir,
    store: String,
    ledger: Ledger,
    _participant: Participant,
}

impl Scene {
    async fn new(store: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let ledger = Ledger::new();
        let participant = Participant::start(&ledger).await;
        configure(folder.path(), participant.address);
        Self {
            folder,
            store: store.to_owned(),
            ledger,
            _participant: participant,
        }
    }

    async fn serve(&self, crash_at: &str) -> Process {
        Process::start(self.folder.path(), &self.store, crash_at).await
    }

    /// The coordinator dies; its callers go on with the next one.
    async fn crash_at(&self, point: &str) {
        let gids = gids(&point.replace(':', "-"));
        let process = self.serve(point).await;
        let callers = gids
            .iter()
            .map(|gid| drive(&process.address, gid, STEPS.len()));
        let _ = join_all(callers).await;
        let status = process.exit().await;
        assert_eq!(status.signal(), Some(9), "{point}: {status}");
        let process = self.serve("").await;
        let callers = gids
            .iter()
            .map(|gid| drive(&process.address, gid, STEPS.len()));
        for (gid, ended) in gids.iter().zip(join_all(callers).await) {
            // One that was refused before the crash may still be undoing.
            let ended = ended.unwrap_or_else(|status| panic!("{point}, {gid}: {status}"));
            assert!(ended.is_some(), "{point}, {gid}: it came to no end");
        }
        for gid in &gids {
            self.check(&process.address, gid, wanted(gid)).await;
        }
        process.kill().await;
    }

    /// The coordinator and the callers die, each after another number of steps.
    async fn crash_of_both_at(&self, point: &str) {
        let gids = gids(&format!("both-{}", point.replace(':', "-")));
        let process = self.serve(point).await;
        let all = gids.iter().enumerate();
        let callers = all.map(|(nth, gid)| drive(&process.address, gid, nth % STEPS.len()));
        let _ = join_all(callers).await;
        process.exit().await;
        let process = self.serve("").await;
        for gid in &gids {
            if is_known(&process.address, gid).await {
                self.check(&process.address, gid, TransactionState::Compensated)
                    .await;
            }
        }
        process.kill().await;
    }

    /// Waits for the end, and looks at what is left in force.
    async fn check(&self, address: &str, gid: &str, expected: TransactionState) {
        let ended = end(address, gid).await;
        assert_eq!(ended, expected, "{gid}");
        for step in STEPS {
            let branch = self.ledger.branch(gid, step);
            let good = expected == TransactionState::Succeeded;
            assert_eq!(branch.in_force, i32::from(good), "{gid} {step}: {branch:?}");
            assert!(branch.made <= 1, "{gid} {step}: {branch:?}");
        }
    }
}

fn gids(round: &str) -> Vec<String> {
    let kind = |n| if n % 2 == 0 { "fine" } else { REFUSED };
    (0..SAGAS)
        .map(|n| format!("{}-{round}-{n}", kind(n)))
        .collect()
}

fn wanted(gid: &str) -> TransactionState {
    match gid.starts_with(REFUSED) {
        true => TransactionState::Compensated,
        false => TransactionState::Succeeded,
    }
}

async fn client(address: &str) -> Result<LiveSagaServiceClient<Channel>, Status> {
    let channel = Channel::from_shared(address.to_owned())
        .unwrap()
        .connect()
        .await;
    let channel = channel.map_err(|error| Status::unavailable(error.to_string()))?;
    Ok(LiveSagaServiceClient::new(channel))
}

/// The program of a caller, from its beginning: what was done before is not done again. It dies
/// before the step of this number; then nobody ends the saga.
async fn drive(address: &str, gid: &str, dies: usize) -> Result<Option<TransactionState>, Status> {
    let mut client = client(address).await?;
    let lease = if dies < STEPS.len() {
        SHORT_LEASE
    } else {
        LEASE
    };
    let begin = v1::BeginLiveSagaRequest {
        gid: gid.to_owned(),
        name: "order".to_owned(),
        caller: "the test".to_owned(),
        lease: lease.try_into().ok(),
        ..v1::BeginLiveSagaRequest::default()
    };
    let begun = client.begin_live_saga(begin).await?.into_inner();
    let state = begun.transaction.unwrap().summary.unwrap().state();
    if state != TransactionState::Running {
        return Ok(Some(state));
    }
    if dies == 0 {
        return Ok(None);
    }
    let first = run(&client, gid, "first").await?;
    if dies == 1 {
        return Ok(None);
    }
    let middle = tokio::join!(run(&client, gid, "left"), run(&client, gid, "right"));
    let mut all = vec![first, middle.0?, middle.1?];
    if dies <= 3 {
        return Ok(None);
    }
    all.push(run(&client, gid, "last").await?);
    let ended = if all.iter().all(|state| *state == StepState::Succeeded) {
        let complete = v1::CompleteLiveSagaRequest {
            gid: gid.to_owned(),
            output: None,
        };
        let done = client.complete_live_saga(complete).await?;
        done.into_inner().transaction
    } else {
        let fail = v1::FailLiveSagaRequest {
            gid: gid.to_owned(),
            wait: PATIENCE.try_into().ok(),
            ..v1::FailLiveSagaRequest::default()
        };
        client.fail_live_saga(fail).await?.into_inner().transaction
    };
    Ok(ended.map(|ended| ended.summary.unwrap().state()))
}

async fn run(
    client: &LiveSagaServiceClient<Channel>,
    gid: &str,
    name: &str,
) -> Result<StepState, Status> {
    let retry = v1::RetryPolicy {
        max_attempts: 1_000,
        initial_backoff: Duration::from_millis(5).try_into().ok(),
        max_backoff: Duration::from_millis(50).try_into().ok(),
        multiplier: 2.0,
    };
    let step = v1::LiveStep {
        name: name.to_owned(),
        target: format!("shop/{name}"),
        compensation: format!("shop/{name}"),
        retry: Some(retry),
        undo_retry: Some(retry),
        ..v1::LiveStep::default()
    };
    let request = v1::RunLiveStepRequest {
        gid: gid.to_owned(),
        step: Some(step),
        wait: None,
    };
    let ran = client.clone().run_live_step(request).await?.into_inner();
    Ok(ran.step.unwrap().state())
}

async fn is_known(address: &str, gid: &str) -> bool {
    let get = v1::GetLiveSagaRequest {
        gid: gid.to_owned(),
    };
    let found = client(address).await.unwrap().get_live_saga(get).await;
    found.is_ok()
}

async fn end(address: &str, gid: &str) -> TransactionState {
    let channel = Channel::from_shared(address.to_owned())
        .unwrap()
        .connect()
        .await;
    let mut client = TransactionServiceClient::new(channel.unwrap());
    let request = v1::WaitTransactionRequest {
        gid: gid.to_owned(),
        timeout: PATIENCE.try_into().ok(),
    };
    let waited = client.wait_transaction(request).await.unwrap();
    waited
        .into_inner()
        .transaction
        .unwrap()
        .summary
        .unwrap()
        .state()
}

const POINTS: [&str; 9] = [
    "before-append",
    "before-append:20",
    "after-append",
    "after-append:15",
    "begin-durable:9",
    "progress-durable",
    "progress-durable:17",
    "step-answered:11",
    "final-durable:3",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_go_on_after_every_crash_of_the_coordinator() {
    let scene = Scene::new("sqlite:amends.db").await;
    for point in POINTS {
        scene.crash_at(point).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_callers_left_behind_that_died_with_the_coordinator_is_made_good() {
    let scene = Scene::new("sqlite:amends.db").await;
    for point in [
        "before-append:3",
        "begin-durable:9",
        "progress-durable:4",
        "step-answered:7",
    ] {
        scene.crash_of_both_at(point).await;
    }
}

/// Here the next one waits for the lease of the one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_on_postgres() {
    let name = format!("amends_test_{}", uuid::Uuid::new_v4().simple());
    place::administer(format!("CREATE DATABASE {name}")).await;
    let scene = Scene::new(&place::server_url(&name)).await;
    let rounds = async {
        scene.crash_at("after-append:15").await;
        scene.crash_of_both_at("progress-durable:4").await;
    };
    let result = futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(rounds)).await;
    place::administer(format!("DROP DATABASE {name} WITH (FORCE)")).await;
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}
