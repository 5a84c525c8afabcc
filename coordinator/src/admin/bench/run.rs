//! `amends bench saga`: short rounds of sagas and of the same calls made
//! directly, in turn, so that a noisy machine disturbs both.

use std::io::{IsTerminal as _, stderr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use clap::builder::RangedU64ValueParser;
use tokio::runtime::Handle;

use super::compared::{Round, timed};
use super::direct::Direct;
use super::driver::{Load, Tally, drive};
use super::filled;
use super::participant::duration;
use super::place::PlaceArgs;
use super::process::Process;
use super::report::{self, Measured, Others, Retention};
use super::saga::{self, DefinitionSource, Sagas};
use super::setup::Setup;
use super::workload::{Mode, Workload};
use super::{restart, usage, waiting};
use crate::admin::error::{CommandError, note};
use crate::admin::exit::Exit;
use crate::admin::output::Format;
use crate::admin::profile::Counts as Profile;
use crate::clock::monotonic;

/// Keeps every latency in memory, four bytes each.
const MAX_COUNT: u64 = 50_000_000;
/// Sagas run in rounds of this length while old ones are removed …
const REMOVING_ROUND: Duration = Duration::from_millis(500);
/// … and for this long at most.
const MAX_REMOVING: Duration = Duration::from_secs(120);

/// Arguments of `amends bench saga`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    amends bench saga --concurrency 256 -o json\n  \
    amends bench saga --mode fail --store postgres://amends@localhost/bench\n  \
    amends bench saga --profile --calibrate\n  \
    amends bench saga --mode restart --unfinished 100000\n  \
    amends bench saga --mode waiting --waiting 100000\n  \
    amends bench saga --finished 1000000\n\n\
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
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    /// How a saga's definition reaches the coordinator
    #[arg(long, value_enum, default_value_t)]
    pub(super) definition: DefinitionSource,
    /// How long the participant takes for each call
    #[arg(long, default_value = "0s", value_parser = duration, value_name = "TIME")]
    pub(super) delay: Duration,
    /// Mode hang: sagas that wait for the participant that never answers
    #[arg(long, default_value_t = 1000, value_name = "NUMBER",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    pub(super) hanging: usize,
    /// Mode restart: unfinished sagas at the time of the crash
    #[arg(long, default_value_t = 1000, value_name = "NUMBER",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    pub(super) unfinished: usize,
    /// Mode waiting: sagas that wait for a timer
    #[arg(long, default_value_t = 1000, value_name = "NUMBER",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    pub(super) waiting: usize,
    /// Mode waiting: how long; for less than engine.evict_after they stay in memory
    #[arg(long, default_value = "1h", value_parser = wait_time, value_name = "TIME")]
    pub(super) wait_time: Duration,
    /// Begin with so many finished sagas in the store, and a fifth more to be removed
    #[arg(long, default_value_t = 0, value_name = "NUMBER",
        value_parser = RangedU64ValueParser::<usize>::new().range(0..=10_000_000))]
    pub(super) finished: usize,
    /// Also say where the time of sagas went: participants, commits, queues, the coordinator
    #[arg(long)]
    pub(super) profile: bool,
    /// Also run a bare server that makes the same calls, to know what the coordinator adds to them
    #[arg(long)]
    pub(super) calibrate: bool,
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

pub(super) async fn run(args: &SagaArgs, cores: &[Handle]) -> Result<Exit, CommandError> {
    match args.mode {
        Mode::Restart => restart::run(args, cores).await,
        Mode::Waiting => waiting::run(args, cores).await,
        Mode::Ok | Mode::Fail | Mode::Parallel | Mode::Hang => measure(args, cores).await,
    }
}

async fn measure(args: &SagaArgs, cores: &[Handle]) -> Result<Exit, CommandError> {
    let workload = args.workload();
    let mut setup = Setup::start(args, cores).await?;
    let begun = monotonic();
    let sides = Sides::connect(args, cores, &setup).await?;
    sides.warm_up(args).await?;
    let mut measured = Measured::default();
    if args.mode == Mode::Hang {
        measured.alone = drive(&sides.sagas, args.load()).await?;
        setup.start_hanging(args.hanging, cores).await?;
    }
    if args.finished > 0 {
        measured.retention = Some(retention(args, cores, &sides, &setup, begun).await?);
    }
    let before = profile(args, cores, &setup).await?;
    for number in 1..=args.rounds {
        sides.round(args, &mut setup, &mut measured).await?;
        progress(args, number, &measured);
    }
    let after = profile(args, cores, &setup).await?;
    measured.profile = after.map(|after| after.since(&before.unwrap_or_default()));
    measured.compared.peak_resident_mib =
        setup.coordinator.pid().and_then(usage::peak_resident_mib);
    measured.hanging = setup.finish_hanging(cores, workload).await?;
    setup.check()?;
    // Connections that stay open would hold up a clean stop.
    drop(sides);
    setup.stop(args).await?;
    report::print(args, &measured)
}

/// What was counted so far, if it is wanted.
async fn profile(
    args: &SagaArgs,
    cores: &[Handle],
    setup: &Setup,
) -> Result<Option<Profile>, CommandError> {
    if !args.profile {
        return Ok(None);
    }
    let status = saga::status(setup.coordinator.address(), cores).await?;
    Ok(status.profile.as_ref().map(Profile::from))
}

/// Runs sagas until the coordinator has removed what is old enough, or time is up.
async fn retention(
    args: &SagaArgs,
    cores: &[Handle],
    sides: &Sides,
    setup: &Setup,
    begun: Instant,
) -> Result<Retention, CommandError> {
    let clients = saga::connect(setup.coordinator.address(), cores).await?;
    let load = Load {
        time: REMOVING_ROUND,
        ..args.load()
    };
    let mut beside = Tally::default();
    while filled::is_due_left(&clients).await? && begun.elapsed() < MAX_REMOVING {
        beside.add(drive(&sides.sagas, load).await?);
    }
    let time = begun.elapsed();
    let left = filled::due_left(&clients).await?;
    let due = args.finished / filled::DUE_SHARE;
    Ok(Retention {
        left,
        removed: due.saturating_sub(left),
        time,
        beside,
    })
}

/// What is compared.
struct Sides {
    sagas: Arc<Sagas>,
    direct: Arc<Direct>,
    /// At a coordinator with an empty store.
    empty: Option<Arc<Sagas>>,
    /// At a server that makes the calls and nothing else.
    relay: Option<Arc<Sagas>>,
}

impl Sides {
    async fn connect(
        args: &SagaArgs,
        cores: &[Handle],
        setup: &Setup,
    ) -> Result<Self, CommandError> {
        let workload = args.workload();
        let sagas = async |process: &Process| -> Result<_, CommandError> {
            let sagas = Sagas::prepare(process.address(), cores, workload, args.definition).await?;
            Ok(Arc::new(sagas))
        };
        let (mut empty, mut relay) = (None, None);
        if let Some(process) = &setup.empty {
            empty = Some(sagas(process).await?);
        }
        if let Some(process) = &setup.relay {
            relay = Some(sagas(process).await?);
        }
        let direct = Direct::connect(
            setup.participant.address(),
            setup.connections,
            cores,
            workload.stages(),
        )
        .await?;
        Ok(Self {
            sagas: sagas(&setup.coordinator).await?,
            direct: Arc::new(direct),
            empty,
            relay,
        })
    }

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
        for other in [&self.empty, &self.relay] {
            maybe(other.as_ref(), load).await?;
        }
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
        let (sagas, cpu) = timed(&setup.coordinator, drive(&self.sagas, load)).await;
        let calls = self.direct.counts().await?.since(counts);
        setup.check()?;
        let direct = drive(&self.direct, load).await?;
        let empty = maybe(self.empty.as_ref(), load).await?;
        let relayed = maybe(self.relay.as_ref(), load);
        let (relay, relay_cpu) = match &setup.relay {
            Some(process) => timed(process, relayed).await,
            None => (Ok(Tally::default()), None),
        };
        measured.compared.add(Round {
            ours: sagas?,
            direct,
            cpu,
        });
        measured.add_beside(Others {
            empty,
            relay: relay?,
            calls,
            relay_cpu,
        });
        Ok(())
    }
}

/// A round of a side that is there only when asked for.
async fn maybe(side: Option<&Arc<Sagas>>, load: Load) -> Result<Tally, CommandError> {
    match side {
        Some(side) => drive(side, load).await,
        None => Ok(Tally::default()),
    }
}

fn progress(args: &SagaArgs, number: u32, measured: &Measured) {
    if !stderr().is_terminal() {
        return;
    }
    let per_second = |tally: &Tally| format!("{:.0}/s", tally.per_second());
    note(&format!(
        "round {number} of {}: {} sagas, {} directly, {} errors so far",
        args.rounds,
        per_second(&measured.compared.ours),
        per_second(&measured.compared.direct),
        measured.error_count(),
    ));
}

/// For clap: a time that a participant may ask for.
fn wait_time(text: &str) -> Result<Duration, String> {
    const MOST: Duration = Duration::from_secs(3_600);
    match duration(text)? {
        time if (Duration::from_secs(1)..=MOST).contains(&time) => Ok(time),
        _ => Err("expected 1s to 1h".to_owned()),
    }
}
