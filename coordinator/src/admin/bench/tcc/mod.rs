//! `amends bench tcc`: TCCs through a coordinator, and beside them the try and the
//! confirm or cancel of each branch made directly, in turn.

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
use super::workload::SERVICE;
use crate::admin::error::{CommandError, note};
use crate::admin::exit::Exit;
use crate::admin::output::Format;
use work::{Mode, Shape, Tccs};

/// Keeps every latency in memory, four bytes each.
const MAX_COUNT: u64 = 50_000_000;

/// Arguments of `amends bench tcc`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    amends bench tcc -o json\n  \
    amends bench tcc --mode cancel --branches 4\n  \
    amends bench tcc --store postgres://amends@localhost/bench\n\n\
    The ratio: TCCs per second, divided by how often per second a client makes the same\n\
    calls of participants without a coordinator. A TCC of two branches takes its caller\n\
    four calls: begin, two tries, confirm.")]
pub(super) struct TccArgs {
    /// Form of the data on standard output
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
    /// What becomes of each TCC
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,
    /// Branches of a TCC
    #[arg(long, default_value_t = 2, value_name = "NUMBER",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=256))]
    branches: usize,
    /// TCCs under way at the same time
    #[arg(long, default_value_t = 64, value_name = "NUMBER",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=16_384))]
    concurrency: usize,
    /// How long TCCs are run; the direct calls take as long again
    #[arg(long, default_value_t = 10, value_name = "SECONDS",
        value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// End after this many TCCs, when the time is not up before
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

impl TccArgs {
    fn shape(&self) -> Shape {
        Shape {
            mode: self.mode,
            branches: self.branches,
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

pub(super) async fn run(args: &TccArgs, cores: &[Handle]) -> Result<Exit, CommandError> {
    let place = Place::make(&args.place)?;
    let connections = place.config.participants.connections_per_target.get() as usize;
    let participant = place.participant(Duration::ZERO).await?;
    let mut coordinator = place.coordinator(&[]).await?;
    let address = coordinator.address().to_owned();
    let _registration = Registration::keep(&address, SERVICE, participant.address()).await?;
    let shape = args.shape();
    let tccs = Arc::new(Tccs::connect(&address, cores, shape).await?);
    let direct = Direct::connect(participant.address(), connections, cores, shape.stages()).await?;
    let direct = Arc::new(direct);
    if !args.warm_up.is_zero() {
        let load = Load {
            time: args.warm_up,
            ..args.load()
        };
        drive(&tccs, load).await?;
        drive(&direct, load).await?;
    }
    let (mut compared, mut calls) = (Compared::default(), 0);
    for number in 1..=args.rounds {
        let before = direct.counts().await?;
        let (ours, cpu) = timed(&coordinator, drive(&tccs, args.load())).await;
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

fn progress(args: &TccArgs, number: u32, compared: &Compared) {
    if !stderr().is_terminal() {
        return;
    }
    note(&format!(
        "round {number} of {}: {:.0}/s TCCs, {:.0}/s directly, {} errors so far",
        args.rounds,
        compared.ours.per_second(),
        compared.direct.per_second(),
        compared.ours.fault_count() + compared.direct.fault_count(),
    ));
}
