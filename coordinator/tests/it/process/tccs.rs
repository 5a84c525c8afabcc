//! A coordinator that is killed around begin, register, try, decision, confirm and
//! cancel: what was answered holds, everything ends, and of each TCC either all is
//! taken or nothing is held.

use std::os::unix::process::ExitStatusExt as _;

use amends_proto::v1;
use amends_proto::v1::TransactionState;
use amends_proto::v1::tcc_service_client::TccServiceClient;
use amends_proto::v1::transaction_service_client::TransactionServiceClient;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rustix::process::Signal;
use tempfile::TempDir;
use tonic::Code;
use tonic::transport::Channel;

use super::audit::connect;
use super::ledger::Participant;
use super::serve::{PATIENCE, Process, blocking, configure_service};
use super::tcc_callers::{Caller, Plan, TCCS, Tcc, Told, drive, tccs};
use super::vault::Vault;
use crate::cli;
use crate::store::place;

/// Fewer calls than a round takes, whatever fails.
const CALLS: usize = 60;
/// Of so many calls of a participant one takes effect and then proves nothing.
const LOST_STRIDE: usize = 7;

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
                    assert_eq!(end, TransactionState::Succeeded, "{what}: {tcc:?}");
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

async fn amends(process: &Process, args: &[&str]) -> cli::Run {
    let address = process.address.trim_start_matches("http://");
    let address = address.parse().unwrap();
    let args: Vec<String> = args.iter().map(|it| (*it).to_owned()).collect();
    let run = move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        cli::remote(address, &args)
    };
    blocking(run).await
}

const STUCK: [&str; 6] = ["tx", "list", "--kind", "tcc", "--state", "stuck"];

/// Waits until so many lines are listed, the head included.
async fn listed(process: &Process, args: &[&str], lines: usize) {
    let all = async { while amends(process, args).await.out.lines().count() < lines {} };
    let waited = tokio::time::timeout(PATIENCE, all).await;
    waited.unwrap_or_else(|_| panic!("{args:?}: not {lines} lines"));
}

/// The command line on TCCs whose confirm was refused, before and after a `kill -9`.
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
    listed(&process, &STUCK, 3).await;
    process.kill().await;
    let process = scene.serve("").await;
    listed(&process, &STUCK, 3).await;
    one_by_hand(&process).await;
    all_at_once(&scene, &process).await;
    for (gid, state) in [("pay-2", "taken"), ("pay-3", "released")] {
        assert_eq!(scene.vault.states(gid, &["fine", "strict"]), [state; 2]);
    }
    scene.vault.audit();
    process.signal(Signal::TERM);
    assert!(process.exit().await.success());
}

async fn one_by_hand(process: &Process) {
    let shown = amends(process, &["tx", "get", "pay-1"]).await.out;
    for part in [
        "kind        TCC",
        "decision    CONFIRM",
        "NO_ACCOUNT: closed meanwhile",
        "mark-done strict",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let too_late = amends(process, &["tx", "cancel", "pay-1"]).await;
    assert_eq!(too_late.code, 5, "{}", too_late.out);
    let told = too_late.out.contains("ALREADY_CONFIRMED");
    assert!(told, "{}", too_late.out);
    let by_hand = ["tx", "mark-done", "pay-1", "strict", "--reason", "by phone"];
    assert_eq!(amends(process, &by_hand).await.code, 0);
    assert_eq!(amends(process, &["tx", "wait", "pay-1"]).await.code, 0);
    let trace = amends(process, &["tx", "trace", "pay-1"]).await.out;
    let declared = trace.contains("strict declared done by olga: by phone");
    assert!(declared, "{trace}");
}

/// Cancels all that run, and retries all that are stuck.
async fn all_at_once(scene: &Scene, process: &Process) {
    let running = ["--kind", "tcc", "--state", "running", "--yes"];
    let cancelled = amends(process, &[&["tx", "cancel"], &running[..]].concat()).await;
    let of_it = cancelled.out.matches("pay-3").count();
    assert_eq!((cancelled.code, of_it), (0, 1), "{}", cancelled.out);
    // Its cancel is refused as well.
    listed(process, &[&STUCK[..], &["--prefix", "pay-3"]].concat(), 2).await;
    scene.vault.open();
    let stuck = ["tx", "retry", "--kind", "tcc", "--state", "stuck", "--yes"];
    let retried = amends(process, &stuck).await;
    assert_eq!(retried.code, 0, "{}", retried.out);
    assert_eq!(amends(process, &["tx", "wait", "pay-2"]).await.code, 0);
    assert_eq!(amends(process, &["tx", "wait", "pay-3"]).await.code, 5);
}
