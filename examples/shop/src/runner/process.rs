//! [`Process`]: another process of this program.
//!
//! It is never left behind: dropping kills it, and should this process be
//! killed itself, the other's standard input ends, and it with it.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// Lines of a log that are worth showing.
const MAX_LOG_LINES: usize = 30;

/// What to start, again and again.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) name: &'static str,
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    /// What it finds in its environment beside what this process has in its own.
    pub(super) environment: Vec<(&'static str, String)>,
    pub(super) log: PathBuf,
    /// If it is not ready by then it will never be.
    pub(super) max_start: Duration,
    /// How long an orderly end may take.
    pub(super) max_stop: Duration,
}

/// A process that is ready.
#[derive(Debug)]
pub(super) struct Process {
    plan: Plan,
    child: Child,
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// Where it answers queries, if it does.
    pub(super) queries: Option<SocketAddr>,
}

/// Why a process is not there.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started, or watched.
    #[error("{name}: cannot be started")]
    Start {
        /// Its name.
        name: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It ended, or said nothing in time, instead of being ready.
    #[error("{name}: did not become ready\n{log}")]
    NotReady {
        /// Its name.
        name: &'static str,
        /// The end of its log.
        log: String,
    },
}

impl Process {
    /// Starts it and waits until it says that it is ready.
    pub(super) async fn start(plan: Plan) -> Result<Self, ProcessError> {
        let failed = |source| ProcessError::Start {
            name: plan.name,
            source,
        };
        let log = OpenOptions::new().create(true).append(true).open(&plan.log);
        let mut child = Command::new(&plan.program)
            .args(&plan.args)
            .envs(plan.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.map_err(failed)?)
            .process_group(0) // Ctrl-C is for the runner, which then ends them in order.
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let not_ready = || ProcessError::NotReady {
            name: plan.name,
            log: tail(&plan.log),
        };
        let stdout = child.stdout.take().ok_or_else(not_ready)?;
        let mut lines = BufReader::new(stdout).lines();
        let ready = timeout(plan.max_start, ready_line(&mut lines)).await;
        let (address, queries) = ready.ok().flatten().ok_or_else(not_ready)?;
        // Nobody reads on, but nobody must block on a full pipe either.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self {
            plan,
            child,
            address,
            queries,
        })
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    pub(super) async fn kill(&mut self) -> Result<(), ProcessError> {
        let (name, killed) = (self.plan.name, self.child.kill().await);
        killed.map_err(|source| ProcessError::Start { name, source })
    }

    /// Starts it again after its end, at the same addresses.
    pub(super) async fn restart(&mut self) -> Result<(), ProcessError> {
        let mut plan = self.plan.clone();
        set(&mut plan.args, "--listen", &self.address.to_string());
        if let Some(queries) = self.queries {
            set(&mut plan.args, "--queries", &queries.to_string());
        }
        *self = Self::start(plan).await?;
        Ok(())
    }

    /// From its next start on it is given this argument.
    pub(super) fn set_arg(&mut self, flag: &str, value: &str) {
        set(&mut self.plan.args, flag, value);
    }

    /// Ends it in order, or, should it not want to, by force.
    pub(super) async fn stop(mut self) {
        self.end().await;
    }

    /// The same, for a process that is started again later.
    pub(super) async fn end(&mut self) {
        drop(self.child.stdin.take());
        if timeout(self.plan.max_stop, self.child.wait())
            .await
            .is_err()
        {
            self.child.kill().await.ok();
        }
    }

    /// Its name and the end of its log.
    pub(super) fn log(&self) -> (&'static str, String) {
        (self.plan.name, tail(&self.plan.log))
    }
}

/// Replaces the value of an argument, or adds both.
fn set(args: &mut Vec<String>, flag: &str, value: &str) {
    match args.iter().position(|arg| arg == flag) {
        Some(at) if at + 1 < args.len() => args[at + 1] = value.to_owned(),
        _ => args.extend([flag.to_owned(), value.to_owned()]),
    }
}

async fn ready_line(
    lines: &mut Lines<BufReader<ChildStdout>>,
) -> Option<(SocketAddr, Option<SocketAddr>)> {
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(address) = word_after(&line, "listening on ") {
            return Some((address, word_after(&line, "queries on ")));
        }
    }
    None
}

fn word_after(line: &str, text: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once(text)?;
    rest.split_whitespace().next()?.parse().ok()
}

fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let skipped = lines.len().saturating_sub(MAX_LOG_LINES);
    lines[skipped..].join("\n")
}
