//! What `amends bench saga` says: one object.

use std::time::Duration;

use serde::Serialize;

use super::compared::{Compared, Figures, cpu_ms, rounded};
use super::driver::Tally;
use super::run::SagaArgs;
use crate::admin::error::CommandError;
use crate::admin::exit::Exit;
use crate::admin::output::{pairs, print_one};
use crate::admin::profile::{Counts, ProfileView};

/// What else was measured in one round.
pub(super) struct Others {
    /// With an empty store.
    pub(super) empty: Tally,
    /// By a server that makes the calls and nothing else.
    pub(super) relay: Tally,
    /// Calls that reached the participant while the sagas ran.
    pub(super) calls: u64,
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
    pub(super) compared: Compared,
    /// The sagas that hung, once they had ended.
    pub(super) hanging: Tally,
    /// Before anything hung.
    pub(super) alone: Tally,
    pub(super) empty: Tally,
    pub(super) relay: Tally,
    pub(super) profile: Option<Counts>,
    pub(super) retention: Option<Retention>,
    calls: u64,
    relay_cpu: Option<Duration>,
}

impl Measured {
    pub(super) fn add_beside(&mut self, round: Others) {
        self.calls += round.calls;
        self.empty.add(round.empty);
        self.relay.add(round.relay);
        if let Some(cpu) = round.relay_cpu {
            self.relay_cpu = Some(self.relay_cpu.unwrap_or_default() + cpu);
        }
    }

    /// Sides that have few fields or none, each with its name before its faults.
    fn beside(&self) -> impl Iterator<Item = (&'static str, &Tally)> {
        let sides = [
            ("hanging: ", &self.hanging),
            ("alone: ", &self.alone),
            ("empty: ", &self.empty),
            ("relay: ", &self.relay),
        ];
        let removing = self.retention.as_ref().map(|it| ("removing: ", &it.beside));
        sides.into_iter().chain(removing)
    }

    pub(super) fn error_count(&self) -> u64 {
        let sides = [&self.compared.ours, &self.compared.direct];
        let all = sides
            .into_iter()
            .chain(self.beside().map(|(_, tally)| tally));
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
    #[serde(flatten)]
    figures: Figures,
    /// Calls that the participant received for them.
    calls: u64,
    /// Calls that they need when none is repeated.
    calls_expected: u64,
    hanging: usize,
    durability: &'static str,
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

/// Prints it; the exit code says whether everything ended as it should.
pub(super) fn print(args: &SagaArgs, measured: &Measured) -> Result<Exit, CommandError> {
    let report = Report::new(args, measured);
    print_one(args.output, &report, Report::table)?;
    Ok(report.figures.exit())
}

impl Report {
    fn new(args: &SagaArgs, measured: &Measured) -> Self {
        let figures = measured.compared.figures(measured.beside());
        Self {
            mode: args.mode.name(),
            store: args.place.store.kind(),
            steps: args.steps,
            concurrency: args.concurrency,
            calls: measured.calls,
            calls_expected: (figures.transactions * args.workload().calls()) as u64,
            hanging: measured.hanging.count(),
            durability: args.place.store.durability(),
            figures,
            beside: Beside::of(args, measured),
            profile: measured.profile.as_ref().map(ProfileView::from),
        }
    }

    fn table(&self) -> String {
        let figures = &self.figures;
        let hanging = match self.hanging {
            0 => String::new(),
            hanging => hanging.to_string(),
        };
        let mut table = pairs([
            ("sagas", format!("{:.0}/s", figures.per_second)),
            ("directly", figures.direct_speed()),
            ("ratio", figures.ratio()),
            ("p50 / p99 / p99.9", figures.times()),
            ("directly", figures.direct_times()),
            ("coordinator", figures.coordinator("saga")),
            ("store", format!("{}: {}", self.store, self.durability)),
            (
                "measured",
                format!(
                    "{} sagas in {:.1} s: mode {}, {} steps, {} at a time; {} calls ({} needed)",
                    figures.transactions,
                    figures.seconds,
                    self.mode,
                    self.steps,
                    self.concurrency,
                    self.calls,
                    self.calls_expected
                ),
            ),
            ("hanging beside", hanging),
            ("alone", self.beside.alone()),
            ("empty store", self.beside.empty()),
            ("removed before", self.beside.retention()),
            ("calls alone", self.beside.relay()),
            ("errors", figures.errors.to_string()),
        ]);
        table.push_str(&figures.fault_lines());
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
        let own = cpu_ms(measured.compared.cpu, measured.compared.ours.count());
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
