//! The processes of one bench, their directory, and how they are started.

use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;

use super::hanging::Hanging;
use super::process::{Process, this_program};
use super::registration::Registration;
use super::run::SagaArgs;
use super::workload::{HANGING_SERVICE, Mode, SERVICE};
use super::{direct::Direct, saga};
use crate::admin::error::{CommandError, note};
use crate::config::value::show_duration;
use crate::config::{Config, Setting, Sources, load};

/// Its warnings are for the reader of the bench, everything else is in the way.
const LOG_LEVEL: (&str, &str) = ("log.level", "warn");

/// What is measured. Fields are dropped in order: processes before their directory.
pub(super) struct Setup {
    _registrations: Vec<Registration>,
    pub(super) coordinator: Process,
    pub(super) participant: Process,
    hanging: Option<(Process, Hanging)>,
    /// Connections that the coordinator has to a participant.
    pub(super) connections: usize,
    directory: TempDir,
}

impl Setup {
    /// Starts and connects everything.
    pub(super) async fn start(args: &SagaArgs) -> Result<Self, CommandError> {
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
        let program = || this_program(directory.path());
        let participant = participant(program()?, args.delay).await?;
        let coordinator = coordinator(program()?, args, &directory).await?;
        let address = coordinator.address();
        let mut registrations =
            vec![Registration::keep(address, SERVICE, participant.address()).await?];
        let mut hanging = None;
        if args.mode == Mode::Hang {
            let process = self::participant(program()?, Duration::ZERO).await?;
            registrations
                .push(Registration::keep(address, HANGING_SERVICE, process.address()).await?);
            let sagas = Hanging::start(saga::connect(address).await?, args.hanging).await?;
            hanging = Some((process, sagas));
        }
        Ok(Self {
            _registrations: registrations,
            coordinator,
            participant,
            hanging,
            connections: config.participants.connections_per_target.get() as usize,
            directory,
        })
    }

    /// An error when one of its processes has ended.
    pub(super) fn check(&mut self) -> Result<(), CommandError> {
        self.coordinator.check()?;
        self.participant.check()
    }

    /// Lets go what hangs and waits until all of it has ended.
    pub(super) async fn finish_hanging(
        &mut self,
        workload: super::workload::Workload,
    ) -> Result<super::driver::Tally, CommandError> {
        let Some((process, sagas)) = self.hanging.take() else {
            return Ok(super::driver::Tally::default());
        };
        let direct = Direct::connect(process.address(), 1, workload).await?;
        direct.release().await?;
        sagas.finish().await
    }

    /// Ends the processes; with `--keep` cleanly, and says where the store is.
    pub(super) async fn stop(self, args: &SagaArgs) -> Result<(), CommandError> {
        if args.keep {
            self.coordinator.stop().await?;
            let path = self.directory.keep();
            note(&format!("kept: {}", args.store.url(&path)));
        }
        Ok(())
    }
}

/// What the coordinator will make of its flags; wrong ones are found before anything starts.
fn config(args: &SagaArgs) -> Result<Config, CommandError> {
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

async fn participant(mut program: Command, delay: Duration) -> Result<Process, CommandError> {
    program.args(["bench", "participant", "--delay"]);
    program.arg(show_duration(delay));
    Process::start("participant", program).await
}

async fn coordinator(
    mut program: Command,
    args: &SagaArgs,
    directory: &TempDir,
) -> Result<Process, CommandError> {
    program.args(["serve", "--listen", "127.0.0.1:0"]);
    // Not as a flag: everybody may read those, and a URL may hold a password.
    program.env("AMENDS_STORE__URL", args.store.url(directory.path()));
    let (level, quiet) = LOG_LEVEL;
    if args.coordinator_set.iter().all(|(key, _)| key != level) {
        program.args(["--set", &format!("{level}={quiet}")]);
    }
    for (key, value) in &args.coordinator_set {
        program.args(["--set", &format!("{key}={value}")]);
    }
    Process::start("coordinator", program).await
}
