//! Transfers between two banks while everybody is killed: callers, banks and
//! the coordinator, each a process of its own. No cent is lost, and nothing stays held.

use std::process::Stdio;
use std::time::Duration;

use amends::{Client, Database, Participant, Tcc, TccError};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::bank::{self, Amount, CLOSED, North, South};
use super::judge::{Transfer, judge};
use super::world::{PATIENCE, coordinator};
use crate::databases::{with_mysql, with_postgres};
use crate::processes::Process;

/// By each caller.
const TRANSFERS: i64 = 60;
const CALLERS: usize = 2;
/// What a dead caller holds is let go after this.
const DEADLINE: Duration = Duration::from_secs(5);

const COORDINATOR: &str = "SHOP_TEST_COORDINATOR";
const BANK: &str = "SHOP_TEST_BANK";
const DATABASE: &str = "SHOP_TEST_DATABASE";
const CALLER: &str = "SHOP_TEST_CALLER";
const FIRST: &str = "SHOP_TEST_FIRST";

/// What a caller says after each transfer.
const DONE: &str = "transfer is over: ";

/// This test binary, told to run one of the two tests below alone.
fn this(test: &str, coordinator: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let name = format!("tcc::transfers::{test}");
    command.args([&name, "--exact", "--nocapture"]);
    command.env(COORDINATOR, coordinator).kill_on_drop(true);
    command
}

/// A bank that is killed.
#[tokio::test]
async fn the_bank() {
    let Ok(name) = std::env::var(BANK) else {
        return; // As a test among others.
    };
    let [database, coordinator] = [DATABASE, COORDINATOR].map(|name| std::env::var(name).unwrap());
    let database = Database::connect(&database).await.unwrap();
    let builder = Participant::builder(database).coordinator(coordinator);
    let builder = match name.as_str() {
        "north" => builder.service(North),
        _ => builder.service(South),
    };
    let running = builder.start().await.unwrap();
    running.registered().await;
    println!("listening on {}", running.address());
    std::future::pending::<()>().await;
}

/// A caller that is killed.
#[tokio::test]
async fn the_caller() {
    let Ok(name) = std::env::var(CALLER) else {
        return; // As a test among others.
    };
    let [coordinator, first] = [COORDINATOR, FIRST].map(|name| std::env::var(name).unwrap());
    let client = Client::connect(coordinator).unwrap();
    for number in first.parse().unwrap()..TRANSFERS {
        let key = key(&name, number);
        // Whatever happened: the same key again, until it is known.
        loop {
            match transfer(&client, &key, Transfer { number }).await {
                Ok(()) => break,
                Err(
                    TccError::Confirmed { .. }
                    | TccError::Cancelled { .. }
                    | TccError::Refused { .. },
                ) => break,
                Err(error) => eprintln!("{key}: {error}"),
            }
        }
        println!("{DONE}{number}");
    }
}

async fn transfer(client: &Client, key: &str, transfer: Transfer) -> Result<(), TccError> {
    let cents = transfer.cents();
    let [from, to] =
        [transfer.source(), transfer.target()].map(|account| Amount { account, cents });
    let tcc = client.tcc("bank.transfer").key(key).deadline(DEADLINE);
    tcc.run(async |tx: &Tcc| {
        if transfer.is_southward() {
            tokio::try_join!(
                tx.try_branch(North::HOLD, from),
                tx.try_branch(South::ANNOUNCE, to),
            )?;
        } else {
            tx.try_branch(South::HOLD, from).await?;
            tx.try_branch(North::ANNOUNCE, to).await?;
        }
        Ok(())
    })
    .await
}

fn key(caller: &str, number: i64) -> String {
    format!("{caller}-{number}")
}

/// A caller at work.
struct Caller {
    name: String,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// The transfer that it is at.
    at: i64,
}

impl Caller {
    fn start(name: String, coordinator: &str, first: i64) -> Self {
        let mut command = this("the_caller", coordinator);
        command.env(CALLER, &name).env(FIRST, first.to_string());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            name,
            child,
            lines,
            at: first,
        }
    }

    /// Waits until it has made all transfers before this one.
    async fn reaches(&mut self, number: i64) {
        let reach = async {
            while self.at < number {
                let line = self
                    .lines
                    .next_line()
                    .await
                    .unwrap()
                    .expect("it ended early");
                if let Some((_, done)) = line.split_once(DONE) {
                    self.at = done.parse::<i64>().unwrap() + 1;
                }
            }
        };
        let reached = timeout(PATIENCE, reach).await;
        reached.unwrap_or_else(|_| panic!("{} stays at {}, not {number}", self.name, self.at));
    }

    /// Kills it and starts another one that goes on `skip` transfers later.
    async fn replace(&mut self, coordinator: &str, skip: i64) {
        self.child.kill().await.unwrap();
        *self = Self::start(self.name.clone(), coordinator, self.at + skip);
    }
}

struct Scene {
    folder: TempDir,
    url: String,
    databases: [String; 2],
    coordinator: Process,
    banks: [Process; 2],
    callers: Vec<Caller>,
}

const NAMES: [&str; 2] = ["north", "south"];

impl Scene {
    async fn start(databases: [String; 2]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let coordinator = Process::start(coordinator(&folder, "127.0.0.1:0")).await;
        let url = format!("http://{}", coordinator.address);
        let banks = [
            Self::bank(0, &databases, &url).await,
            Self::bank(1, &databases, &url).await,
        ];
        let callers = (0..CALLERS).map(|n| Caller::start(format!("caller{n}"), &url, 0));
        Self {
            callers: callers.collect(),
            folder,
            url,
            databases,
            coordinator,
            banks,
        }
    }

    async fn bank(which: usize, databases: &[String; 2], url: &str) -> Process {
        let mut command = this("the_bank", url);
        command.env(BANK, NAMES[which]);
        command.env(DATABASE, &databases[which]);
        Process::start(command).await
    }

    async fn replace_bank(&mut self, which: usize) {
        let bank = Self::bank(which, &self.databases, &self.url);
        // The new one is there before the old one is known to be gone, as often happens.
        let old = std::mem::replace(&mut self.banks[which], bank.await);
        old.kill().await;
    }

    async fn restart_bank(mut self, which: usize) -> Self {
        let [north, south] = self.banks;
        let (dead, other) = if which == 0 {
            (north, south)
        } else {
            (south, north)
        };
        dead.kill().await;
        let new = Self::bank(which, &self.databases, &self.url).await;
        self.banks = if which == 0 {
            [new, other]
        } else {
            [other, new]
        };
        self
    }

    async fn restart_coordinator(mut self) -> Self {
        let address = self.coordinator.address.clone();
        self.coordinator.kill().await;
        self.coordinator = Process::start(coordinator(&self.folder, &address)).await;
        self
    }
}

/// Kills each of them at several points of the work, and judges in the end.
async fn transfers(template: &str) {
    let databases = NAMES.map(|name| template.replace("{service}", name));
    let north = bank::open(&databases[0]).await;
    let south = bank::open(&databases[1]).await;
    let mut scene = Scene::start(databases).await;
    let url = scene.url.clone();

    scene.callers[0].reaches(8).await;
    scene.callers[0].replace(&url, 0).await;
    scene.callers[1].reaches(12).await;
    scene = scene.restart_bank(0).await;
    scene.callers[0].reaches(18).await;
    scene = scene.restart_coordinator().await;
    scene.callers[1].reaches(26).await;
    // Nobody goes on with what this one held.
    scene.callers[1].replace(&url, 1).await;
    scene.callers[0].reaches(32).await;
    scene.replace_bank(1).await;
    scene.callers[1].reaches(40).await;
    scene = scene.restart_coordinator().await;
    scene = scene.restart_bank(1).await;
    for caller in &mut scene.callers {
        caller.reaches(TRANSFERS).await;
    }

    let client = Client::connect(&url).unwrap();
    let keys = (0..CALLERS).flat_map(|caller| {
        (0..TRANSFERS)
            .map(move |number| (key(&format!("caller{caller}"), number), Transfer { number }))
    });
    let keys: Vec<_> = keys.collect();
    let verdict = judge(&client, [&north, &south], &keys).await;
    let refused = keys.iter().filter(|(_, it)| it.target() == CLOSED).count();
    // What was under way when a caller was replaced may have been let go too.
    assert!(verdict.let_go + verdict.never >= refused, "{verdict:?}");
    assert!(verdict.never <= 1, "{verdict:?}");
    assert!(verdict.made > keys.len() / 3, "{verdict:?}");
    north.close().await;
    south.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_cent_is_lost_while_everybody_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join("{service}.db");
    transfers(&format!("sqlite:{}", template.display())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_on_postgres() {
    with_postgres(&NAMES, transfers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_on_mysql() {
    with_mysql(&NAMES, transfers).await;
}
