//! A producer that is killed: a real process, and kill -9. Whatever it leaves,
//! another instance of its group knows what to say.

use std::process::Stdio;
use std::sync::Arc;

use amends::proto::{HalfState, HalfVerdict};
use amends::{Client, Database, StepResult};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Notify;

use crate::databases::{on_every_database, url_of};
use crate::half::{half, paid, pay, producer, tables};
use crate::halves::{Fault, Halves};

on_every_database!(
    killed_before_its_local_transaction,
    killed_within_its_local_transaction,
    killed_after_its_local_commit,
    killed_after_the_coordinator_was_told,
);

const DATABASE: &str = "AMENDS_TEST_KILLED_DATABASE";
const COORDINATOR: &str = "AMENDS_TEST_KILLED_COORDINATOR";
const HANGS: &str = "AMENDS_TEST_KILLED_HANGS";
/// What it says when it hangs in its local transaction.
const AT_WORK: &str = "it is at work";

/// The process that is killed: this test binary, told to run this test alone.
#[tokio::test]
async fn the_killed_process() {
    let (Ok(url), Ok(coordinator)) = (std::env::var(DATABASE), std::env::var(COORDINATOR)) else {
        return; // As a test among others.
    };
    let database = Database::connect(&url).await.unwrap();
    let client = Client::connect(coordinator)
        .unwrap()
        .with_producer("payments");
    let done = half(&client, "a").in_tx(&database, async |conn| -> StepResult<u32> {
        let done = pay(conn, "a").await?;
        if std::env::var(HANGS).is_ok() {
            println!("{AT_WORK}");
            std::future::pending::<()>().await;
        }
        Ok(done)
    });
    done.await.unwrap();
}

fn start(database: &Database, halves: &Halves, hangs: bool) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["half_kills::the_killed_process", "--exact", "--nocapture"])
        .env(DATABASE, url_of(database))
        .env(COORDINATOR, halves.url())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    if hangs {
        command.env(HANGS, "yes");
    }
    command.spawn().unwrap()
}

/// Kills it where it stands, and lets another instance answer.
async fn kill(mut child: Child, database: &Database, halves: &Halves) -> HalfVerdict {
    child.kill().await.unwrap();
    let other = producer(database, halves).await;
    let verdict = halves.check("a", &other).await;
    other.shutdown().await;
    verdict
}

async fn killed_before_its_local_transaction(database: Database) {
    tables(&database).await;
    let halves = Halves::start().await;
    halves.fault_prepare(Fault::HoldAnswer(Arc::new(Notify::new())));
    let child = start(&database, &halves, false);
    halves.prepared("a").await;
    assert_eq!(kill(child, &database, &halves).await, HalfVerdict::Rollback);
    assert_eq!(paid(&database).await, 0);
}

async fn killed_within_its_local_transaction(database: Database) {
    tables(&database).await;
    let halves = Halves::start().await;
    let mut child = start(&database, &halves, true);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains(AT_WORK) {
            assert_eq!(kill(child, &database, &halves).await, HalfVerdict::Rollback);
            assert_eq!(paid(&database).await, 0);
            return;
        }
    }
    panic!("it never was at work");
}

async fn killed_after_its_local_commit(database: Database) {
    tables(&database).await;
    let halves = Halves::start().await;
    let arrived = Arc::new(Notify::new());
    halves.fault_decide(Fault::Hang(Arc::clone(&arrived)));
    let child = start(&database, &halves, false);
    arrived.notified().await;
    assert_eq!(halves.get("a").unwrap().state, HalfState::Prepared);
    assert_eq!(kill(child, &database, &halves).await, HalfVerdict::Commit);
    assert_eq!(halves.get("a").unwrap().state, HalfState::Committed);
    assert_eq!(paid(&database).await, 1);
}

async fn killed_after_the_coordinator_was_told(database: Database) {
    tables(&database).await;
    let halves = Halves::start().await;
    halves.fault_decide(Fault::HoldAnswer(Arc::new(Notify::new())));
    let child = start(&database, &halves, false);
    halves.reached("a", HalfState::Committed).await;
    assert_eq!(kill(child, &database, &halves).await, HalfVerdict::Commit);
    assert_eq!(paid(&database).await, 1);
}
