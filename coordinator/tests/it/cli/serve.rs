//! `amends serve` and `amends migrate`, the real ones.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use super::{Run, amends, run};

/// A coordinator that is killed when the test is over.
struct Served {
    process: Child,
    ready: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn serve(directory: &Path) -> Served {
    let mut command = amends();
    command
        .current_dir(directory)
        .args(["serve", "--listen", "127.0.0.1:0"]);
    let mut process = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(process.stdout.take().unwrap())
        .read_line(&mut ready)
        .unwrap();
    Served { process, ready }
}

fn within(directory: &Path, args: &[&str]) -> Run {
    let mut command = amends();
    command.current_dir(directory).args(args);
    run(command)
}

#[test]
fn serve_says_when_it_is_ready_and_where() {
    let directory = tempfile::tempdir().unwrap();
    let served = serve(directory.path());
    let version = env!("CARGO_PKG_VERSION");
    let rest = served
        .ready
        .strip_prefix(&format!("amends {version} listening on "))
        .expect(&served.ready);
    let address = rest
        .strip_suffix(" (store sqlite:amends.db)\n")
        .expect(&served.ready);
    let status = within(directory.path(), &["status", "--server", address]);
    assert_eq!((status.code, status.err.as_str()), (0, ""));
    let none = within(
        directory.path(),
        &["tx", "list", "--server", address, "-o", "json"],
    );
    assert_eq!(none.out, "[]\n");

    // Its port is taken, and so is its store.
    let taken = within(
        directory.path(),
        &["serve", "--listen", address, "--store", "memory:"],
    );
    assert_eq!((taken.code, taken.out.as_str()), (1, ""));
    assert!(taken.err.contains(address), "{}", taken.err);
    let second = within(directory.path(), &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!((second.code, second.out.as_str()), (1, ""));
    assert!(second.err.contains("amends.db"), "{}", second.err);
}

#[test]
fn serve_with_a_wrong_configuration_does_not_start() {
    let directory = tempfile::tempdir().unwrap();
    let wrong = within(directory.path(), &["serve", "--set", "engine.que=1"]);
    assert_eq!((wrong.code, wrong.out.as_str()), (2, ""));
    assert!(
        wrong.err.contains("did you mean engine.queue?"),
        "{}",
        wrong.err
    );
    assert!(!directory.path().join("amends.db").exists());
}

#[test]
fn migrate_checks_and_applies() {
    let directory = tempfile::tempdir().unwrap();
    let absent = within(directory.path(), &["migrate", "--check"]);
    assert_eq!((absent.code, absent.out.as_str()), (1, ""));
    let applied = within(directory.path(), &["migrate"]);
    assert_eq!(
        (applied.code, applied.err.as_str()),
        (0, "the schema of sqlite:amends.db is up to date\n")
    );
    assert!(applied.out.contains("applied now"), "{}", applied.out);
    let checked = within(directory.path(), &["migrate", "--check", "-o", "jsonl"]);
    assert_eq!(checked.code, 0);
    assert!(
        checked
            .out
            .lines()
            .all(|line| line.ends_with("\"state\":\"applied\"}")),
        "{}",
        checked.out
    );
}
