//! What the bench says: one object, with the fields of `bench saga`.

use serde::Serialize;

use super::LiveArgs;
use crate::admin::bench::compared::{Compared, Figures};
use crate::admin::error::CommandError;
use crate::admin::exit::Exit;
use crate::admin::output::{pairs, print_one};

/// One run, as `-o json` shows it.
#[derive(Debug, Serialize)]
struct Report {
    mode: &'static str,
    store: &'static str,
    steps: usize,
    concurrency: usize,
    #[serde(flatten)]
    figures: Figures,
    /// Calls that the participant received for the live sagas.
    calls: u64,
    /// Calls that they need when none is repeated.
    calls_expected: u64,
    durability: &'static str,
}

/// Prints it; the exit code says whether everything ended as it should.
pub(super) fn print(
    args: &LiveArgs,
    compared: &Compared,
    calls: u64,
) -> Result<Exit, CommandError> {
    let figures = compared.figures([]);
    let report = Report {
        mode: args.mode.name(),
        store: args.place.store.kind(),
        steps: args.steps,
        concurrency: args.concurrency,
        calls,
        calls_expected: (figures.transactions * args.workload().calls()) as u64,
        durability: args.place.store.durability(),
        figures,
    };
    print_one(args.output, &report, Report::table)?;
    Ok(report.figures.exit())
}

impl Report {
    fn table(&self) -> String {
        let figures = &self.figures;
        let table = pairs([
            ("live sagas", format!("{:.0}/s", figures.per_second)),
            ("directly", figures.direct_speed()),
            ("ratio", figures.ratio()),
            ("p50 / p99 / p99.9", figures.times()),
            ("directly", figures.direct_times()),
            ("coordinator", figures.coordinator("live saga")),
            ("store", format!("{}: {}", self.store, self.durability)),
            (
                "measured",
                format!(
                    "{} live sagas in {:.1} s: mode {}, {} steps, {} at a time; {} calls ({} needed)",
                    figures.transactions,
                    figures.seconds,
                    self.mode,
                    self.steps,
                    self.concurrency,
                    self.calls,
                    self.calls_expected
                ),
            ),
            ("errors", figures.errors.to_string()),
        ]);
        table + &figures.fault_lines()
    }
}
