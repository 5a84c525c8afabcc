//! What two sides did in turn, and the figures that every bench says of that:
//! the same fields, with the same meaning.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::driver::Tally;
use super::latency::Percentiles;
use super::process::Process;
use super::usage;
use crate::admin::exit::Exit;

/// One round of each side.
pub(super) struct Round {
    /// Through the coordinator.
    pub(super) ours: Tally,
    /// What it is compared with.
    pub(super) direct: Tally,
    /// Processor time of the coordinator while its side ran.
    pub(super) cpu: Option<Duration>,
}

/// All rounds.
#[derive(Default)]
pub(super) struct Compared {
    pub(super) ours: Tally,
    pub(super) direct: Tally,
    pub(super) peak_resident_mib: Option<f64>,
    pub(super) cpu: Option<Duration>,
    rounds: Vec<RoundView>,
}

impl Compared {
    pub(super) fn add(&mut self, round: Round) {
        self.rounds.push(RoundView {
            per_second: rounded(round.ours.per_second()),
            direct_per_second: rounded(round.direct.per_second()),
        });
        self.ours.add(round.ours);
        self.direct.add(round.direct);
        if let Some(cpu) = round.cpu {
            self.cpu = Some(self.cpu.unwrap_or_default() + cpu);
        }
    }

    /// `beside` are sides that have no fields of their own here, each with the
    /// name that stands before its faults.
    pub(super) fn figures<'a>(
        &'a self,
        beside: impl IntoIterator<Item = (&'static str, &'a Tally)>,
    ) -> Figures {
        let sides = [("", &self.ours), ("direct: ", &self.direct)];
        let sides: Vec<_> = sides.into_iter().chain(beside).collect();
        let errors = sides.iter().map(|(_, tally)| tally.fault_count()).sum();
        let per_second = self.ours.per_second();
        let direct_per_second = Some(self.direct.per_second()).filter(|speed| *speed > 0.0);
        let transactions = self.ours.count();
        let Percentiles {
            p50_ms,
            p99_ms,
            p999_ms,
        } = self.ours.latencies.clone().percentiles();
        let direct = self.direct.latencies.clone().percentiles();
        Figures {
            seconds: rounded(self.ours.elapsed.as_secs_f64()),
            per_second: rounded(per_second),
            p50_ms,
            p99_ms,
            p999_ms,
            direct_per_second: direct_per_second.map(rounded),
            ratio: direct_per_second.map(|direct| rounded(per_second / direct)),
            coordinator_cpu_ms_per_tx: cpu_ms(self.cpu, transactions),
            coordinator_rss_mib: self.peak_resident_mib.map(rounded),
            errors,
            direct_p50_ms: direct.p50_ms,
            direct_p99_ms: direct.p99_ms,
            direct_p999_ms: direct.p999_ms,
            transactions,
            direct_transactions: self.direct.count(),
            rounds: self.rounds.clone(),
            faults: faults(sides),
        }
    }
}

/// The fields of every bench. Times in milliseconds; `null` is unknown.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    pub(super) seconds: f64,
    pub(super) per_second: f64,
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    pub(super) p999_ms: Option<f64>,
    pub(super) direct_per_second: Option<f64>,
    pub(super) ratio: Option<f64>,
    pub(super) coordinator_cpu_ms_per_tx: Option<f64>,
    pub(super) coordinator_rss_mib: Option<f64>,
    pub(super) errors: u64,
    pub(super) direct_p50_ms: Option<f64>,
    pub(super) direct_p99_ms: Option<f64>,
    pub(super) direct_p999_ms: Option<f64>,
    /// Those that ended as they should.
    pub(super) transactions: usize,
    pub(super) direct_transactions: usize,
    pub(super) rounds: Vec<RoundView>,
    pub(super) faults: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct RoundView {
    per_second: f64,
    direct_per_second: f64,
}

impl Figures {
    /// How the bench went.
    pub(super) fn exit(&self) -> Exit {
        exit(self.errors, self.transactions)
    }

    /// `1.00 / 2.00 / 3.00 ms`.
    pub(super) fn times(&self) -> String {
        millis([self.p50_ms, self.p99_ms, self.p999_ms])
    }

    /// The same of the other side.
    pub(super) fn direct_times(&self) -> String {
        millis([self.direct_p50_ms, self.direct_p99_ms, self.direct_p999_ms])
    }

    /// The other side's speed.
    pub(super) fn direct_speed(&self) -> String {
        let speed = self.direct_per_second;
        speed.map_or_else(String::new, |speed| format!("{speed:.0}/s"))
    }

    /// How both sides compare.
    pub(super) fn ratio(&self) -> String {
        some(self.ratio, "")
    }

    /// What it cost the coordinator.
    pub(super) fn coordinator(&self, what: &str) -> String {
        let cpu = some(
            self.coordinator_cpu_ms_per_tx,
            &format!(" ms processor time a {what}, "),
        );
        cpu + &some(self.coordinator_rss_mib, " MiB at most")
    }

    /// One line for each kind of fault.
    pub(super) fn fault_lines(&self) -> String {
        let faults = self.faults.iter();
        faults
            .map(|(fault, count)| format!("  {count} x {fault}\n"))
            .collect()
    }
}

/// Times that belong together; `?` is unknown.
pub(super) fn millis(times: impl IntoIterator<Item = Option<f64>>) -> String {
    let ms = |time: Option<f64>| time.map_or_else(|| "?".to_owned(), |ms| format!("{ms:.2}"));
    let times: Vec<String> = times.into_iter().map(ms).collect();
    format!("{} ms", times.join(" / "))
}

/// A figure with its unit, or nothing.
pub(super) fn some(value: Option<f64>, unit: &str) -> String {
    value.map_or_else(String::new, |value| format!("{value}{unit}"))
}

/// What a process used of the processors meanwhile.
pub(super) async fn timed<T>(
    process: &Process,
    work: impl Future<Output = T>,
) -> (T, Option<Duration>) {
    let used = || process.pid().and_then(usage::cpu_time);
    let before = used();
    let done = work.await;
    let cpu = used().zip(before);
    (
        done,
        cpu.map(|(after, before)| after.saturating_sub(before)),
    )
}

pub(super) fn cpu_ms(cpu: Option<Duration>, count: usize) -> Option<f64> {
    cpu.filter(|_| count > 0)
        .map(|cpu| rounded(cpu.as_secs_f64() * 1000.0 / count as f64))
}

/// Four digits after the point are more than any measurement is worth.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

/// How a bench went: with so many errors beside what ended well.
pub(super) fn exit(errors: u64, done: usize) -> Exit {
    match (errors, done) {
        (0, _) => Exit::Done,
        (_, 0) => Exit::Failed,
        _ => Exit::Partly,
    }
}

/// Faults of several sides, each with the name of its side before it.
pub(super) fn faults<'a>(
    sides: impl IntoIterator<Item = (&'a str, &'a Tally)>,
) -> BTreeMap<String, u64> {
    let mut faults = BTreeMap::new();
    for (side, tally) in sides {
        let named = tally.faults.iter();
        faults.extend(named.map(|(fault, count)| (format!("{side}{fault}"), *count)));
    }
    faults
}
