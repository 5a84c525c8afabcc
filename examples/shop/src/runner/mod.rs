//! The program that people run first: it starts the whole shop as real
//! processes, places real orders, breaks things at exactly known points,
//! tells what happened, and checks the books.
//!
//! It ends with success only if every scenario ended as it should and the
//! invariants held after each of them. No process outlives it.

mod broker;
mod process;
mod scenario;
mod stage;
mod story;
mod world;

use std::path::PathBuf;

use clap::Args;
use tempfile::TempDir;

pub use crate::http::HttpError;
pub use process::ProcessError;

use crate::invariants;
use crate::role::{Role, the_end};
use broker::BrokerAt;
use scenario::Scenario;
use stage::Stage;
use story::{Story, Tone};
use world::{Setting, World, url};

/// Arguments of `shop` itself.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Keep everything running after the scenarios, until Ctrl-C
    #[arg(long)]
    serve: bool,
    /// Play only this scenario; may be given again
    #[arg(long, value_name = "NAME", value_parser = scenario::names())]
    scenario: Vec<String>,
    /// Keep databases and logs in this folder instead of a temporary one
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Where the coordinator keeps its log: sqlite:FILE or postgres://..
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// What carries messages: embedded (the coordinator's store), amqp://.. or amqps://..
    /// (a RabbitMQ server), or rabbitmq (a private one, started with scripts/test-servers)
    #[arg(
        long,
        env = "AMENDS_BROKER__URL",
        hide_env_values = true,
        value_name = "BROKER",
        default_value = "embedded",
        hide_default_value = true
    )]
    broker: BrokerAt,
    /// The services' databases, with {service} in the name: postgres://localhost/shop_{service}
    #[arg(long, value_name = "URL", value_parser = with_service)]
    shop_database: Option<String>,
    /// Where customers come; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: String,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything ended as it should, and the books balance.
    Good,
    /// Something did not.
    Bad,
    /// Stopped from outside.
    Interrupted,
}

/// Why the story cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// A file, a folder or the program itself cannot be used.
    #[error("a file cannot be used")]
    File(#[from] std::io::Error),
    /// A process is not there.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A service's database cannot be used.
    #[error("a service's database cannot be used")]
    Database(#[from] amends::DatabaseError),
    /// The coordinator does not answer.
    #[error("the coordinator does not answer")]
    Coordinator(#[from] amends::ClientError),
    /// The front does not answer.
    #[error(transparent)]
    Front(#[from] HttpError),
    /// The provider does not do what customers ask of it.
    #[error(transparent)]
    Provider(#[from] crate::provider::ProviderError),
    /// The reconciliation does not work.
    #[error("the reconciliation does not work")]
    Reconcile(#[from] crate::role::RoleError),
    /// The databases hold orders of an earlier run.
    #[error(
        "these databases hold orders already; give empty ones, or `--serve` to go on with them"
    )]
    NotEmpty,
    /// Something went otherwise than it should.
    #[error("expected {0}")]
    Expected(String),
}

/// Starts everything, plays the scenarios, and ends everything.
///
/// # Errors
/// When the shop cannot be started at all.
pub async fn run(args: RunArgs) -> Result<Verdict, RunnerError> {
    let story = Story::new();
    let (folder, _temporary) = folder(args.keep.as_ref())?;
    let setting = Setting {
        folder,
        kept: args.keep.is_some(),
        broker: args.broker.clone(),
        store: args.store.clone(),
        shop_database: args.shop_database.clone(),
        listen: args.listen.clone(),
    };
    let started = tokio::select! {
        started = World::start(setting) => started?,
        () = the_end(false) => return Ok(Verdict::Interrupted),
    };
    let mut stage = Stage::new(started, story);
    let verdict = tokio::select! {
        verdict = play(&mut stage, &args) => verdict,
        () = the_end(false) => Ok(Verdict::Interrupted),
    };
    if args.serve && matches!(verdict, Ok(Verdict::Good)) {
        tell_how_to_use(&stage);
        the_end(false).await;
        story.line("");
    }
    if matches!(verdict, Err(_) | Ok(Verdict::Bad)) {
        show_logs(&stage);
    }
    stage.world.stop().await;
    verdict
}

async fn play(stage: &mut Stage, args: &RunArgs) -> Result<Verdict, RunnerError> {
    introduce(stage);
    let before = invariants::check(&stage.world.databases).await?;
    if !before.books.orders.is_empty() {
        if args.serve && args.scenario.is_empty() {
            return Ok(Verdict::Good);
        }
        return Err(RunnerError::NotEmpty);
    }
    let wanted = |scenario: &&Scenario| {
        args.scenario.is_empty() || args.scenario.iter().any(|name| name == scenario.name)
    };
    let mut rows = Vec::new();
    for (index, scenario) in scenario::ALL.iter().filter(wanted).enumerate() {
        rows.push(stage.play(index + 1, scenario).await);
    }
    stage.story.line("");
    for (index, (title, good, time)) in rows.iter().enumerate() {
        stage
            .story
            .summary(index + 1, title, *good, time.as_secs_f64());
    }
    stage.story.line("");
    let good = rows.iter().all(|(_, good, _)| *good);
    stage.story.line(if good {
        stage.story.paint(
            Tone::Good,
            "Every scenario ended as it should, and the books balance.",
        )
    } else {
        stage
            .story
            .paint(Tone::Bad, "Not everything ended as it should.")
    });
    Ok(if good { Verdict::Good } else { Verdict::Bad })
}

fn introduce(stage: &Stage) {
    let (story, world) = (stage.story, &stage.world);
    let store = kind(&world.setting.store());
    story.line(story.paint(
        Tone::Strong,
        "The shop: ten processes, nine databases, one saga",
    ));
    story.line("");
    let row = |name: &str, address: String, what: String| {
        let what = story.paint(Tone::Quiet, what);
        story.line(format!("   {name:13}{address:24}{what}"));
    };
    let address = world.coordinator.address.to_string();
    row("coordinator", address, format!("its log in {store}"));
    if let Some(address) = world.broker.address() {
        row("rabbitmq", address, "carries messages".to_owned());
    }
    for (role, address) in world.services() {
        let database = kind(&world.setting.database(role));
        let what = format!("its tables in {database}");
        row(role.as_str(), address.to_string(), what);
    }
    row(
        "provider",
        world.provider.address.to_string(),
        "takes payments".to_owned(),
    );
    row(
        "front",
        url(world.front()),
        "where customers come".to_owned(),
    );
}

fn tell_how_to_use(stage: &Stage) {
    let (story, world) = (stage.story, &stage.world);
    let front = url(world.front());
    let id = crate::samples::USER;
    story.line("");
    story.line(story.paint(Tone::Strong, "The shop stays open; Ctrl-C closes it."));
    story.line("");
    story.line(format!("   {front}/   a page to place orders"));
    story.line(format!("   curl {front}/goods"));
    story.line(format!("   curl {front}/users/{id}"));
    let order = serde_json::to_string(&stage.sample_request()).unwrap_or_default();
    story.line(format!("   curl {front}/orders -d '{order}'"));
    let coordinator = url(world.coordinator.address);
    story.line(format!("   amends tx list --server {coordinator}"));
}

fn show_logs(stage: &Stage) {
    for (name, log) in stage.world.logs() {
        stage.story.line("");
        stage.story.line(format!("the end of the log of {name}:"));
        stage.story.line(log);
    }
}

/// The folder to work in, and what removes it at the end.
fn folder(keep: Option<&PathBuf>) -> std::io::Result<(PathBuf, Option<TempDir>)> {
    match keep {
        Some(folder) => {
            std::fs::create_dir_all(folder)?;
            Ok((folder.clone(), None))
        }
        None => {
            let temporary = tempfile::Builder::new().prefix("amends-shop-").tempdir()?;
            Ok((temporary.path().to_owned(), Some(temporary)))
        }
    }
}

/// The kind of database that a URL names; the rest may be secret.
fn kind(url: &str) -> &'static str {
    match url.split_once(':').map_or("", |(scheme, _)| scheme) {
        "sqlite" => "SQLite",
        "postgres" | "postgresql" => "PostgreSQL",
        "mysql" | "mariadb" => "MySQL",
        _ => "a database",
    }
}

pub(crate) fn with_service(template: &str) -> Result<String, String> {
    if template.contains("{service}") {
        Ok(template.to_owned())
    } else {
        let roles = Role::ALL.map(Role::as_str).join(", ");
        Err(format!(
            "it must contain {{service}}, which stands for each of {roles}"
        ))
    }
}
