//! What the bench says: one object, with the fields of `bench saga` where they mean the same.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::HalfArgs;
use crate::admin::bench::driver::Tally;
use crate::admin::bench::latency::Percentiles;
use crate::admin::bench::report::{exit, faults, rounded};
use crate::admin::error::CommandError;
use crate::admin::exit::Exit;
use crate::admin::output::{pairs, print_one};

/// One round of each side.
pub(super) struct Round {
    pub(super) halves: Tally,
    /// Plain durable publishes.
    pub(super) direct: Tally,
    /// Processor time of the coordinator.
    pub(super) cpu: Option<Duration>,
}

/// Everything that was measured.
#[derive(Default)]
pub(super) struct Measured {
    pub(super) halves: Tally,
    pub(super) direct: Tally,
    pub(super) checks: Tally,
    pub(super) peak_resident_mib: Option<f64>,
    cpu: Option<Duration>,
    rounds: Vec<RoundView>,
}

impl Measured {
    pub(super) fn add(&mut self, round: Round) {
        self.rounds.push(RoundView {
            per_second: rounded(round.halves.per_second()),
            direct_per_second: rounded(round.direct.per_second()),
        });
        self.halves.add(round.halves);
        self.direct.add(round.direct);
        if let Some(cpu) = round.cpu {
            self.cpu = Some(self.cpu.unwrap_or_default() + cpu);
        }
    }

    fn sides(&self) -> [(&'static str, &Tally); 3] {
        [
            ("", &self.halves),
            ("direct: ", &self.direct),
            ("check: ", &self.checks),
        ]
    }

    pub(super) fn error_count(&self) -> u64 {
        let sides = self.sides();
        sides.iter().map(|(_, tally)| tally.fault_count()).sum()
    }
}

/// One run, as `-o json` shows it. Times in milliseconds; `null` is unknown.
#[derive(Debug, Serialize)]
struct Report {
    mode: &'static str,
    store: &'static str,
    concurrency: usize,
    seconds: f64,
    /// Pairs of prepare and commit.
    per_second: f64,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    p999_ms: Option<f64>,
    /// Plain durable publishes.
    direct_per_second: f64,
    ratio: Option<f64>,
    coordinator_cpu_ms_per_tx: Option<f64>,
    coordinator_rss_mib: Option<f64>,
    errors: u64,
    direct_p50_ms: Option<f64>,
    direct_p99_ms: Option<f64>,
    /// Pairs.
    transactions: usize,
    direct_transactions: usize,
    /// Checks that were asked, answered and decided.
    checks: usize,
    checks_per_second: Option<f64>,
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
pub(super) fn print(args: &HalfArgs, measured: Measured) -> Result<Exit, CommandError> {
    let report = Report::new(args, measured);
    print_one(args.output, &report, Report::table)?;
    Ok(exit(report.errors, report.transactions))
}

impl Report {
    fn new(args: &HalfArgs, measured: Measured) -> Self {
        let errors = measured.error_count();
        let faults = faults(measured.sides());
        let Measured {
            halves,
            direct,
            checks,
            peak_resident_mib,
            cpu,
            rounds,
        } = measured;
        let (per_second, direct_per_second) = (halves.per_second(), direct.per_second());
        let transactions = halves.count();
        let cpu = cpu.filter(|_| transactions > 0);
        let cpu = cpu.map(|cpu| cpu.as_secs_f64() * 1000.0 / transactions as f64);
        let ratio = (direct_per_second > 0.0).then(|| per_second / direct_per_second);
        let seconds = halves.elapsed.as_secs_f64();
        let direct_transactions = direct.count();
        let checks_per_second = (checks.count() > 0).then(|| checks.per_second());
        let direct = direct.latencies.percentiles();
        let Percentiles {
            p50_ms,
            p99_ms,
            p999_ms,
        } = halves.latencies.percentiles();
        Self {
            mode: "half",
            store: args.place.store.kind(),
            concurrency: args.concurrency,
            seconds: rounded(seconds),
            per_second: rounded(per_second),
            p50_ms,
            p99_ms,
            p999_ms,
            direct_per_second: rounded(direct_per_second),
            ratio: ratio.map(rounded),
            coordinator_cpu_ms_per_tx: cpu.map(rounded),
            coordinator_rss_mib: peak_resident_mib.map(rounded),
            errors,
            direct_p50_ms: direct.p50_ms,
            direct_p99_ms: direct.p99_ms,
            transactions,
            direct_transactions,
            checks: checks.count(),
            checks_per_second: checks_per_second.map(rounded),
            durability: args.place.store.durability(),
            rounds,
            faults,
        }
    }

    fn table(&self) -> String {
        let ms = |time: Option<f64>| time.map_or_else(|| "?".to_owned(), |ms| format!("{ms:.2}"));
        let of = |number: Option<f64>, unit: &str| {
            number.map_or_else(String::new, |number| format!("{number:.0}{unit}"))
        };
        let mut table = pairs([
            (
                "pairs",
                format!("{:.0}/s prepared and committed", self.per_second),
            ),
            (
                "plain",
                format!("{:.0}/s published", self.direct_per_second),
            ),
            (
                "ratio",
                self.ratio
                    .map_or_else(String::new, |ratio| ratio.to_string()),
            ),
            (
                "p50 / p99 / p99.9",
                format!(
                    "{} / {} / {} ms a pair",
                    ms(self.p50_ms),
                    ms(self.p99_ms),
                    ms(self.p999_ms)
                ),
            ),
            (
                "plain p50 / p99",
                format!("{} / {} ms", ms(self.direct_p50_ms), ms(self.direct_p99_ms)),
            ),
            ("check-backs", of(self.checks_per_second, "/s")),
            ("store", format!("{}: {}", self.store, self.durability)),
            (
                "measured",
                format!(
                    "{} pairs in {:.1} s, {} calls at a time",
                    self.transactions, self.seconds, self.concurrency
                ),
            ),
            ("errors", self.errors.to_string()),
        ]);
        for (fault, count) in &self.faults {
            table.push_str(&format!("  {count} x {fault}\n"));
        }
        table
    }
}
