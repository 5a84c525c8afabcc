//! The processes that a bench starts: this program again, with other arguments.
//!
//! Guarantees: dropping one kills it. Only processes started here are touched.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::admin::error::CommandError;

/// Migrations of a slow database are part of a start.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// For a clean stop, after which it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// What stands before the address in the line that says "ready".
const READY: &str = " listening on ";

/// A running child with an address.
#[derive(Debug)]
pub(super) struct Process {
    name: &'static str,
    address: String,
    child: Child,
    /// Held open: the participant ends when its input does.
    _input: Option<ChildStdin>,
    /// Held open: a write to a closed pipe would fail.
    _output: Lines<BufReader<ChildStdout>>,
}

/// This program, without the settings of this process's environment and directory.
pub(super) fn this_program(directory: &std::path::Path) -> Result<Command, CommandError> {
    let program = std::env::current_exe().map_err(|error| {
        CommandError::Failed(format!("cannot find the program's own file: {error}"))
    })?;
    let mut command = Command::new(program);
    command.current_dir(directory);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AMENDS_") {
            command.env_remove(name);
        }
    }
    Ok(command)
}

impl Process {
    /// Starts it and waits until it says where it listens.
    pub(super) async fn start(
        name: &'static str,
        mut command: Command,
    ) -> Result<Self, CommandError> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(name, "cannot be started", &error))?;
        let Some(output) = child.stdout.take() else {
            return Err(CommandError::Failed(format!("the {name} has no output")));
        };
        let mut output = BufReader::new(output).lines();
        let address = tokio::time::timeout(START_TIMEOUT, address(name, &mut output))
            .await
            .map_err(|elapsed| failed(name, "is not ready", &elapsed))??;
        Ok(Self {
            name,
            address,
            _input: child.stdin.take(),
            child,
            _output: output,
        })
    }

    /// `host:port`.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Its process id; `None` once it has ended.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// An error when it has ended.
    pub(super) fn check(&mut self) -> Result<(), CommandError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(failed(self.name, "ended meanwhile", &status)),
            Err(error) => Err(failed(self.name, "cannot be looked at", &error)),
        }
    }

    /// Ends it as a crash would, and waits for that.
    pub(super) async fn kill(mut self) -> Result<(), CommandError> {
        let killed = self.child.kill().await;
        killed.map_err(|error| failed(self.name, "cannot be killed", &error))
    }

    /// Ends it as an operator would, and waits for that.
    pub(super) async fn stop(mut self) -> Result<(), CommandError> {
        let pid = self.pid().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)
                .map_err(|error| failed(self.name, "cannot be stopped", &error))?;
        }
        match tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await {
            Ok(Ok(_status)) => Ok(()),
            Ok(Err(error)) => Err(failed(self.name, "cannot be awaited", &error)),
            // Dropped, it is killed.
            Err(elapsed) => Err(failed(self.name, "does not stop", &elapsed)),
        }
    }
}

async fn address(
    name: &'static str,
    output: &mut Lines<BufReader<ChildStdout>>,
) -> Result<String, CommandError> {
    loop {
        let line = output
            .next_line()
            .await
            .map_err(|error| failed(name, "cannot be read", &error))?;
        let Some(line) = line else {
            let text = format!("the {name} ended before it was ready");
            return Err(CommandError::Failed(text));
        };
        if let Some((_, rest)) = line.split_once(READY) {
            return Ok(rest.split(' ').next().unwrap_or(rest).to_owned());
        }
    }
}

fn failed(name: &str, what: &str, why: &dyn std::fmt::Display) -> CommandError {
    CommandError::Failed(format!("the {name} {what}: {why}"))
}
