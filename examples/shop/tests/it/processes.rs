//! The program as people start it.

use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// What has not started by then never does.
const MAX_START: Duration = Duration::from_secs(30);

pub fn shop() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shop"));
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// A process that said where it listens.
pub struct Process {
    child: Child,
    pub address: String,
}

impl Process {
    pub async fn start(mut command: Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(said) = line.split("listening on ").nth(1) {
                    return said.split_whitespace().next().map(str::to_owned);
                }
            }
            None
        };
        let address = timeout(MAX_START, address).await;
        let address = address.expect("it does not start").expect("it ended");
        Self { child, address }
    }

    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

pub async fn run(args: &[&str]) -> (Output, String) {
    let output = shop().args(args).output().await.unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    (output, text)
}

/// Runs it and wants success; returns what it said.
pub async fn run_well(args: &[&str]) -> String {
    let (output, text) = run(args).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}\n{errors}");
    text
}

#[tokio::test]
async fn wrong_arguments_are_explained() {
    let check = async |args: &[&str], expected: &str| {
        let (output, _) = run(args).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(expected), "{errors}");
    };
    check(&["--scenario", "nonsense"], "possible values: order, twice").await;
    check(
        &["--shop-database", "postgres://h/shop"],
        "it must contain {service}",
    )
    .await;
    check(
        &["--broker", "kafka://h"],
        "it must be embedded, rabbitmq, or",
    )
    .await;
    check(
        &["service", "stock"],
        "[possible values: order, goods, coupon, user, mail, pay, paylog]",
    )
    .await;
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_an_error_with_its_cause() {
    let (output, _) = run(&["--shop-database", "oracle://h/{service}"]).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(
        errors.contains("a service's database cannot be used"),
        "{errors}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_with_orders_are_not_played_on_again() {
    let folder = tempfile::tempdir().unwrap();
    let args = [
        "--scenario",
        "order",
        "--keep",
        folder.path().to_str().unwrap(),
    ];
    run_well(&args).await;
    let (output, _) = run(&args).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("hold orders already"), "{errors}");
    assert!(folder.path().join("order.db").exists());
}

/// The runner has no chance to end anything; the others notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_outlives_a_runner_that_is_killed() {
    let mut runner = shop()
        .args(["--serve", "--scenario", "order"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(runner.stdout.take().unwrap()).lines();
    let mut addresses = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [
                "coordinator" | "order" | "goods" | "coupon" | "user" | "mail" | "pay" | "paylog"
                | "provider" | "front",
                address,
                "its" | "where" | "takes",
                ..,
            ] => {
                addresses.push(address.trim_start_matches("http://").to_owned());
            }
            _ if line.contains("stays open") => break,
            _ => {}
        }
    }
    assert_eq!(addresses.len(), 10);
    let mut connections = Vec::new();
    for address in &addresses {
        connections.push(TcpStream::connect(address).await.unwrap());
    }
    runner.kill().await.unwrap();
    for mut connection in connections {
        // Whatever was said before; then the end, or a reset.
        let mut rest = Vec::new();
        connection.read_to_end(&mut rest).await.ok();
    }
}
