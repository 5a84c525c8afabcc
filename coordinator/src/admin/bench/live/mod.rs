//! `amends bench live`: live sagas through a coordinator, and beside them the same
//! calls of participants made directly, in turn. The caller decides each step, so it takes as
//! many calls of the coordinator as there are steps, and two more.

mod report;
mod work;

use std::io::{IsTerminal as _, stderr};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use tokio::runtime::Handle;

use super::compared::{Compared, Round, timed};
use super::direct::Direct;
use super::driver::{Load, drive};
use super::participant::duration;
use super::place::{Place, PlaceArgs};
use super::registration::Registration;
use super::usage;
use super::workload::{SERVICE, Workload};
use crate::admin::error::{CommandError, note};
use crate::admin::exit::Exit;
use crate::admin::output::Format;
use work::{LiveSagas, Mode};

/// Keeps every latency in memory, four bytes each.
const MAX_COUNT: u64 = 50_000_000;

/// Arguments of `amends bench live`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    amends bench live -o json\n  \
    amends bench live --mode fail --steps 8\n  \
    amends bench live --store postgres://amends@localhost/bench\n\n\
    The ratio: live sagas per second, divided by how often per second a client makes the same\n\
    calls of participants without a coordinator. One of four steps takes its caller six calls:\n\
    begin, four steps, complete.")]
pub(super) struct LiveArgs {
    /// Form of the data on standard output
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
    /// What becomes of each live saga
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,
    /// Steps of a live saga
    #[arg(long, default_value_t = 4, value_name = "NUMBER",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=256))]
    steps: usize,
    /// Live sagas under way at the same time
    #[arg(long, default_value_t = 64, value_name = "NUMBER",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=16_384))]
    concurrency: usize,
    /// How long live sagas are run; the direct calls take as long again
    #[arg(long, default_value_t = 10, value_name = "SECONDS",
        value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// End after this many live sagas, when the time is not up before
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
    #[command(flatten)]
    place: PlaceArgs,
}

impl LiveArgs {
    fn workload(&self) -> Workload {
        Workload {
            mode: self.mode.of_saga(),
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

pub(super) async fn run(args: &LiveArgs, cores: &[Handle]) -> Result<Exit, CommandError> {
    let place = Place::make(&args.place)?;
    let connections = place.config.participants.connections_per_target.get() as usize;
    let participant = place.participant(Duration::ZERO).await?;
    let mut coordinator = place.coordinator(&[]).await?;
    let address = coordinator.address().to_owned();
    let _registration = Registration::keep(&address, SERVICE, participant.address()).await?;
    let workload = args.workload();
    let sagas = Arc::new(LiveSagas::connect(&address, cores, workload).await?);
    let direct =
        Direct::connect(participant.address(), connections, cores, workload.stages()).await?;
    let direct = Arc::new(direct);
    if !args.warm_up.is_zero() {
        let load = Load {
            time: args.warm_up,
            ..args.load()
        };
        drive(&sagas, load).await?;
        drive(&direct, load).await?;
    }
    let (mut compared, mut calls) = (Compared::default(), 0);
    for number in 1..=args.rounds {
        let before = direct.counts().await?;
        let (ours, cpu) = timed(&coordinator, drive(&sagas, args.load())).await;
        calls += direct.counts().await?.since(before);
        coordinator.check()?;
        compared.add(Round {
            ours: ours?,
            direct: drive(&direct, args.load()).await?,
            cpu,
        });
        progress(args, number, &compared);
    }
    compared.peak_resident_mib = coordinator.pid().and_then(usage::peak_resident_mib);
    coordinator.check()?;
    report::print(args, &compared, calls)
}

fn progress(args: &LiveArgs, number: u32, compared: &Compared) {
    if !stderr().is_terminal() {
        return;
    }
    note(&format!(
        "round {number} of {}: {:.0}/s live sagas, {:.0}/s directly, {} errors so far",
        args.rounds,
        compared.ours.per_second(),
        compared.direct.per_second(),
        compared.ours.fault_count() + compared.direct.fault_count(),
    ));
}
