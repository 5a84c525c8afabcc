//! What the bench says: one object, with the fields of `bench saga` where they mean the same.

use serde::Serialize;

use super::HalfArgs;
use crate::admin::bench::compared::{Compared, Figures, millis, rounded, some};
use crate::admin::bench::driver::Tally;
use crate::admin::error::CommandError;
use crate::admin::exit::Exit;
use crate::admin::output::{pairs, print_one};

/// One run, as `-o json` shows it: pairs of prepare and commit, beside plain
/// durable publishes.
#[derive(Debug, Serialize)]
struct Report {
    mode: &'static str,
    store: &'static str,
    concurrency: usize,
    #[serde(flatten)]
    figures: Figures,
    /// Checks that were asked, answered and decided.
    checks: usize,
    checks_per_second: Option<f64>,
    durability: &'static str,
}

/// Prints it; the exit code says whether everything ended as it should.
pub(super) fn print(
    args: &HalfArgs,
    compared: &Compared,
    checks: &Tally,
) -> Result<Exit, CommandError> {
    let checks_per_second = (checks.count() > 0).then(|| checks.per_second());
    let report = Report {
        mode: "half",
        store: args.place.store.kind(),
        concurrency: args.concurrency,
        figures: compared.figures([("check: ", checks)]),
        checks: checks.count(),
        checks_per_second: checks_per_second.map(rounded),
        durability: args.place.store.durability(),
    };
    print_one(args.output, &report, Report::table)?;
    Ok(report.figures.exit())
}

impl Report {
    fn table(&self) -> String {
        let figures = &self.figures;
        let checks = self.checks_per_second.map(f64::round);
        let table = pairs([
            (
                "pairs",
                format!("{:.0}/s prepared and committed", figures.per_second),
            ),
            ("plain", format!("{} published", figures.direct_speed())),
            ("ratio", figures.ratio()),
            ("p50 / p99 / p99.9", format!("{} a pair", figures.times())),
            (
                "plain p50 / p99",
                millis([figures.direct_p50_ms, figures.direct_p99_ms]),
            ),
            ("coordinator", figures.coordinator("pair")),
            ("check-backs", some(checks, "/s")),
            ("store", format!("{}: {}", self.store, self.durability)),
            (
                "measured",
                format!(
                    "{} pairs in {:.1} s, {} calls at a time",
                    figures.transactions, figures.seconds, self.concurrency
                ),
            ),
            ("errors", figures.errors.to_string()),
        ]);
        table + &figures.fault_lines()
    }
}
