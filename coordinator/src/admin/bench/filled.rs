//! A store with many finished sagas in it: `amends bench saga --finished`.
//!
//! One saga is run to its end by a coordinator; a process of its own then
//! copies it in the store under other ids, through the store's own interface,
//! in batches as large as the store takes.

use std::time::Duration;

use amends_core::id::{Gid, RecordNo};
use amends_core::time::{Millis, Timestamp};
use amends_proto::v1::{ListTransactionsRequest, StartSagaRequest};
use clap::Args;
use tokio::runtime::Handle;

use super::place::Place;
use super::process::Process;
use super::registration::Registration;
use super::run::SagaArgs;
use super::saga::{self, Clients, DefinitionSource, ended, source};
use super::workload::{SERVICE, input};
use crate::admin::error::{CommandError, note};
use crate::admin::exit::Exit;
use crate::admin::serve::failed;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Sources, load};
use crate::store::open::{StoreOptions, open};
use crate::store::{Append, Appended, Incarnation, MAX_APPEND_BATCH, Store, Stored};

/// The saga that is copied. Its id stands in its log and nowhere else.
const SAMPLE: &str = "amends-bench-sample";
/// What the ids of copies begin with: some stay, some are old enough to be removed.
const KEPT: &str = "kept-";
const DUE: &str = "due-";
/// One in so many of those that stay is there besides, for the retention to remove.
pub(super) const DUE_SHARE: usize = 5;
/// Age of what is due: more than `retention.finished` by default.
const DUE_AGE: Millis = Millis::from_secs(8 * 24 * 3_600);
/// Age of what stays.
const KEPT_AGE: Millis = Millis::from_secs(24 * 3_600);
/// For all copies.
const MAX_TIME: Duration = Duration::from_secs(900);
/// Copies are written in runs of this many, each in the order of its ids: a
/// batch then changes few pages, and after some runs the indexes look as if
/// the ids had come in any order.
const RUN: usize = 65_536;
/// Rows of one page, the most there are.
const PAGE: u32 = 1_000;

/// Arguments of `amends bench fill`. The store is that of the environment.
#[derive(Debug, Args)]
pub(super) struct FillArgs {
    /// Finished sagas that stay
    #[arg(long, value_name = "NUMBER")]
    kept: usize,
    /// Finished sagas that are to be removed
    #[arg(long, value_name = "NUMBER")]
    due: usize,
}

/// Fills the store of a bench.
pub(super) async fn fill(
    place: &Place,
    participant: &Process,
    args: &SagaArgs,
    cores: &[Handle],
) -> Result<(), CommandError> {
    run_sample(place, participant, args, cores).await?;
    let mut program = place.program()?;
    program
        .env("AMENDS_STORE__URL", place.store_url())
        .args(["bench", "fill", "--kept", &args.finished.to_string()])
        .args(["--due", &(args.finished / DUE_SHARE).to_string()])
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true);
    let status = tokio::time::timeout(MAX_TIME, program.status()).await;
    match status {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(not_filled(&status)),
        Ok(Err(error)) => Err(not_filled(&error)),
        Err(elapsed) => Err(not_filled(&elapsed)),
    }
}

fn not_filled(why: &dyn std::fmt::Display) -> CommandError {
    CommandError::Failed(format!("the store cannot be filled: {why}"))
}

async fn run_sample(
    place: &Place,
    participant: &Process,
    args: &SagaArgs,
    cores: &[Handle],
) -> Result<(), CommandError> {
    let coordinator = place.coordinator(&[]).await?;
    let registration =
        Registration::keep(coordinator.address(), SERVICE, participant.address()).await?;
    let clients = saga::connect(coordinator.address(), cores).await?;
    let definition = args.workload().definition();
    let request = StartSagaRequest {
        gid: SAMPLE.to_owned(),
        source: Some(source(&clients, definition, DefinitionSource::Registered).await?),
        input: Some(input()),
        ..StartSagaRequest::default()
    };
    let (mut sagas, mut transactions) = clients.next();
    sagas.start_saga(request).await?;
    ended(&mut transactions, SAMPLE, None)
        .await
        .map_err(|fault| not_filled(&fault.0))?;
    // Connections that stay open would hold up a clean stop.
    drop((registration, clients, sagas, transactions));
    coordinator.stop().await
}

/// `amends bench fill`.
pub(super) async fn run(args: &FillArgs) -> Result<Exit, CommandError> {
    let config = load(&Sources::of_process(None, Vec::new()))?.config;
    let options = StoreOptions {
        url: config.store.url.clone(),
        max_connections: config.store.max_connections.get(),
    };
    let incarnation = Incarnation(uuid::Uuid::now_v7().to_string());
    let stores = open(&options, incarnation, config.store.migrate)
        .await
        .map_err(|error| failed(&error))?;
    let store = stores.transactions;
    let sample = Gid::new(SAMPLE).map_err(|error| not_filled(&error))?;
    let found = store
        .load(&[sample])
        .await
        .map_err(|error| failed(&error))?;
    let sample = found.first().ok_or_else(|| not_filled(&"no sample"))?;
    let now = SystemClock.now();
    for (prefix, count, age) in [(DUE, args.due, DUE_AGE), (KEPT, args.kept, KEPT_AGE)] {
        let copies = Copies {
            sample,
            prefix,
            count,
            at: Timestamp(now.0.saturating_sub_unsigned(age.0)),
        };
        copies.write(store.as_ref()).await?;
    }
    store
        .release_lease()
        .await
        .map_err(|error| failed(&error))?;
    Ok(Exit::Done)
}

/// Copies of one finished saga.
struct Copies<'a> {
    sample: &'a Stored,
    prefix: &'static str,
    count: usize,
    /// When they ended.
    at: Timestamp,
}

impl Copies<'_> {
    async fn write(&self, store: &dyn Store) -> Result<(), CommandError> {
        let rows = self.sample.log.iter();
        let lists = rows.map(|(_, row)| row.trim_start_matches('[').trim_end_matches(']'));
        let log = format!("[{}]", lists.collect::<Vec<_>>().join(","));
        let mut written = 0;
        while written < self.count {
            let run = (self.count - written).min(RUN);
            let mut gids: Vec<String> = (0..run).map(|_| self.gid()).collect();
            gids.sort_unstable();
            for gids in gids.chunks(MAX_APPEND_BATCH) {
                let batch: Result<Vec<_>, _> =
                    gids.iter().map(|gid| self.copy(gid, &log)).collect();
                let outcomes = store
                    .append(&batch?)
                    .await
                    .map_err(|error| failed(&error))?;
                if outcomes.iter().any(|outcome| *outcome != Appended::Written) {
                    return Err(not_filled(&"it is not empty"));
                }
            }
            written += run;
            note(&format!(
                "filled in {written} of {} {}...",
                self.count, self.prefix
            ));
        }
        Ok(())
    }

    /// As random as the ids that callers choose, so that indexes grow as they do there.
    fn gid(&self) -> String {
        format!("{}{}", self.prefix, uuid::Uuid::new_v4())
    }

    fn copy(&self, gid: &str, log: &str) -> Result<Append, CommandError> {
        let mut summary = self.sample.summary.clone();
        summary.created_at = self.at;
        summary.updated_at = self.at;
        summary.finished_at = Some(self.at);
        Ok(Append {
            records: log.replace(SAMPLE, gid),
            gid: Gid::new(gid).map_err(|error| not_filled(&error))?,
            generation: self.sample.generation,
            previous: RecordNo(0),
            last: self.sample.last,
            summary,
        })
    }
}

/// Whether some of those that were due for removal are still there.
pub(super) async fn is_due_left(clients: &Clients) -> Result<bool, CommandError> {
    let (left, _) = page_of_due(clients, 1, String::new()).await?;
    Ok(left > 0)
}

/// How many of those that were due for removal are still there.
pub(super) async fn due_left(clients: &Clients) -> Result<usize, CommandError> {
    let mut left = 0;
    let mut next_page = String::new();
    loop {
        let (found, token) = page_of_due(clients, PAGE, next_page).await?;
        left += found;
        if token.is_empty() {
            return Ok(left);
        }
        next_page = token;
    }
}

async fn page_of_due(
    clients: &Clients,
    page_size: u32,
    page_token: String,
) -> Result<(usize, String), CommandError> {
    // Nothing else is as old, so only those are looked at.
    let before = SystemClock.now().0.saturating_sub_unsigned(2 * KEPT_AGE.0);
    let request = ListTransactionsRequest {
        gid_prefix: DUE.to_owned(),
        created_before: Some(prost_types::Timestamp {
            seconds: before.div_euclid(1000),
            nanos: 0,
        }),
        page_size,
        page_token,
        ..ListTransactionsRequest::default()
    };
    let (_, mut client) = clients.next();
    let page = client.list_transactions(request).await?.into_inner();
    Ok((page.transactions.len(), page.next_page_token))
}
