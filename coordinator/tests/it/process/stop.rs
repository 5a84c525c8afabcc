//! A clean stop: exit code 0, and nothing is lost.

use rustix::process::Signal;
use tempfile::TempDir;

use super::audit::{check, gids, start};
use super::ledger::{Ledger, Participant};
use super::serve::{Process, configure};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_either_signal_loses_nothing() {
    let folder = TempDir::new().unwrap();
    let ledger = Ledger::new();
    let participant = Participant::start(&ledger).await;
    configure(folder.path(), participant.address);
    let store = "sqlite:amends.db";
    for (signal, name) in [(Signal::TERM, "term"), (Signal::INT, "int")] {
        let process = Process::start(folder.path(), store, "").await;
        let gids = gids(name, 40);
        let (address, ids) = (process.address.clone(), gids.clone());
        let starting = tokio::spawn(async move { start(&address, &ids).await });
        ledger.called(ledger.calls() + 20).await;
        process.signal(signal);
        let status = process.exit().await;
        assert_eq!(status.code(), Some(0), "{name}: {status}");
        // The file alone is the whole store: whoever copies it has everything.
        let log = std::fs::metadata(folder.path().join("amends.db-wal"));
        assert_eq!(log.map_or(0, |log| log.len()), 0, "{name}");
        let accepted = starting.await.unwrap();
        let next = Process::start(folder.path(), store, "").await;
        check(&next.address, &accepted, &ledger, name).await;
        assert_eq!(start(&next.address, &gids).await.len(), gids.len());
        check(&next.address, &gids, &ledger, name).await;
        next.kill().await;
    }
}

/// A database that takes the connection and then says nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn does_not_wait_for_a_database_that_is_silent() {
    let folder = TempDir::new().unwrap();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://amends@{}/amends", silent.local_addr().unwrap());
    let mut command = super::serve::command(folder.path(), &url);
    let child = command.spawn().unwrap();
    let (_connection, _) = silent.accept().await.unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    let ended = super::serve::blocking(move || child.wait_with_output().unwrap());
    let ended = tokio::time::timeout(super::serve::PATIENCE, ended)
        .await
        .unwrap();
    assert_eq!(
        (ended.status.code(), ended.stdout.as_slice()),
        (Some(0), b"".as_slice())
    );
}
