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
use crate::admin::profile::{Counts, ProfileView};

/// One round of each side.
pub(super) struct Round {
    pub(super) sagas: Tally,
    pub(super) direct: Tally,
    /// With an empty store.
    pub(super) empty: Tally,
    /// By a server that makes the calls and nothing else.
    pub(super) relay: Tally,
    /// Calls that reached the participant while the sagas ran.
    pub(super) calls: u64,
    /// Processor time of the coordinator while the sagas ran.
    pub(super) cpu: Option<Duration>,
    /// Processor time of the relay while it ran.
    pub(super) relay_cpu: Option<Duration>,
}

/// How removing old sagas went.
pub(super) struct Retention {
    pub(super) removed: usize,
    pub(super) left: usize,
    /// Since the coordinator was there.
    pub(super) time: Duration,
    /// The sagas that ran beside it.
    pub(super) beside: Tally,
}

/// Everything that was measured.
#[derive(Default)]
pub(super) struct Measured {
    pub(super) sagas: Tally,
    pub(super) direct: Tally,
    /// The sagas that hung, once they had ended.
    pub(super) hanging: Tally,
    /// Before anything hung.
    pub(super) alone: Tally,
    pub(super) empty: Tally,
    pub(super) relay: Tally,
    pub(super) profile: Option<Counts>,
    pub(super) retention: Option<Retention>,
    pub(super) peak_resident_mib: Option<f64>,
    calls: u64,
    cpu: Option<Duration>,
    relay_cpu: Option<Duration>,
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
        self.empty.add(round.empty);
        self.relay.add(round.relay);
        for (sum, cpu) in [
            (&mut self.cpu, round.cpu),
            (&mut self.relay_cpu, round.relay_cpu),
        ] {
            if let Some(cpu) = cpu {
                *sum = Some(sum.unwrap_or_default() + cpu);
            }
        }
    }

    pub(super) fn error_count(&self) -> u64 {
        let others = [&self.hanging, &self.alone, &self.empty, &self.relay];
        let all = [&self.sagas, &self.direct].into_iter().chain(others);
        let all = all.chain(self.retention.as_ref().map(|it| &it.beside));
        all.map(Tally::fault_count).sum()
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
    #[serde(flatten)]
    beside: Beside,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<ProfileView>,
}

/// What is measured only when it was asked for.
#[derive(Debug, Default, Serialize)]
struct Beside {
    /// Mode hang: before anything hung.
    #[serde(skip_serializing_if = "Option::is_none")]
    alone_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alone_p99_ms: Option<f64>,
    /// Finished sagas in the store at the beginning, those to be removed not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    finished: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    empty_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed_per_second: Option<f64>,
    /// Sagas beside that; what is measured otherwise comes after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    removing_per_second: Option<f64>,
    /// Old enough to be removed, and still there then.
    #[serde(skip_serializing_if = "Option::is_none")]
    due_left: Option<usize>,
    /// By a server that makes the same calls and nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    relay_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rpc_cpu_ms_per_tx: Option<f64>,
    /// Processor time of the coordinator beyond that, in microseconds a saga.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_beyond_rpc_us: Option<f64>,
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
    Ok(exit(report.errors, report.transactions))
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

fn cpu_ms(cpu: Option<Duration>, count: usize) -> Option<f64> {
    cpu.filter(|_| count > 0)
        .map(|cpu| rounded(cpu.as_secs_f64() * 1000.0 / count as f64))
}

impl Report {
    fn new(args: &SagaArgs, measured: Measured) -> Self {
        let errors = measured.error_count();
        let beside = Beside::of(args, &measured);
        let profile = measured.profile.as_ref().map(ProfileView::from);
        let faults = faults([
            ("", &measured.sagas),
            ("direct: ", &measured.direct),
            ("hanging: ", &measured.hanging),
            ("alone: ", &measured.alone),
            ("empty: ", &measured.empty),
            ("relay: ", &measured.relay),
        ]);
        let Measured {
            sagas,
            direct,
            hanging,
            peak_resident_mib,
            calls,
            cpu,
            rounds,
            ..
        } = measured;
        let (per_second, direct_per_second) = (sagas.per_second(), direct.per_second());
        let (transactions, direct_transactions) = (sagas.count(), direct.count());
        let seconds = rounded(sagas.elapsed.as_secs_f64());
        let Percentiles {
            p50_ms,
            p99_ms,
            p999_ms,
        } = sagas.latencies.percentiles();
        let direct = direct.latencies.percentiles();
        Self {
            mode: args.mode.name(),
            store: args.place.store.kind(),
            steps: args.steps,
            concurrency: args.concurrency,
            seconds,
            per_second: rounded(per_second),
            p50_ms,
            p99_ms,
            p999_ms,
            direct_per_second: rounded(direct_per_second),
            ratio: (direct_per_second > 0.0).then(|| rounded(per_second / direct_per_second)),
            coordinator_cpu_ms_per_tx: cpu_ms(cpu, transactions),
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
            durability: args.place.store.durability(),
            rounds,
            faults,
            beside,
            profile,
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
            ("alone", self.beside.alone()),
            ("empty store", self.beside.empty()),
            ("removed before", self.beside.retention()),
            ("calls alone", self.beside.relay()),
            ("errors", self.errors.to_string()),
        ]);
        for (fault, count) in &self.faults {
            table.push_str(&format!("  {count} x {fault}\n"));
        }
        if let Some(profile) = &self.profile {
            table.push_str(&format!("\n{}", profile.text()));
        }
        table
    }
}

impl Beside {
    fn of(args: &SagaArgs, measured: &Measured) -> Self {
        let rate = |tally: &Tally| (tally.count() > 0).then(|| rounded(tally.per_second()));
        let rpc = cpu_ms(measured.relay_cpu, measured.relay.count());
        let own = cpu_ms(measured.cpu, measured.sagas.count());
        let retention = measured.retention.as_ref();
        let p99 = |tally: &Tally| tally.latencies.clone().percentiles().p99_ms;
        Self {
            alone_per_second: rate(&measured.alone),
            alone_p99_ms: p99(&measured.alone),
            finished: (args.finished > 0).then_some(args.finished),
            empty_per_second: rate(&measured.empty),
            removed: retention.map(|it| it.removed),
            removed_per_second: retention
                .map(|it| rounded(it.removed as f64 / it.time.as_secs_f64())),
            removing_per_second: retention.and_then(|it| rate(&it.beside)),
            due_left: retention.map(|it| it.left),
            relay_per_second: rate(&measured.relay),
            rpc_cpu_ms_per_tx: rpc,
            cpu_beyond_rpc_us: own.zip(rpc).map(|(own, rpc)| rounded((own - rpc) * 1000.0)),
        }
    }

    fn alone(&self) -> String {
        let both = self.alone_per_second.zip(self.alone_p99_ms);
        both.map_or_else(String::new, |(rate, p99)| {
            format!("{rate:.0}/s, p99 {p99:.2} ms")
        })
    }

    fn empty(&self) -> String {
        let rate = self.empty_per_second;
        rate.map_or_else(String::new, |rate| format!("{rate:.0}/s"))
    }

    fn retention(&self) -> String {
        let both = self.removed_per_second.zip(self.due_left);
        both.map_or_else(String::new, |(rate, left)| {
            let beside = self.removing_per_second.unwrap_or_default();
            format!("{rate:.0} a second beside {beside:.0} new ones, {left} still to be removed")
        })
    }

    fn relay(&self) -> String {
        let both = self.rpc_cpu_ms_per_tx.zip(self.cpu_beyond_rpc_us);
        both.map_or_else(String::new, |(rpc, beyond)| {
            let rate = self.relay_per_second.unwrap_or_default();
            format!(
                "{rate:.0}/s, {rpc} ms processor time; the coordinator takes {beyond:.0} us more"
            )
        })
    }
}

/// Four digits after the point are more than any measurement is worth.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}
