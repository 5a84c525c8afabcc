//! `amends bench msg`: messages through a coordinator, and beside it the client
//! library alone publishing into a quorum queue of the same RabbitMQ, in turn.
//!
//! A message counts when its consumer has it and its publisher has the answer. Every
//! accepted message must arrive; a round ends when all of it has.

mod book;
mod consumer;
mod late;
mod publisher;
mod rabbit;
mod report;

use std::io::{IsTerminal as _, stderr};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use tokio::runtime::Handle;

use super::compared::{Round, timed};
use super::connections::Connections;
use super::driver::{Load, Tally, drive};
use super::participant::duration;
use super::place::{Place, PlaceArgs};
use super::usage;
use crate::admin::error::{CommandError, note};
use crate::admin::exit::Exit;
use crate::admin::output::Format;
use crate::clock::monotonic;
use crate::config::BrokerUrl;
use book::Book;
use consumer::Consumers;
use publisher::Publishers;
use rabbit::Rabbit;
use report::Measured;

/// Bytes of a body.
const BODY_BYTES: usize = 512;
/// Enough for both sides to use all cores.
const CONNECTIONS: usize = 4;
/// For what was accepted to arrive.
const MAX_DRAIN: Duration = Duration::from_secs(60);

/// Arguments of `amends bench msg`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    amends bench msg -o json\n  \
    amends bench msg --broker amqp://guest:guest@localhost:5672/%2f --store postgres://amends@localhost/bench\n\n\
    The ratio: messages that reached their consumer through the coordinator per second, divided by\n\
    messages that the client library alone publishes per second (confirms, 100 in flight, one quorum queue).\n\
    It needs a RabbitMQ: that of --broker, or of --direct.")]
pub(super) struct MessagesArgs {
    /// Form of the data on standard output
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
    #[command(flatten)]
    place: PlaceArgs,
    /// Who carries the messages: embedded, or amqp://user:password@host:port/vhost
    #[arg(long, default_value = "embedded", value_name = "URL", value_parser = broker)]
    broker: BrokerUrl,
    /// RabbitMQ to publish to directly; that of --broker if it is one
    #[arg(long, value_name = "URL", value_parser = broker)]
    direct: Option<BrokerUrl>,
    /// Publish calls under way at the same time
    #[arg(long, default_value_t = 100, value_name = "NUMBER",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=16_384))]
    concurrency: usize,
    /// Messages of a publish call
    #[arg(long, default_value_t = 1, value_name = "NUMBER",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=256))]
    batch: usize,
    /// Consumers of the group
    #[arg(long, default_value_t = 4, value_name = "NUMBER",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=64))]
    consumers: usize,
    /// How long messages are published; lapin alone takes as long again
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
    /// Delayed messages that are due within one second, for their lateness; 0: none
    #[arg(long, default_value_t = 10_000, value_name = "NUMBER",
        value_parser = RangedU64ValueParser::<usize>::new().range(0..=1_000_000))]
    delayed: usize,
}

impl MessagesArgs {
    fn load(&self, time: Duration) -> Load {
        Load {
            concurrency: self.concurrency,
            time,
            count: i64::MAX,
        }
    }

    /// A RabbitMQ to compare with.
    fn beside(&self) -> Option<&str> {
        [self.direct.as_ref(), Some(&self.broker)]
            .into_iter()
            .flatten()
            .find_map(|broker| match broker {
                BrokerUrl::RabbitMq { url } => Some(url.expose()),
                BrokerUrl::Embedded => None,
            })
    }

    fn broker_kind(&self) -> &'static str {
        match self.broker {
            BrokerUrl::Embedded => "embedded",
            BrokerUrl::RabbitMq { .. } => "rabbitmq",
        }
    }
}

pub(super) async fn run(args: &MessagesArgs, cores: &[Handle]) -> Result<Exit, CommandError> {
    let place = Place::make(&args.place)?;
    let broker = match &args.broker {
        BrokerUrl::Embedded => "embedded".to_owned(),
        BrokerUrl::RabbitMq { url } => url.expose().to_owned(),
    };
    let mut coordinator = place.coordinator_with_broker(&broker).await?;
    let clients =
        Connections::open(coordinator.address(), CONNECTIONS, cores, publisher::client).await?;
    let book = Arc::new(Book::default());
    let consumers = Consumers::start(&clients, args.consumers, &book, cores).await?;
    let publishers = Arc::new(Publishers::new(clients, args.batch, Arc::clone(&book)));
    let rabbit = match args.beside() {
        Some(url) => Some(Rabbit::connect(url).await?),
        None => None,
    };
    let time = Duration::from_secs(args.seconds.into()) / args.rounds;
    if !args.warm_up.is_zero() {
        through(&publishers, &book, args.load(args.warm_up)).await?;
        directly(rabbit.as_ref(), args.warm_up).await?;
    }
    let mut measured = Measured::default();
    for number in 1..=args.rounds {
        let published = through(&publishers, &book, args.load(time));
        let (published, cpu) = timed(&coordinator, published).await;
        let (accepted, delivered) = published?;
        let direct = directly(rabbit.as_ref(), time).await?;
        coordinator.check()?;
        consumers.check()?;
        measured.accepted.add(accepted);
        measured.compared.add(Round {
            ours: delivered,
            direct,
            cpu,
        });
        progress(args, number, &measured);
    }
    if args.delayed > 0 {
        measured.delayed = late::run(&publishers, &book, args.delayed).await?;
    }
    measured.compared.peak_resident_mib = coordinator.pid().and_then(usage::peak_resident_mib);
    if let Some(rabbit) = rabbit {
        rabbit.remove().await?;
    }
    coordinator.check()?;
    let address = coordinator.address();
    consumers.unsubscribe(address, cores).await?;
    report::print(args, &measured)
}

/// Publishes for that time and waits until all of it has arrived: what the
/// publishers saw, and what arrived.
async fn through(
    publishers: &Arc<Publishers>,
    book: &Book,
    load: Load,
) -> Result<(Tally, Tally), CommandError> {
    let begun = monotonic();
    let accepted = drive(publishers, load).await?;
    let mut delivered = book.drained(MAX_DRAIN).await;
    delivered.elapsed = monotonic().saturating_duration_since(begun);
    Ok((accepted, delivered))
}

async fn directly(rabbit: Option<&Rabbit>, time: Duration) -> Result<Tally, CommandError> {
    match rabbit {
        Some(rabbit) => rabbit.publish(time).await,
        None => Ok(Tally::default()),
    }
}

fn progress(args: &MessagesArgs, number: u32, measured: &Measured) {
    if !stderr().is_terminal() {
        return;
    }
    let per_second = |tally: &Tally| format!("{:.0}/s", tally.per_second());
    note(&format!(
        "round {number} of {}: {} delivered, {} by lapin alone, {} errors so far",
        args.rounds,
        per_second(&measured.compared.ours),
        per_second(&measured.compared.direct),
        measured.error_count(),
    ));
}

/// For clap.
fn broker(text: &str) -> Result<BrokerUrl, String> {
    text.parse()
        .map_err(|_| "expected embedded or amqp://user:password@host:port/vhost".to_owned())
}
