//! What the bench says: one object, with the fields of `bench saga` where they mean the same.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::MessagesArgs;
use crate::admin::bench::driver::Tally;
use crate::admin::bench::latency::Percentiles;
use crate::admin::bench::report::{exit, faults, rounded};
use crate::admin::error::CommandError;
use crate::admin::exit::Exit;
use crate::admin::output::{pairs, print_one};

/// One round of each side.
pub(super) struct Round {
    /// What publishers saw, call by call.
    pub(super) accepted: Tally,
    /// From the publish call to the consumer, message by message.
    pub(super) delivered: Tally,
    /// What lapin alone published.
    pub(super) direct: Tally,
    /// Processor time of the coordinator.
    pub(super) cpu: Option<Duration>,
}

/// Everything that was measured.
#[derive(Default)]
pub(super) struct Measured {
    pub(super) accepted: Tally,
    pub(super) delivered: Tally,
    pub(super) direct: Tally,
    /// How late delayed messages were.
    pub(super) delayed: Tally,
    pub(super) peak_resident_mib: Option<f64>,
    cpu: Option<Duration>,
    rounds: Vec<RoundView>,
}

impl Measured {
    pub(super) fn add(&mut self, round: Round) {
        self.rounds.push(RoundView {
            per_second: rounded(round.delivered.per_second()),
            direct_per_second: rounded(round.direct.per_second()),
        });
        self.accepted.add(round.accepted);
        self.delivered.add(round.delivered);
        self.direct.add(round.direct);
        if let Some(cpu) = round.cpu {
            self.cpu = Some(self.cpu.unwrap_or_default() + cpu);
        }
    }

    fn sides(&self) -> [(&'static str, &Tally); 4] {
        [
            ("publish: ", &self.accepted),
            ("", &self.delivered),
            ("direct: ", &self.direct),
            ("delayed: ", &self.delayed),
        ]
    }

    pub(super) fn error_count(&self) -> u64 {
        self.sides()
            .iter()
            .map(|(_, tally)| tally.fault_count())
            .sum()
    }
}

/// One run, as `-o json` shows it. Times in milliseconds; `null` is unknown.
#[derive(Debug, Serialize)]
struct Report {
    mode: &'static str,
    store: &'static str,
    broker: &'static str,
    concurrency: usize,
    batch: usize,
    seconds: f64,
    /// Messages that reached their consumer.
    per_second: f64,
    /// Messages that were durable at the coordinator.
    accepted_per_second: f64,
    /// From the publish call to the consumer, the commit included.
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    p999_ms: Option<f64>,
    /// Of a publish call.
    accept_p50_ms: Option<f64>,
    accept_p99_ms: Option<f64>,
    /// Messages that lapin alone published.
    direct_per_second: Option<f64>,
    ratio: Option<f64>,
    coordinator_cpu_ms_per_tx: Option<f64>,
    coordinator_rss_mib: Option<f64>,
    errors: u64,
    direct_p50_ms: Option<f64>,
    direct_p99_ms: Option<f64>,
    /// Messages that reached their consumer.
    transactions: usize,
    direct_transactions: usize,
    delayed: usize,
    late_p50_ms: Option<f64>,
    late_p99_ms: Option<f64>,
    durability: &'static str,
    rounds: Vec<RoundView>,
    faults: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize)]
struct RoundView {
    per_second: f64,
    direct_per_second: f64,
}

/// Prints it; the exit code says whether everything arrived.
pub(super) fn print(args: &MessagesArgs, measured: Measured) -> Result<Exit, CommandError> {
    let report = Report::new(args, measured);
    print_one(args.output, &report, Report::table)?;
    Ok(exit(report.errors, report.transactions))
}

impl Report {
    fn new(args: &MessagesArgs, measured: Measured) -> Self {
        let errors = measured.error_count();
        let faults = faults(measured.sides());
        let Measured {
            accepted,
            delivered,
            direct,
            delayed,
            peak_resident_mib,
            cpu,
            rounds,
        } = measured;
        let per_second = delivered.per_second();
        let direct_per_second = Some(direct.per_second()).filter(|speed| *speed > 0.0);
        let transactions = delivered.count();
        let cpu = cpu.filter(|_| transactions > 0);
        let cpu = cpu.map(|cpu| cpu.as_secs_f64() * 1000.0 / transactions as f64);
        let (direct_transactions, delayed_count) = (direct.count(), delayed.count());
        let seconds = delivered.elapsed.as_secs_f64();
        let accepted_per_second = accepted.per_second() * args.batch as f64;
        let accepted = accepted.latencies.percentiles();
        let direct = direct.latencies.percentiles();
        let late = delayed.latencies.percentiles();
        let Percentiles {
            p50_ms,
            p99_ms,
            p999_ms,
        } = delivered.latencies.percentiles();
        Self {
            mode: "msg",
            store: args.place.store.kind(),
            broker: args.broker_kind(),
            concurrency: args.concurrency,
            batch: args.batch,
            seconds: rounded(seconds),
            per_second: rounded(per_second),
            accepted_per_second: rounded(accepted_per_second),
            p50_ms,
            p99_ms,
            p999_ms,
            accept_p50_ms: accepted.p50_ms,
            accept_p99_ms: accepted.p99_ms,
            direct_per_second: direct_per_second.map(rounded),
            ratio: direct_per_second.map(|direct| rounded(per_second / direct)),
            coordinator_cpu_ms_per_tx: cpu.map(rounded),
            coordinator_rss_mib: peak_resident_mib.map(rounded),
            errors,
            direct_p50_ms: direct.p50_ms,
            direct_p99_ms: direct.p99_ms,
            transactions,
            direct_transactions,
            delayed: delayed_count,
            late_p50_ms: late.p50_ms,
            late_p99_ms: late.p99_ms,
            durability: args.place.store.durability(),
            rounds,
            faults,
        }
    }

    fn table(&self) -> String {
        let ms = |time: Option<f64>| time.map_or_else(|| "?".to_owned(), |ms| format!("{ms:.2}"));
        let direct = self.direct_per_second;
        let late = format!(
            "{} / {} ms, {} due in one second",
            ms(self.late_p50_ms),
            ms(self.late_p99_ms),
            self.delayed
        );
        let mut table = pairs([
            ("delivered", format!("{:.0}/s", self.per_second)),
            ("accepted", format!("{:.0}/s", self.accepted_per_second)),
            (
                "lapin alone",
                direct.map_or_else(String::new, |direct| format!("{direct:.0}/s")),
            ),
            (
                "ratio",
                self.ratio
                    .map_or_else(String::new, |ratio| ratio.to_string()),
            ),
            (
                "p50 / p99 / p99.9",
                format!(
                    "{} / {} / {} ms from publish call to consumer",
                    ms(self.p50_ms),
                    ms(self.p99_ms),
                    ms(self.p999_ms)
                ),
            ),
            (
                "accept p50 / p99",
                format!("{} / {} ms", ms(self.accept_p50_ms), ms(self.accept_p99_ms)),
            ),
            (
                "late p50 / p99",
                if self.delayed > 0 {
                    late
                } else {
                    String::new()
                },
            ),
            ("broker", self.broker.to_owned()),
            ("store", format!("{}: {}", self.store, self.durability)),
            (
                "measured",
                format!(
                    "{} messages in {:.1} s: {} calls at a time, {} messages a call",
                    self.transactions, self.seconds, self.concurrency, self.batch
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
