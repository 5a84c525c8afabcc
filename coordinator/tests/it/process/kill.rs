//! `kill -9` at every moment: whatever was accepted ends, and everything is in
//! force exactly once or not at all.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt as _;
use tempfile::TempDir;

use super::audit::{AT_ONCE, check, gids, start, start_many};
use super::ledger::{Ledger, Participant};
use super::serve::{PATIENCE, Process, configure};
use crate::store::place;

/// Sagas of one round.
const SAGAS: usize = 24;
/// Fewer calls than a round takes, whatever fails.
const CALLS: usize = 80;

/// As many as keep a coordinator busy: all are under way at some moment.
const LOAD: usize = 1_000;
const LOAD_AT_ONCE: usize = 256;

/// One coordinator after the other on the same store, one participant.
struct Scene {
    folder: TempDir,
    store: String,
    ledger: Ledger,
    participant: Participant,
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
            participant,
        }
    }

    async fn serve(&self, crash_at: &str) -> Process {
        Process::start(self.folder.path(), &self.store, crash_at).await
    }

    /// What was accepted ends by itself; the rest when it is started again.
    async fn recover(&self, accepted: &[String], all: &[String], what: &str) {
        let process = self.serve("").await;
        check(&process.address, accepted, &self.ledger, what).await;
        let again = start(&process.address, all).await;
        assert_eq!(again.len(), all.len(), "{what}");
        check(&process.address, all, &self.ledger, what).await;
        process.kill().await;
    }

    async fn crash_at(&self, point: &str) {
        let gids = gids(&point.replace(':', "-"), SAGAS);
        let process = self.serve(point).await;
        let accepted = start(&process.address, &gids).await;
        let status = process.exit().await;
        assert_eq!(status.signal(), Some(9), "{point}: {status}");
        self.recover(&accepted, &gids, point).await;
    }

    /// The one that takes up what was left dies as well.
    async fn crash_while_recovering(&self) {
        let gids = gids("recovering", SAGAS);
        let process = self.serve("begin-durable:5").await;
        let accepted = start(&process.address, &gids).await;
        process.exit().await;
        let second = self.serve("adopted").await;
        let status = second.exit().await;
        assert_eq!(status.signal(), Some(9), "adopted: {status}");
        self.recover(&accepted, &gids, "adopted").await;
    }

    async fn kill_after(&self, calls: usize, round: usize) {
        self.kill_amid((SAGAS, AT_ONCE), calls, round).await;
    }

    async fn kill_amid(&self, (sagas, at_once): (usize, usize), calls: usize, round: usize) {
        let what = format!("round {round}, killed after {calls} calls");
        let gids = gids(&format!("round-{round}"), sagas);
        let process = self.serve("").await;
        let begun = self.ledger.calls();
        let (address, ids) = (process.address.clone(), gids.clone());
        let starting = tokio::spawn(async move { start_many(&address, &ids, at_once).await });
        let reached = self.ledger.called(begun + calls);
        tokio::time::timeout(PATIENCE, reached).await.expect(&what);
        process.kill().await;
        let accepted = starting.await.unwrap();
        self.recover(&accepted, &gids, &what).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_every_crash_point() {
    let scene = Scene::new("sqlite:amends.db").await;
    for point in [
        "before-append",
        "before-append:4",
        "after-append",
        "after-append:3",
        "begin-durable",
        "begin-durable:9",
        "progress-durable",
        "step-answered",
        "step-answered:50",
        "final-durable",
        "final-durable:7",
    ] {
        scene.crash_at(point).await;
    }
    scene.crash_while_recovering().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_any_moment() {
    let scene = Scene::new("sqlite:amends.db").await;
    let mut random = StdRng::seed_from_u64(7);
    for round in 0..5 {
        scene.kill_after(random.random_range(1..CALLS), round).await;
    }
}

/// Killed while it accepts, calls, turns back and commits as fast as it can;
/// the next one takes up hundreds and accepts the rest meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_full_load() {
    let scene = Scene::new("sqlite:amends.db").await;
    for (round, calls) in [LOAD / 4, LOAD, 3 * LOAD].into_iter().enumerate() {
        scene.kill_amid((LOAD, LOAD_AT_ONCE), calls, round).await;
    }
}

/// Here the next one waits for the lease of the one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_any_moment_on_postgres() {
    let name = format!("amends_test_{}", uuid::Uuid::new_v4().simple());
    place::administer(format!("CREATE DATABASE {name}")).await;
    let scene = Scene::new(&place::server_url(&name)).await;
    let rounds = async {
        scene.crash_at("after-append:2").await;
        scene.kill_after(40, 0).await;
        scene.crash_while_recovering().await;
    };
    let result = futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(rounds)).await;
    place::administer(format!("DROP DATABASE {name} WITH (FORCE)")).await;
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// A participant that dies in the middle and comes back at the same place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_participant() {
    let Scene {
        folder,
        store,
        ledger,
        participant,
    } = Scene::new("sqlite:amends.db").await;
    let process = Process::start(folder.path(), &store, "").await;
    let gids = gids("participant", SAGAS);
    let (address, ids) = (process.address.clone(), gids.clone());
    let starting = tokio::spawn(async move { start(&address, &ids).await });
    ledger.called(20).await;
    let address = participant.kill().await;
    assert_eq!(starting.await.unwrap().len(), gids.len());
    let _back = Participant::start_at(address, &ledger).await;
    check(&process.address, &gids, &ledger, "participant").await;
    process.signal(Signal::TERM);
    assert!(process.exit().await.success());
}
