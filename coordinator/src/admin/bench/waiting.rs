//! `amends bench saga --mode waiting`: what many sagas cost that wait for a timer.
//!
//! Their participant asks to be called again later: after longer than
//! `engine.evict_after` they leave memory, before that they stay. Once their
//! memory was measured the participant is let go, those that sleep are woken by
//! hand, and each must succeed.

use std::time::Duration;

use amends_proto::v1::RetryTransactionsRequest;
use serde::Serialize;
use tokio::runtime::Handle;

use super::compared::{exit, faults, rounded};
use super::direct::Direct;
use super::driver::Tally;
use super::hanging::Hanging;
use super::place::Place;
use super::process::Process;
use super::registration::Registration;
use super::run::SagaArgs;
use super::saga::{self, Clients};
use super::usage;
use super::workload::{HANGING_SERVICE, waiting_definition};
use crate::admin::error::CommandError;
use crate::admin::exit::Exit;
use crate::admin::output::{pairs, print_one};
use crate::clock::monotonic;
use crate::config::value::show_duration;

/// For all of them to wait.
const MAX_TIME: Duration = Duration::from_secs(300);
/// How often it is looked whether all wait.
const ASK: Duration = Duration::from_millis(100);
/// Ids in one call.
const MAX_GIDS: usize = 1_000;

/// One run, as `-o json` shows it. Memory in MiB.
#[derive(Debug, Serialize)]
struct Report {
    mode: &'static str,
    store: &'static str,
    waiting: usize,
    wait_seconds: f64,
    /// Those of them that stayed in memory.
    live: u64,
    rss_before_mib: Option<f64>,
    rss_mib: Option<f64>,
    /// While they were started.
    peak_rss_mib: Option<f64>,
    /// From when they were let go until the last has ended.
    ended_ms: f64,
    errors: u64,
    faults: std::collections::BTreeMap<String, u64>,
}

pub(super) async fn run(args: &SagaArgs, cores: &[Handle]) -> Result<Exit, CommandError> {
    let place = Place::make(&args.place)?;
    let later = show_duration(args.wait_time);
    let participant = place.participant_with(&["--later", &later]).await?;
    let room = ("engine.max_live", (2 * args.waiting + 1_000).to_string());
    let coordinator = place.coordinator(&[room]).await?;
    let address = coordinator.address();
    let _registration = Registration::keep(address, HANGING_SERVICE, participant.address()).await?;
    let memory = || coordinator.pid().and_then(usage::resident_mib);
    let before = memory();
    let clients = saga::connect(address, cores).await?;
    let sagas = Hanging::start(clients, waiting_definition(), args.waiting).await?;
    let counter =
        Direct::connect(participant.address(), 1, cores, args.workload().stages()).await?;
    let sleeps = args.wait_time >= place.config.engine.evict_after;
    let live = all_wait(&coordinator, &counter, cores, (args.waiting, sleeps)).await?;
    let (rss, peak) = (
        memory(),
        coordinator.pid().and_then(usage::peak_resident_mib),
    );
    counter.release().await?;
    let start = monotonic();
    if sleeps {
        wake(&saga::connect(address, cores).await?, &sagas.gids()).await?;
    }
    let tally = sagas.finish().await?;
    let report = Report {
        mode: args.mode.name(),
        store: args.place.store.kind(),
        waiting: args.waiting,
        wait_seconds: args.wait_time.as_secs_f64(),
        live,
        rss_before_mib: before.map(rounded),
        rss_mib: rss.map(rounded),
        peak_rss_mib: peak.map(rounded),
        ended_ms: rounded(start.elapsed().as_secs_f64() * 1000.0),
        errors: tally.fault_count() + missing(&tally, args.waiting),
        faults: faults([("", &tally)]),
    };
    print_one(args.output, &report, table)?;
    Ok(exit(report.errors, tally.count()))
}

fn missing(tally: &Tally, count: usize) -> u64 {
    (count as u64).saturating_sub(tally.count() as u64 + tally.fault_count())
}

/// Returns how many are in memory once each has been told to come back later
/// and, where they leave memory, none is left there.
async fn all_wait(
    coordinator: &Process,
    counter: &Direct,
    cores: &[Handle],
    (count, sleeps): (usize, bool),
) -> Result<u64, CommandError> {
    let start = monotonic();
    loop {
        let told = counter.counts().await?.later;
        let live = saga::status(coordinator.address(), cores)
            .await?
            .live_transactions;
        if told >= count as u64 && (live == 0 || !sleeps) {
            return Ok(live);
        }
        if start.elapsed() > MAX_TIME {
            let text = format!("of {count} sagas {told} wait, and {live} are still in memory");
            return Err(CommandError::Failed(text));
        }
        tokio::time::sleep(ASK).await;
    }
}

/// As an operator would.
async fn wake(clients: &Clients, gids: &[String]) -> Result<(), CommandError> {
    for gids in gids.chunks(MAX_GIDS) {
        let request = RetryTransactionsRequest {
            gids: gids.to_vec(),
        };
        let (_, mut client) = clients.next();
        let results = client
            .retry_transactions(request)
            .await?
            .into_inner()
            .results;
        if let Some(refused) = results.iter().find(|result| !result.accepted) {
            let text = format!("a saga that waits cannot be woken: {:?}", refused.failure);
            return Err(CommandError::Failed(text));
        }
    }
    Ok(())
}

fn table(report: &Report) -> String {
    let mib = |mib: Option<f64>| mib.map_or_else(String::new, |mib| format!("{mib:.0} MiB"));
    pairs([
        (
            "waiting",
            format!(
                "{} for {} s, {} of them in memory",
                report.waiting, report.wait_seconds, report.live
            ),
        ),
        ("memory before", mib(report.rss_before_mib)),
        ("memory", mib(report.rss_mib)),
        ("at most", mib(report.peak_rss_mib)),
        ("ended after", format!("{:.2} s", report.ended_ms / 1000.0)),
        ("store", report.store.to_owned()),
        ("errors", report.errors.to_string()),
    ])
}
