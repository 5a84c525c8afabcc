//! `amends migrate`: the store's schema, brought up to date or only looked at.

use clap::Args;
use serde::Serialize;

use super::config::ConfigArgs;
use super::error::{CommandError, note};
use super::exit::Exit;
use super::output::{Format, Listing};
use super::serve::failed;
use crate::store::open::{DryRun, Migration};

/// Arguments of `amends migrate`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  amends migrate --store postgres://amends@db/amends\n  \
    amends migrate --check || echo 'not up to date'"
)]
pub(super) struct MigrateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Change nothing; fail when the schema is not up to date
    #[arg(long)]
    check: bool,
    /// Form of the data on standard output
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

#[derive(Serialize)]
struct MigrationView {
    version: i64,
    description: String,
    state: &'static str,
}

pub(super) fn run(args: &MigrateArgs) -> Result<Exit, CommandError> {
    let config = args.config.load()?.config;
    let store = config.store.url.to_string();
    let dry_run = if args.check { DryRun::Yes } else { DryRun::No };
    let report = crate::app::migrate(&config, dry_run).map_err(|error| failed(&error))?;
    let cells = |view: &MigrationView| {
        vec![
            view.version.to_string(),
            view.description.clone(),
            view.state.to_owned(),
        ]
    };
    let mut listing = Listing::new(args.output, &["VERSION", "DESCRIPTION", "STATE"], cells);
    listing.push(views(&report.applied, "applied"))?;
    listing.push(views(&report.applied_now, "applied now"))?;
    listing.push(views(&report.pending, "pending"))?;
    listing.finish()?;
    if report.pending.is_empty() {
        note(&format!("the schema of {store} is up to date"));
        return Ok(Exit::Done);
    }
    note(&format!(
        "the schema of {store} is not up to date: run `amends migrate`"
    ));
    Ok(Exit::Failed)
}

fn views(migrations: &[Migration], state: &'static str) -> Vec<MigrationView> {
    let view = |migration: &Migration| MigrationView {
        version: migration.version,
        description: migration.description.clone(),
        state,
    };
    migrations.iter().map(view).collect()
}
