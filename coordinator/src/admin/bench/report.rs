//! What a bench says: one object.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::driver::Tally;
use super::latency::Percentiles;
use super::run::SagaArgs;
use crate::admin::error::CommandError;
use crate::admin::exit::Exit;
use crate::admin::output::{pairs, print_one};

/// One round of each side.
pub(super) struct Round {
    pub(super) sagas: Tally,
    pub(super) direct: Tally,
    /// Calls that reached the participant while the sagas ran.
    pub(super) calls: u64,
    /// Processor time of the coordinator while the sagas ran.
    pub(super) cpu: Option<Duration>,
}

/// Everything that was measured.
#[derive(Default)]
pub(super) struct Measured {
    pub(super) sagas: Tally,
    pub(super) direct: Tally,
    /// The sagas that hung, once they had ended.
    pub(super) hanging: Tally,
    pub(super) peak_resident_mib: Option<f64>,
    calls: u64,
    cpu: Option<Duration>,
    rounds: Vec<RoundView>,
}

impl Measured {
    pub(super) fn add(&mut self, round: Round) {
        self.rounds.push(RoundView {
            per_second: rounded(round.sagas.per_second()),
            direct_per_second: rounded(round.direct.per_second()),
        });
        self.sagas.add(round.sagas);
        self.direct.add(round.direct);
        self.calls += round.calls;
        if let Some(cpu) = round.cpu {
            self.cpu = Some(self.cpu.unwrap_or_default() + cpu);
        }
    }

    pub(super) fn error_count(&self) -> u64 {
        [&self.sagas, &self.direct, &self.hanging]
            .into_iter()
            .map(Tally::fault_count)
            .sum()
    }
}

/// One run, as `-o json` shows it. Times in milliseconds; `null` is unknown.
#[derive(Debug, Serialize)]
struct Report {
    mode: &'static str,
    store: &'static str,
    steps: usize,
    concurrency: usize,
    seconds: f64,
    per_second: f64,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    p999_ms: Option<f64>,
    direct_per_second: f64,
    ratio: Option<f64>,
    coordinator_cpu_ms_per_tx: Option<f64>,
    coordinator_rss_mib: Option<f64>,
    errors: u64,
    direct_p50_ms: Option<f64>,
    direct_p99_ms: Option<f64>,
    direct_p999_ms: Option<f64>,
    /// Sagas that ended as they should.
    transactions: usize,
    /// Calls that the participant received for them.
    calls: u64,
    /// Calls that they need when none is repeated.
    calls_expected: u64,
    direct_transactions: usize,
    hanging: usize,
    durability: &'static str,
    rounds: Vec<RoundView>,
    faults: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize)]
struct RoundView {
    per_second: f64,
    direct_per_second: f64,
}

/// Prints it; the exit code says whether everything ended as it should.
pub(super) fn print(args: &SagaArgs, measured: Measured) -> Result<Exit, CommandError> {
    let report = Report::new(args, measured);
    print_one(args.output, &report, Report::table)?;
    Ok(match report {
        Report { errors: 0, .. } => Exit::Done,
        Report {
            transactions: 0, ..
        } => Exit::Failed,
        Report { .. } => Exit::Partly,
    })
}

impl Report {
    fn new(args: &SagaArgs, measured: Measured) -> Self {
        let errors = measured.error_count();
        let Measured {
            sagas,
            direct,
            hanging,
            peak_resident_mib,
            calls,
            cpu,
            rounds,
        } = measured;
        let (per_second, direct_per_second) = (sagas.per_second(), direct.per_second());
        let (transactions, direct_transactions) = (sagas.count(), direct.count());
        let per_tx = |cpu: Duration| cpu.as_secs_f64() * 1000.0 / transactions as f64;
        let seconds = rounded(sagas.elapsed.as_secs_f64());
        let mut faults = BTreeMap::new();
        for (side, tally) in [("", &sagas), ("direct: ", &direct), ("hanging: ", &hanging)] {
            let named = tally.faults.iter();
            faults.extend(named.map(|(fault, count)| (format!("{side}{fault}"), *count)));
        }
        let Percentiles {
            p50_ms,
            p99_ms,
            p999_ms,
        } = sagas.latencies.percentiles();
        let direct = direct.latencies.percentiles();
        Self {
            mode: args.mode.name(),
            store: args.store.kind(),
            steps: args.steps,
            concurrency: args.concurrency,
            seconds,
            per_second: rounded(per_second),
            p50_ms,
            p99_ms,
            p999_ms,
            direct_per_second: rounded(direct_per_second),
            ratio: (direct_per_second > 0.0).then(|| rounded(per_second / direct_per_second)),
            coordinator_cpu_ms_per_tx: cpu
                .filter(|_| transactions > 0)
                .map(|cpu| rounded(per_tx(cpu))),
            coordinator_rss_mib: peak_resident_mib.map(rounded),
            errors,
            direct_p50_ms: direct.p50_ms,
            direct_p99_ms: direct.p99_ms,
            direct_p999_ms: direct.p999_ms,
            transactions,
            calls,
            calls_expected: (transactions * args.workload().calls()) as u64,
            direct_transactions,
            hanging: hanging.count(),
            durability: args.store.durability(),
            rounds,
            faults,
        }
    }

    fn table(&self) -> String {
        let times = |p50, p99, p999| {
            let ms =
                |time: Option<f64>| time.map_or_else(|| "?".to_owned(), |ms| format!("{ms:.2}"));
            format!("{} / {} / {} ms", ms(p50), ms(p99), ms(p999))
        };
        let maybe = |value: Option<f64>, unit: &str| {
            value.map_or_else(String::new, |value| format!("{value}{unit}"))
        };
        let some = |count: u64| {
            if count == 0 {
                String::new()
            } else {
                count.to_string()
            }
        };
        let mut table = pairs([
            ("sagas", format!("{:.0}/s", self.per_second)),
            ("directly", format!("{:.0}/s", self.direct_per_second)),
            ("ratio", maybe(self.ratio, "")),
            (
                "p50 / p99 / p99.9",
                times(self.p50_ms, self.p99_ms, self.p999_ms),
            ),
            (
                "directly",
                times(self.direct_p50_ms, self.direct_p99_ms, self.direct_p999_ms),
            ),
            (
                "coordinator",
                [
                    maybe(
                        self.coordinator_cpu_ms_per_tx,
                        " ms processor time a saga, ",
                    ),
                    maybe(self.coordinator_rss_mib, " MiB at most"),
                ]
                .concat(),
            ),
            ("store", format!("{}: {}", self.store, self.durability)),
            (
                "measured",
                format!(
                    "{} sagas in {:.1} s: mode {}, {} steps, {} at a time; {} calls ({} needed)",
                    self.transactions,
                    self.seconds,
                    self.mode,
                    self.steps,
                    self.concurrency,
                    self.calls,
                    self.calls_expected
                ),
            ),
            ("hanging beside", some(self.hanging as u64)),
            ("errors", self.errors.to_string()),
        ]);
        for (fault, count) in &self.faults {
            table.push_str(&format!("  {count} x {fault}\n"));
        }
        table
    }
}

/// Four digits after the point are more than any measurement is worth.
fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}
