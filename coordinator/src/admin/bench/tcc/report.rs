//! What the bench says: one object, with the fields of `bench saga`; branches count as steps.

use serde::Serialize;

use super::TccArgs;
use crate::admin::bench::compared::{Compared, Figures};
use crate::admin::error::CommandError;
use crate::admin::exit::Exit;
use crate::admin::output::{pairs, print_one};

/// One run, as `-o json` shows it.
#[derive(Debug, Serialize)]
struct Report {
    mode: &'static str,
    store: &'static str,
    /// Branches.
    steps: usize,
    concurrency: usize,
    #[serde(flatten)]
    figures: Figures,
    /// Calls that the participant received for the TCCs.
    calls: u64,
    /// Calls that they need when none is repeated.
    calls_expected: u64,
    durability: &'static str,
}

/// Prints it; the exit code says whether everything ended as it should.
pub(super) fn print(args: &TccArgs, compared: &Compared, calls: u64) -> Result<Exit, CommandError> {
    let figures = compared.figures([]);
    let report = Report {
        mode: args.mode.name(),
        store: args.place.store.kind(),
        steps: args.branches,
        concurrency: args.concurrency,
        calls,
        calls_expected: (figures.transactions * args.shape().calls()) as u64,
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
            ("TCCs", format!("{:.0}/s", figures.per_second)),
            ("directly", figures.direct_speed()),
            ("ratio", figures.ratio()),
            ("p50 / p99 / p99.9", figures.times()),
            ("directly", figures.direct_times()),
            ("coordinator", figures.coordinator("TCC")),
            ("store", format!("{}: {}", self.store, self.durability)),
            (
                "measured",
                format!(
                    "{} TCCs in {:.1} s: mode {}, {} branches, {} at a time; {} calls ({} needed)",
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
