//! Where the processes of a bench run: their directory, store and settings.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tempfile::TempDir;
use tokio::process::Command;

use super::process::{Process, this_program};
use super::store::StoreChoice;
use crate::admin::config::key_value;
use crate::admin::error::{CommandError, note};
use crate::config::value::show_duration;
use crate::config::{Config, Setting, Sources, load};

/// Its warnings are for the reader of the bench, everything else is in the way.
const LOG_LEVEL: (&str, &str) = ("log.level", "warn");

/// Where a bench runs.
#[derive(Debug, Args)]
pub(super) struct PlaceArgs {
    /// sqlite (a temporary file), memory, sqlite:FILE, or postgres://... (an empty database)
    #[arg(long, default_value = "sqlite", value_name = "STORE")]
    pub(super) store: StoreChoice,
    /// Where the temporary store is made; a memory disk would make syncing free
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    /// Set a key of the coordinator's configuration
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    coordinator_set: Vec<(String, String)>,
}

/// A directory of the bench's own. What runs in it must be dropped before it.
pub(super) struct Place {
    directory: TempDir,
    url: String,
    settings: Vec<(String, String)>,
    pub(super) config: Config,
}

impl Place {
    /// Makes the directory; wrong settings are found before anything starts.
    pub(super) fn make(args: &PlaceArgs) -> Result<Self, CommandError> {
        let config = config(args)?;
        let directory = match &args.directory {
            Some(parent) => TempDir::with_prefix_in("amends-bench-", parent),
            None => TempDir::with_prefix("amends-bench-"),
        };
        let directory = directory
            .map_err(|error| CommandError::Failed(format!("cannot make a directory: {error}")))?;
        if args.store.is_on_memory_disk(directory.path()) {
            note("the store lies on a memory disk, where nothing is durable: see --directory");
        }
        Ok(Self {
            url: args.store.url(directory.path()),
            directory,
            settings: args.coordinator_set.clone(),
            config,
        })
    }

    /// The coordinator's `store.url`.
    pub(super) fn store_url(&self) -> &str {
        &self.url
    }

    /// A SQLite file beside the store.
    pub(super) fn other_sqlite(&self) -> String {
        let path = self.directory.path().join("other.db");
        format!("sqlite:{}", path.display())
    }

    /// This program, run in the directory.
    pub(super) fn program(&self) -> Result<Command, CommandError> {
        this_program(self.directory.path())
    }

    /// A participant that takes so long for each call.
    pub(super) async fn participant(&self, delay: Duration) -> Result<Process, CommandError> {
        self.participant_with(&["--delay", &show_duration(delay)])
            .await
    }

    /// A participant with other settings.
    pub(super) async fn participant_with(&self, args: &[&str]) -> Result<Process, CommandError> {
        let mut program = self.program()?;
        program.args(["bench", "participant"]).args(args);
        Process::start("participant", program).await
    }

    /// A coordinator on the store. Settings of the command line win over `settings`.
    pub(super) async fn coordinator(
        &self,
        settings: &[(&str, String)],
    ) -> Result<Process, CommandError> {
        self.coordinator_on(&self.url, settings).await
    }

    /// A coordinator on another store.
    pub(super) async fn coordinator_on(
        &self,
        store: &str,
        settings: &[(&str, String)],
    ) -> Result<Process, CommandError> {
        Process::start("coordinator", self.serve(store, settings)?).await
    }

    /// A coordinator on the store that has its messages carried by this broker.
    pub(super) async fn coordinator_with_broker(&self, url: &str) -> Result<Process, CommandError> {
        let mut program = self.serve(&self.url, &[])?;
        program.env("AMENDS_BROKER__URL", url);
        Process::start("coordinator", program).await
    }

    fn serve(&self, store: &str, settings: &[(&str, String)]) -> Result<Command, CommandError> {
        let mut program = self.program()?;
        program.args(["serve", "--listen", "127.0.0.1:0"]);
        // Not as a flag: everybody may read those, and a URL may hold a password.
        program.env("AMENDS_STORE__URL", store);
        let (level, quiet) = LOG_LEVEL;
        let ours = settings.iter().map(|(key, value)| (*key, value.as_str()));
        for (key, value) in ours.chain([(level, quiet)]) {
            if self.settings.iter().all(|(set, _)| set != key) {
                program.args(["--set", &format!("{key}={value}")]);
            }
        }
        for (key, value) in &self.settings {
            program.args(["--set", &format!("{key}={value}")]);
        }
        Ok(program)
    }

    /// Leaves the directory where it is, and says so.
    pub(super) fn keep(self) {
        let _path = self.directory.keep();
        note(&format!("kept: {}", self.url));
    }
}

/// What the coordinator will make of its flags.
fn config(args: &PlaceArgs) -> Result<Config, CommandError> {
    let flags = args.coordinator_set.iter().map(|(key, value)| Setting {
        flag: "--coordinator-set".to_owned(),
        key: key.clone(),
        value: value.clone(),
    });
    let sources = Sources {
        flags: flags.collect(),
        ..Sources::default()
    };
    Ok(load(&sources)?.config)
}
