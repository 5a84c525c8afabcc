//! A coordinator process, and two banks within the test.

use std::time::Duration;

use amends::{Client, Database, Outcome, Participant, RunningParticipant};
use tempfile::TempDir;
use tokio::process::Command;

use super::bank::{self, Amount, North, South};
use crate::processes::{Process, shop};

/// What has not happened by then does not happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct World {
    folder: TempDir,
    coordinator: Option<Process>,
    pub url: String,
    pub client: Client,
    pub north: Database,
    pub south: Database,
    _banks: [RunningParticipant; 2],
}

/// The coordinator with its log in this folder.
pub fn coordinator(folder: &TempDir, listen: &str) -> Command {
    let mut command = shop();
    let store = format!("sqlite:{}", folder.path().join("amends.db").display());
    let args = ["coordinator", "--listen", listen, "--store", &store];
    command.args(args).current_dir(folder.path());
    command
}

impl World {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = Process::start(coordinator(&folder, "127.0.0.1:0")).await;
        let url = format!("http://{}", process.address);
        let database = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
        let north = bank::open(&database("north.db")).await;
        let south = bank::open(&database("south.db")).await;
        let start = async |builder: amends::participant::ParticipantBuilder| {
            let running = builder.coordinator(&url).start().await.unwrap();
            running.registered().await;
            running
        };
        let banks = [
            start(Participant::builder(north.clone()).service(North)).await,
            start(Participant::builder(south.clone()).service(South)).await,
        ];
        Self {
            client: Client::connect(&url).unwrap(),
            folder,
            coordinator: Some(process),
            url,
            north,
            south,
            _banks: banks,
        }
    }

    pub async fn kill_coordinator(&mut self) {
        self.coordinator.take().expect("it runs").kill().await;
    }

    /// Starts it again, at the same address.
    pub async fn restart_coordinator(&mut self) {
        let address = self.url.trim_start_matches("http://");
        let process = Process::start(coordinator(&self.folder, address)).await;
        self.coordinator = Some(process);
    }

    /// Waits for the end of a TCC: whether it was confirmed.
    pub async fn confirmed(&self, gid: &str) -> bool {
        confirmed(&self.client, gid).await
    }

    /// Why a TCC was cancelled: the code and the text.
    pub async fn cause(&self, gid: &str) -> (String, String) {
        let summary = self.client.get(gid).await.unwrap().summary.unwrap();
        let failure = summary.cause.unwrap().failure.unwrap();
        (failure.code, failure.message)
    }

    /// Free, held and announced money of both banks.
    pub async fn money(&self) -> [[i64; 3]; 2] {
        [
            bank::money(&self.north).await,
            bank::money(&self.south).await,
        ]
    }

    /// What has taken effect for a TCC, in the north and in the south.
    pub async fn effects(&self, gid: &str) -> [Vec<String>; 2] {
        [
            bank::effects_of(&self.north, gid).await,
            bank::effects_of(&self.south, gid).await,
        ]
    }
}

pub async fn confirmed(client: &Client, gid: &str) -> bool {
    match client.run::<Option<()>>(gid).wait(PATIENCE).await.unwrap() {
        Outcome::Completed(_) => true,
        Outcome::Compensated { .. } => false,
        other => panic!("{gid} ended as {other:?}"),
    }
}

/// All the money of a bank, free.
pub const ALL: i64 = bank::CENTS * bank::ACCOUNTS;
/// Nothing has happened.
pub const UNTOUCHED: [[i64; 3]; 2] = [[ALL, 0, 0], [ALL, 0, 0]];

pub fn amount(cents: i64) -> Amount {
    Amount { account: 0, cents }
}
