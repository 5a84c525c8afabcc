//! `amends bench saga`: short rounds of sagas and of the same calls made
//! directly, in turn, so that a noisy machine disturbs both.

use std::io::{IsTerminal as _, stderr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;

use super::direct::Direct;
use super::driver::{Load, Tally, drive};
use super::participant::{Counts, duration};
use super::report::{self, Measured, Round};
use super::saga::{DefinitionSource, Sagas};
use super::setup::Setup;
use super::store::StoreChoice;
use super::usage;
use super::workload::{Mode, Workload};
use crate::admin::config::key_value;
use crate::admin::error::{CommandError, note};
use crate::admin::exit::Exit;
use crate::admin::output::Format;

/// Keeps every latency in memory, four bytes each.
const MAX_COUNT: u64 = 50_000_000;

/// Arguments of `amends bench saga`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    amends bench saga --concurrency 256 -o json\n  \
    amends bench saga --mode fail --store postgres://amends@localhost/bench\n\n\
    The ratio is what counts on a noisy machine: sagas per second, divided by\n\
    how often per second a client makes the same calls without a coordinator.\n\
    Ends with exit code 3 when anything ended otherwise than it should have.")]
pub(super) struct SagaArgs {
    /// Form of the data on standard output
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(super) output: Format,
    /// What becomes of each saga
    #[arg(long, value_enum, default_value_t)]
    pub(super) mode: Mode,
    /// Steps of a saga
    #[arg(long, default_value_t = 4, value_name = "NUMBER",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=256))]
    pub(super) steps: usize,
    /// Sagas under way at the same time
    #[arg(long, default_value_t = 64, value_name = "NUMBER",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=16_384))]
    pub(super) concurrency: usize,
    /// How long sagas are run; the direct calls take as long again
    #[arg(long, default_value_t = 10, value_name = "SECONDS",
        value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(super) seconds: u32,
    /// End after this many sagas, when the time is not up before
    #[arg(long, default_value_t = MAX_COUNT, value_name = "NUMBER",
        value_parser = clap::value_parser!(u64).range(1..=MAX_COUNT))]
    count: u64,
    /// Rounds into which the time is divided
    #[arg(long, default_value_t = 5, value_name = "NUMBER",
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// How long each side runs before anything is measured
    #[arg(long, default_value = "1s", value_parser = duration, value_name = "TIME")]
    warm_up: Duration,
    /// sqlite (a temporary file), memory, sqlite:FILE, or postgres://... (an empty database)
    #[arg(long, default_value = "sqlite", value_name = "STORE")]
    pub(super) store: StoreChoice,
    /// Where the temporary store is made; a memory disk would make syncing free
    #[arg(long, value_name = "DIRECTORY")]
    pub(super) directory: Option<PathBuf>,
    /// How a saga's definition reaches the coordinator
    #[arg(long, value_enum, default_value_t)]
    pub(super) definition: DefinitionSource,
    /// Set a key of the coordinator's configuration
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(super) coordinator_set: Vec<(String, String)>,
    /// How long the participant takes for each call
    #[arg(long, default_value = "0s", value_parser = duration, value_name = "TIME")]
    pub(super) delay: Duration,
    /// Mode hang: sagas that wait for the participant that never answers
    #[arg(long, default_value_t = 1000, value_name = "NUMBER",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    pub(super) hanging: usize,
    /// Stop the coordinator cleanly and keep the temporary store
    #[arg(long)]
    pub(super) keep: bool,
}

impl SagaArgs {
    pub(super) fn workload(&self) -> Workload {
        Workload {
            mode: self.mode,
            steps: self.steps,
        }
    }

    fn load(&self) -> Load {
        let count = self.count.div_ceil(u64::from(self.rounds));
        Load {
            concurrency: self.concurrency,
            time: Duration::from_secs(self.seconds.into()) / self.rounds,
            count: i64::try_from(count).unwrap_or(i64::MAX),
        }
    }
}

pub(super) async fn run(args: &SagaArgs) -> Result<Exit, CommandError> {
    let workload = args.workload();
    let mut setup = Setup::start(args).await?;
    let sides = Sides {
        sagas: Arc::new(
            Sagas::prepare(setup.coordinator.address(), workload, args.definition).await?,
        ),
        direct: Arc::new(
            Direct::connect(setup.participant.address(), setup.connections, workload).await?,
        ),
    };
    sides.warm_up(args).await?;
    let mut measured = Measured::default();
    for number in 1..=args.rounds {
        sides.round(args, &mut setup, &mut measured).await?;
        progress(args, number, &measured);
    }
    measured.peak_resident_mib = setup.coordinator.pid().and_then(usage::peak_resident_mib);
    measured.hanging = setup.finish_hanging(workload).await?;
    setup.check()?;
    // Connections that stay open would hold up a clean stop.
    drop(sides);
    setup.stop(args).await?;
    report::print(args, measured)
}

/// What is compared.
struct Sides {
    sagas: Arc<Sagas>,
    direct: Arc<Direct>,
}

impl Sides {
    async fn warm_up(&self, args: &SagaArgs) -> Result<(), CommandError> {
        if args.warm_up.is_zero() {
            return Ok(());
        }
        let load = Load {
            time: args.warm_up,
            ..args.load()
        };
        drive(&self.sagas, load).await?;
        drive(&self.direct, load).await?;
        Ok(())
    }

    async fn round(
        &self,
        args: &SagaArgs,
        setup: &mut Setup,
        measured: &mut Measured,
    ) -> Result<(), CommandError> {
        let load = args.load();
        let counts = self.direct.counts().await?;
        let used = cpu_time(setup);
        let sagas = drive(&self.sagas, load).await?;
        let used = cpu_time(setup)
            .zip(used)
            .map(|(after, before)| after.saturating_sub(before));
        let calls = since(self.direct.counts().await?, counts);
        setup.check()?;
        let direct = drive(&self.direct, load).await?;
        measured.add(Round {
            sagas,
            direct,
            calls,
            cpu: used,
        });
        Ok(())
    }
}

fn cpu_time(setup: &Setup) -> Option<Duration> {
    setup.coordinator.pid().and_then(usage::cpu_time)
}

/// Steps and undos that the participant counted meanwhile.
fn since(after: Counts, before: Counts) -> u64 {
    after.forward + after.undo - before.forward - before.undo
}

fn progress(args: &SagaArgs, number: u32, measured: &Measured) {
    if !stderr().is_terminal() {
        return;
    }
    let per_second = |tally: &Tally| format!("{:.0}/s", tally.per_second());
    note(&format!(
        "round {number} of {}: {} sagas, {} directly, {} errors so far",
        args.rounds,
        per_second(&measured.sagas),
        per_second(&measured.direct),
        measured.error_count(),
    ));
}
