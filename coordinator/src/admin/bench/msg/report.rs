//! What the bench says: one object, with the fields of `bench saga` where they mean the same.

use serde::Serialize;

use super::MessagesArgs;
use crate::admin::bench::compared::{Compared, Figures, millis, rounded};
use crate::admin::bench::driver::Tally;
use crate::admin::error::CommandError;
use crate::admin::exit::Exit;
use crate::admin::output::{pairs, print_one};

/// Everything that was measured.
#[derive(Default)]
pub(super) struct Measured {
    /// From the publish call to the consumer, message by message, beside what
    /// lapin alone published.
    pub(super) compared: Compared,
    /// What publishers saw, call by call.
    pub(super) accepted: Tally,
    /// How late delayed messages were.
    pub(super) delayed: Tally,
}

impl Measured {
    fn beside(&self) -> [(&'static str, &Tally); 2] {
        [("publish: ", &self.accepted), ("delayed: ", &self.delayed)]
    }

    pub(super) fn error_count(&self) -> u64 {
        let sides = [&self.compared.ours, &self.compared.direct];
        let beside = self.beside().map(|(_, tally)| tally);
        let all = sides.into_iter().chain(beside);
        all.map(Tally::fault_count).sum()
    }
}

/// One run, as `-o json` shows it: messages that reached their consumer, beside
/// messages that lapin alone published. Times are from the publish call to the
/// consumer, the commit included.
#[derive(Debug, Serialize)]
struct Report {
    mode: &'static str,
    store: &'static str,
    broker: &'static str,
    concurrency: usize,
    batch: usize,
    #[serde(flatten)]
    figures: Figures,
    /// Messages that were durable at the coordinator.
    accepted_per_second: f64,
    /// Of a publish call.
    accept_p50_ms: Option<f64>,
    accept_p99_ms: Option<f64>,
    delayed: usize,
    late_p50_ms: Option<f64>,
    late_p99_ms: Option<f64>,
    durability: &'static str,
}

/// Prints it; the exit code says whether everything arrived.
pub(super) fn print(args: &MessagesArgs, measured: &Measured) -> Result<Exit, CommandError> {
    let report = Report::new(args, measured);
    print_one(args.output, &report, Report::table)?;
    Ok(report.figures.exit())
}

impl Report {
    fn new(args: &MessagesArgs, measured: &Measured) -> Self {
        let Measured {
            compared,
            accepted,
            delayed,
        } = measured;
        let accepted_times = accepted.latencies.clone().percentiles();
        let late = delayed.latencies.clone().percentiles();
        Self {
            mode: "msg",
            store: args.place.store.kind(),
            broker: args.broker_kind(),
            concurrency: args.concurrency,
            batch: args.batch,
            figures: compared.figures(measured.beside()),
            accepted_per_second: rounded(accepted.per_second() * args.batch as f64),
            accept_p50_ms: accepted_times.p50_ms,
            accept_p99_ms: accepted_times.p99_ms,
            delayed: delayed.count(),
            late_p50_ms: late.p50_ms,
            late_p99_ms: late.p99_ms,
            durability: args.place.store.durability(),
        }
    }

    fn table(&self) -> String {
        let figures = &self.figures;
        let late = match self.delayed {
            0 => String::new(),
            delayed => {
                let times = millis([self.late_p50_ms, self.late_p99_ms]);
                format!("{times}, {delayed} due in one second")
            }
        };
        let table = pairs([
            ("delivered", format!("{:.0}/s", figures.per_second)),
            ("accepted", format!("{:.0}/s", self.accepted_per_second)),
            ("lapin alone", figures.direct_speed()),
            ("ratio", figures.ratio()),
            (
                "p50 / p99 / p99.9",
                format!("{} from publish call to consumer", figures.times()),
            ),
            (
                "accept p50 / p99",
                millis([self.accept_p50_ms, self.accept_p99_ms]),
            ),
            ("late p50 / p99", late),
            ("coordinator", figures.coordinator("message")),
            ("broker", self.broker.to_owned()),
            ("store", format!("{}: {}", self.store, self.durability)),
            (
                "measured",
                format!(
                    "{} messages in {:.1} s: {} calls at a time, {} messages a call",
                    figures.transactions, figures.seconds, self.concurrency, self.batch
                ),
            ),
            ("errors", figures.errors.to_string()),
        ]);
        table + &figures.fault_lines()
    }
}
