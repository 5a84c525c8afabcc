//! `amends bench half`: half messages prepared and committed, and beside them the
//! same messages published plainly through the same coordinator, in turn; then how
//! fast a producer that stayed silent is asked.
//!
//! All messages go to a group that is subscribed and has no consumer, so that
//! delivering them costs neither side anything.

mod checking;
mod report;
mod work;

use std::io::{IsTerminal as _, stderr};
use std::sync::Arc;
use std::time::Duration;

use amends_proto::v1::consumer_service_client::ConsumerServiceClient;
use amends_proto::v1::{CreateSubscriptionRequest, DeleteSubscriptionRequest, Subscription};
use clap::Args;
use clap::builder::RangedU64ValueParser;
use tokio::runtime::Handle;

use super::compared::{Compared, Round, timed};
use super::connections::Connections;
use super::driver::{Load, Tally, drive};
use super::participant::duration;
use super::place::{Place, PlaceArgs};
use super::usage;
use crate::admin::error::{CommandError, note};
use crate::admin::exit::Exit;
use crate::admin::output::Format;
use work::{GROUP, Pairs, Plain, TOPIC};

/// Enough for both sides to use all cores.
const CONNECTIONS: usize = 4;

/// Arguments of `amends bench half`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    amends bench half -o json\n  \
    amends bench half --store postgres://amends@localhost/bench\n\n\
    The ratio: pairs of prepare and commit per second, divided by plain durable publishes per second.")]
pub(super) struct HalfArgs {
    /// Form of the data on standard output
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
    #[command(flatten)]
    place: PlaceArgs,
    /// Calls under way at the same time
    #[arg(long, default_value_t = 100, value_name = "NUMBER",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=16_384))]
    concurrency: usize,
    /// How long pairs are measured; plain messages take as long again
    #[arg(long, default_value_t = 10, value_name = "SECONDS",
        value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// Rounds into which the time is divided
    #[arg(long, default_value_t = 5, value_name = "NUMBER",
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// How long each side runs before anything is measured
    #[arg(long, default_value = "1s", value_parser = duration, value_name = "TIME")]
    warm_up: Duration,
    /// Half messages whose producer stays silent until it is asked; 0: none
    #[arg(long, default_value_t = 5_000, value_name = "NUMBER",
        value_parser = RangedU64ValueParser::<usize>::new().range(0..=1_000_000))]
    checks: usize,
}

impl HalfArgs {
    fn load(&self, time: Duration) -> Load {
        Load {
            concurrency: self.concurrency,
            time,
            count: i64::MAX,
        }
    }
}

pub(super) async fn run(args: &HalfArgs, cores: &[Handle]) -> Result<Exit, CommandError> {
    let place = Place::make(&args.place)?;
    let mut coordinator = place.coordinator(&[]).await?;
    let address = coordinator.address().to_owned();
    subscribe(&address, cores).await?;
    let pairs = Arc::new(Pairs::connect(&address, CONNECTIONS, cores).await?);
    let plain = Arc::new(Plain::connect(&address, CONNECTIONS, cores).await?);
    let time = Duration::from_secs(args.seconds.into()) / args.rounds;
    if !args.warm_up.is_zero() {
        drive(&pairs, args.load(args.warm_up)).await?;
        drive(&plain, args.load(args.warm_up)).await?;
    }
    let mut compared = Compared::default();
    for number in 1..=args.rounds {
        let (halves, cpu) = timed(&coordinator, drive(&pairs, args.load(time))).await;
        let direct = drive(&plain, args.load(time)).await?;
        coordinator.check()?;
        compared.add(Round {
            ours: halves?,
            direct,
            cpu,
        });
        progress(args, number, &compared);
    }
    let checks = match args.checks {
        0 => Tally::default(),
        checks => checking::run(&pairs, checks).await?,
    };
    compared.peak_resident_mib = coordinator.pid().and_then(usage::peak_resident_mib);
    coordinator.check()?;
    unsubscribe(&address, cores).await?;
    report::print(args, &compared, &checks)
}

async fn subscribe(coordinator: &str, cores: &[Handle]) -> Result<(), CommandError> {
    let clients = Connections::open(coordinator, 1, cores, ConsumerServiceClient::new).await?;
    let subscription = Some(Subscription {
        group: GROUP.to_owned(),
        topic: TOPIC.to_owned(),
        ..Subscription::default()
    });
    let request = CreateSubscriptionRequest { subscription };
    clients.next().create_subscription(request).await?;
    Ok(())
}

/// So that nothing of it stays in a store that goes on.
async fn unsubscribe(coordinator: &str, cores: &[Handle]) -> Result<(), CommandError> {
    let clients = Connections::open(coordinator, 1, cores, ConsumerServiceClient::new).await?;
    let request = DeleteSubscriptionRequest {
        group: GROUP.to_owned(),
        topic: TOPIC.to_owned(),
        reason: "the bench has ended".to_owned(),
    };
    clients.next().delete_subscription(request).await?;
    Ok(())
}

fn progress(args: &HalfArgs, number: u32, compared: &Compared) {
    if !stderr().is_terminal() {
        return;
    }
    note(&format!(
        "round {number} of {}: {:.0}/s pairs, {:.0}/s plain, {} errors so far",
        args.rounds,
        compared.ours.per_second(),
        compared.direct.per_second(),
        compared.ours.fault_count() + compared.direct.fault_count(),
    ));
}
