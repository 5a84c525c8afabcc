//! `amends bench grow`: throughput against the number of sagas under way and
//! against their length, and what becomes of callers when there are too many.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use serde::Serialize;
use tokio::runtime::Handle;

use super::compared::{exit, rounded};
use super::direct::Direct;
use super::driver::{Load, Tally, drive};
use super::latency::Percentiles;
use super::participant::duration;
use super::place::{Place, PlaceArgs};
use super::process::Process;
use super::registration::Registration;
use super::saga::{DefinitionSource, Sagas};
use super::svg::{Chart, Series, draw};
use super::workload::{Mode, SERVICE, Workload};
use crate::admin::error::{CommandError, note};
use crate::admin::exit::Exit;
use crate::admin::output::{Format, Listing};

/// Steps of a saga while its concurrency grows, and the other way round.
const STEPS: usize = 4;
const CONCURRENCY: usize = 64;
/// The coordinator's bound while too much comes, and how many times as much comes.
const BOUND: usize = 64;
const OVERLOADS: [usize; 3] = [1, 4, 16];
/// What the coordinator says when there is too much at once.
const REFUSED: &str = "OVERLOADED";

/// Arguments of `amends bench grow`.
#[derive(Debug, Args)]
#[command(after_help = "Example: amends bench grow --svg growth.svg -o jsonl")]
pub(super) struct GrowArgs {
    /// Form of the data on standard output
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
    #[command(flatten)]
    place: PlaceArgs,
    /// How long each point is measured; the direct calls take as long again
    #[arg(long, default_value = "2s", value_parser = duration, value_name = "TIME")]
    time: Duration,
    /// Sagas under way at the same time: 1, 2, 4 and so on up to this
    #[arg(long, default_value_t = 1024, value_name = "NUMBER",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=16_384))]
    max_concurrency: usize,
    /// Steps of a saga: 1, 2, 4 and so on up to this
    #[arg(long, default_value_t = 32, value_name = "NUMBER",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=256))]
    max_steps: usize,
    /// Draw the throughputs into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// One point, as `-o json` shows it.
#[derive(Debug, Clone, Serialize)]
struct Point {
    /// What grows: `concurrency`, `steps`, or `overload` of a bounded coordinator.
    growing: &'static str,
    concurrency: usize,
    steps: usize,
    per_second: f64,
    /// Not measured under overload.
    direct_per_second: Option<f64>,
    ratio: Option<f64>,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    transactions: usize,
    /// Turned away at once, with the advice to come back later.
    refused: u64,
    errors: u64,
}

pub(super) async fn run(args: &GrowArgs, cores: &[Handle]) -> Result<Exit, CommandError> {
    let place = Place::make(&args.place)?;
    let participant = place.participant(Duration::ZERO).await?;
    let mut points = Vec::new();
    {
        let bench = Bench::start((args, cores), &place, &participant, &[]).await?;
        for concurrency in doublings(args.max_concurrency) {
            points.push(bench.point("concurrency", concurrency, STEPS).await?);
        }
        for steps in doublings(args.max_steps) {
            points.push(bench.point("steps", CONCURRENCY, steps).await?);
        }
        // Its store is free again once it has ended.
        bench.coordinator.kill().await?;
    }
    let bound = [("engine.max_live", BOUND.to_string())];
    let bench = Bench::start((args, cores), &place, &participant, &bound).await?;
    for times in OVERLOADS {
        points.push(bench.overload(BOUND * times).await?);
    }
    if let Some(path) = &args.svg {
        std::fs::write(path, draw(&charts(&points))).map_err(|error| {
            CommandError::Failed(format!("cannot write {}: {error}", path.display()))
        })?;
    }
    let errors = points.iter().map(|point| point.errors).sum();
    let done = points.iter().map(|point| point.transactions).sum();
    let mut listing = Listing::new(args.output, &HEADERS, cells);
    listing.push(points)?;
    listing.finish()?;
    Ok(exit(errors, done))
}

/// 1, 2, 4 and so on up to `most`, which is always the last.
fn doublings(most: usize) -> Vec<usize> {
    let powers = std::iter::successors(Some(1_usize), |number| number.checked_mul(2));
    let below = powers.take_while(|number| *number < most);
    below.chain([most]).collect()
}

/// A coordinator and its participant.
struct Bench<'a> {
    args: &'a GrowArgs,
    cores: &'a [Handle],
    _registration: Registration,
    coordinator: Process,
    participant: &'a Process,
    connections: usize,
}

impl<'a> Bench<'a> {
    async fn start(
        (args, cores): (&'a GrowArgs, &'a [Handle]),
        place: &Place,
        participant: &'a Process,
        settings: &[(&str, String)],
    ) -> Result<Self, CommandError> {
        let coordinator = place.coordinator(settings).await?;
        let address = coordinator.address();
        Ok(Self {
            args,
            cores,
            _registration: Registration::keep(address, SERVICE, participant.address()).await?,
            coordinator,
            participant,
            connections: place.config.participants.connections_per_target.get() as usize,
        })
    }

    async fn point(
        &self,
        growing: &'static str,
        concurrency: usize,
        steps: usize,
    ) -> Result<Point, CommandError> {
        let load = self.load(concurrency);
        let (sagas, workload) = self.sagas(steps).await?;
        let participant = self.participant.address();
        let direct = Arc::new(
            Direct::connect(participant, self.connections, self.cores, workload.stages()).await?,
        );
        for side in [warm_up(load)] {
            drive(&sagas, side).await?;
            drive(&direct, side).await?;
        }
        let sagas = drive(&sagas, load).await?;
        let direct = drive(&direct, load).await?;
        note(&format!(
            "{concurrency} at a time, {steps} steps: {:.0}/s, {:.0}/s directly",
            sagas.per_second(),
            direct.per_second()
        ));
        Ok(Point::new(
            growing,
            concurrency,
            steps,
            sagas,
            Some(&direct),
        ))
    }

    async fn overload(&self, concurrency: usize) -> Result<Point, CommandError> {
        let load = self.load(concurrency);
        let (sagas, _) = self.sagas(STEPS).await?;
        drive(&sagas, warm_up(load)).await?;
        let sagas = drive(&sagas, load).await?;
        Ok(Point::new("overload", concurrency, STEPS, sagas, None))
    }

    async fn sagas(&self, steps: usize) -> Result<(Arc<Sagas>, Workload), CommandError> {
        let workload = Workload {
            mode: Mode::Ok,
            steps,
        };
        let how = DefinitionSource::Registered;
        let sagas = Sagas::prepare(self.coordinator.address(), self.cores, workload, how).await?;
        Ok((Arc::new(sagas), workload))
    }

    fn load(&self, concurrency: usize) -> Load {
        Load {
            concurrency,
            time: self.args.time,
            count: i64::MAX,
        }
    }
}

fn warm_up(load: Load) -> Load {
    Load {
        time: load.time / 4,
        ..load
    }
}

impl Point {
    fn new(
        growing: &'static str,
        concurrency: usize,
        steps: usize,
        sagas: Tally,
        direct: Option<&Tally>,
    ) -> Self {
        let (per_second, transactions) = (sagas.per_second(), sagas.count());
        let refused = if direct.is_none() {
            let refusals = sagas
                .faults
                .iter()
                .filter(|(fault, _)| fault.contains(REFUSED));
            refusals.map(|(_, count)| count).sum()
        } else {
            0
        };
        let errors = sagas.fault_count() - refused + direct.map_or(0, Tally::fault_count);
        let direct = direct.map(Tally::per_second).filter(|rate| *rate > 0.0);
        let Percentiles { p50_ms, p99_ms, .. } = sagas.latencies.percentiles();
        Self {
            growing,
            concurrency,
            steps,
            per_second: rounded(per_second),
            direct_per_second: direct.map(rounded),
            ratio: direct.map(|direct| rounded(per_second / direct)),
            p50_ms,
            p99_ms,
            transactions,
            refused,
            errors,
        }
    }
}

const HEADERS: [&str; 10] = [
    "GROWING",
    "AT A TIME",
    "STEPS",
    "SAGAS/S",
    "DIRECTLY/S",
    "RATIO",
    "P50 MS",
    "P99 MS",
    "REFUSED",
    "ERRORS",
];

fn cells(point: &Point) -> Vec<String> {
    let number = |value: Option<f64>, digits: usize| {
        value.map_or_else(String::new, |value| format!("{value:.digits$}"))
    };
    vec![
        point.growing.to_owned(),
        point.concurrency.to_string(),
        point.steps.to_string(),
        number(Some(point.per_second), 0),
        number(point.direct_per_second, 0),
        number(point.ratio, 2),
        number(point.p50_ms, 2),
        number(point.p99_ms, 2),
        point.refused.to_string(),
        point.errors.to_string(),
    ]
}

/// Sagas a second against concurrency, steps a second against steps: what one
/// step costs is the same when that line is flat.
fn charts(points: &[Point]) -> [Chart; 2] {
    let of = |growing| points.iter().filter(move |point| point.growing == growing);
    let line = |name, values: Vec<(f64, f64)>| Series { name, values };
    let at = |x: usize, rate: Option<f64>| (x as f64, rate.unwrap_or_default());
    let by_concurrency = of("concurrency");
    let by_steps = of("steps");
    [
        Chart {
            title: "4-step sagas a second",
            x: "sagas at a time",
            series: vec![
                line(
                    "sagas",
                    by_concurrency
                        .clone()
                        .map(|it| at(it.concurrency, Some(it.per_second)))
                        .collect(),
                ),
                line(
                    "the same calls directly",
                    by_concurrency
                        .map(|it| at(it.concurrency, it.direct_per_second))
                        .collect(),
                ),
            ],
        },
        Chart {
            title: "steps a second, 64 sagas at a time",
            x: "steps of a saga",
            series: vec![
                line(
                    "sagas",
                    by_steps
                        .clone()
                        .map(|it| at(it.steps, Some(it.per_second * it.steps as f64)))
                        .collect(),
                ),
                line(
                    "the same calls directly",
                    by_steps
                        .map(|it| {
                            at(
                                it.steps,
                                it.direct_per_second.map(|rate| rate * it.steps as f64),
                            )
                        })
                        .collect(),
                ),
            ],
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_ends_where_it_was_asked_to() {
        assert_eq!(doublings(1), [1]);
        assert_eq!(doublings(8), [1, 2, 4, 8]);
        assert_eq!(doublings(10), [1, 2, 4, 8, 10]);
    }
}
