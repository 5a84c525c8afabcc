//! `amends bench saga --mode restart`: a coordinator with many unfinished sagas
//! is killed and started again, and goes on while new ones come in.
//!
//! A saga counts as resumed when the call that was under way at the crash has
//! been answered anew. Each must succeed in the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::runtime::Handle;

use super::compared::{exit, faults, rounded};
use super::direct::Direct;
use super::driver::{Load, Tally, drive};
use super::hanging::Hanging;
use super::latency::Percentiles;
use super::place::Place;
use super::process::Process;
use super::registration::Registration;
use super::run::SagaArgs;
use super::saga::{self, Sagas};
use super::usage;
use super::workload::{HANGING_SERVICE, SERVICE, unfinished_definition};
use crate::admin::error::CommandError;
use crate::admin::exit::Exit;
use crate::admin::output::{pairs, print_one};
use crate::clock::monotonic;

/// For all to be resumed, after which the bench gives up.
const MAX_TIME: Duration = Duration::from_secs(300);
/// How often the participant is asked how many were resumed.
const ASK: Duration = Duration::from_millis(20);
/// New sagas are started in rounds of this length until all old ones are resumed.
const ROUND: Duration = Duration::from_secs(1);

/// One run, as `-o json` shows it. Times in milliseconds from the start of the second process.
#[derive(Debug, Serialize)]
struct Report {
    mode: &'static str,
    store: &'static str,
    unfinished: usize,
    ready_ms: f64,
    first_resumed_ms: f64,
    all_resumed_ms: f64,
    all_ended_ms: f64,
    /// Calls made for them after the restart.
    calls: u64,
    /// Sagas that were started after it, until the last of the old ones was resumed.
    new_transactions: usize,
    new_per_second: f64,
    new_p50_ms: Option<f64>,
    new_p99_ms: Option<f64>,
    coordinator_rss_mib: Option<f64>,
    errors: u64,
    faults: std::collections::BTreeMap<String, u64>,
}

pub(super) async fn run(args: &SagaArgs, cores: &[Handle]) -> Result<Exit, CommandError> {
    if args.place.store.kind() == "memory" {
        let text = "a store in memory does not survive a restart: choose another with --store";
        return Err(CommandError::Usage(text.to_owned()));
    }
    let place = Place::make(&args.place)?;
    let participant = place.participant(args.delay).await?;
    let slow = place.participant(Duration::ZERO).await?;
    // Room for the old ones and for new ones beside them.
    let room = (
        "engine.max_live",
        (2 * args.unfinished + 100_000).to_string(),
    );
    let old = begin(&place, &slow, &room, (args.unfinished, cores)).await?;
    let counter = Direct::connect(slow.address(), 1, cores, args.workload().stages()).await?;
    counter.release().await?;

    let start = monotonic();
    let coordinator = place.coordinator(&[room]).await?;
    let ready = start.elapsed();
    let address = coordinator.address();
    let _registrations = [
        Registration::keep(address, HANGING_SERVICE, slow.address()).await?,
        Registration::keep(address, SERVICE, participant.address()).await?,
    ];
    let sagas = Arc::new(Sagas::prepare(address, cores, args.workload(), args.definition).await?);
    let resuming = resumed(&counter, args.unfinished as u64, start);
    let (times, new) = beside(resuming, &sagas, args.concurrency).await?;
    let old = old
        .moved(saga::connect(address, cores).await?)
        .finish()
        .await?;
    let all_ended = start.elapsed();
    let calls = counter.counts().await?.forward;
    let rss = coordinator.pid().and_then(usage::peak_resident_mib);
    print(
        args,
        Report {
            mode: args.mode.name(),
            store: args.place.store.kind(),
            unfinished: args.unfinished,
            ready_ms: ms(ready),
            first_resumed_ms: ms(times.first),
            all_resumed_ms: ms(times.all),
            all_ended_ms: ms(all_ended),
            calls,
            new_transactions: new.count(),
            new_per_second: rounded(new.per_second()),
            new_p50_ms: None,
            new_p99_ms: None,
            coordinator_rss_mib: rss.map(rounded),
            errors: new.fault_count() + old.fault_count(),
            faults: faults([("", &new), ("unfinished: ", &old)]),
        },
        new,
    )
}

/// Starts them and kills the coordinator. One call is under way, the others
/// wait for its place: to the coordinator that comes after that is the same.
async fn begin(
    place: &Place,
    slow: &Process,
    room: &(&str, String),
    (count, cores): (usize, &[Handle]),
) -> Result<Hanging, CommandError> {
    let one = ("participants.max_in_flight_per_target", "1".to_owned());
    let coordinator = place.coordinator(&[room.clone(), one]).await?;
    let address = coordinator.address();
    let _registration = Registration::keep(address, HANGING_SERVICE, slow.address()).await?;
    let clients = saga::connect(address, cores).await?;
    let sagas = Hanging::start(clients, unfinished_definition(), count).await?;
    coordinator.kill().await?;
    Ok(sagas)
}

struct Times {
    first: Duration,
    all: Duration,
}

/// Asks the participant until every saga's call was answered.
async fn resumed(counter: &Direct, count: u64, start: Instant) -> Result<Times, CommandError> {
    let mut first = None;
    loop {
        let seen = counter.counts().await?.forward;
        let now = start.elapsed();
        if seen > 0 {
            first = first.or(Some(now));
        }
        if seen >= count {
            let first = first.unwrap_or(now);
            return Ok(Times { first, all: now });
        }
        if now > MAX_TIME {
            let text = format!("only {seen} of {count} sagas were resumed within {MAX_TIME:?}");
            return Err(CommandError::Failed(text));
        }
        tokio::time::sleep(ASK).await;
    }
}

/// Starts new sagas until `resuming` is done.
async fn beside(
    resuming: impl Future<Output = Result<Times, CommandError>>,
    sagas: &Arc<Sagas>,
    concurrency: usize,
) -> Result<(Times, Tally), CommandError> {
    let load = Load {
        concurrency,
        time: ROUND,
        count: i64::MAX,
    };
    let mut resuming = std::pin::pin!(resuming);
    let mut new = Tally::default();
    loop {
        let round = drive(sagas, load);
        let (times, round) = tokio::join!(
            async { tokio::time::timeout(ROUND, &mut resuming).await.ok() },
            round
        );
        new.add(round?);
        if let Some(times) = times {
            return Ok((times?, new));
        }
    }
}

fn ms(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1000.0)
}

fn print(args: &SagaArgs, mut report: Report, new: Tally) -> Result<Exit, CommandError> {
    let Percentiles { p50_ms, p99_ms, .. } = new.latencies.percentiles();
    (report.new_p50_ms, report.new_p99_ms) = (p50_ms, p99_ms);
    print_one(args.output, &report, table)?;
    Ok(exit(report.errors, report.unfinished))
}

fn table(report: &Report) -> String {
    let seconds = |ms: f64| format!("{:.2} s", ms / 1000.0);
    pairs([
        ("unfinished", report.unfinished.to_string()),
        ("ready", seconds(report.ready_ms)),
        ("first resumed", seconds(report.first_resumed_ms)),
        ("all resumed", seconds(report.all_resumed_ms)),
        ("all ended", seconds(report.all_ended_ms)),
        ("calls", report.calls.to_string()),
        (
            "new ones beside",
            format!(
                "{:.0}/s, {} in all, p50 / p99 {:.2} / {:.2} ms",
                report.new_per_second,
                report.new_transactions,
                report.new_p50_ms.unwrap_or_default(),
                report.new_p99_ms.unwrap_or_default(),
            ),
        ),
        (
            "coordinator",
            format!(
                "{:.0} MiB at most",
                report.coordinator_rss_mib.unwrap_or_default()
            ),
        ),
        ("store", report.store.to_owned()),
        ("errors", report.errors.to_string()),
    ]) + &report
        .faults
        .iter()
        .map(|(fault, count)| format!("  {count} x {fault}\n"))
        .collect::<String>()
}
