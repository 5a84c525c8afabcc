//! One process of `amends serve`.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// What has not happened by then does not happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Killed, if it still runs, when it is dropped.
pub(super) struct Process {
    child: Child,
    pub(super) address: String,
}

impl Process {
    /// Starts in a folder and waits until it takes calls. `crash_at`: see the
    /// coordinator's crash points; with one, it may die before.
    pub(super) async fn start(folder: &Path, store: &str, crash_at: &str) -> Self {
        let mut command = command(folder, store);
        command.env("AMENDS_CRASH_AT", crash_at);
        let may_die = !crash_at.is_empty();
        blocking(move || {
            let mut child = command.spawn().unwrap();
            let mut line = String::new();
            let mut out = BufReader::new(child.stdout.take().unwrap());
            out.read_line(&mut line).unwrap();
            if line.is_empty() && !may_die {
                let mut text = String::new();
                let _ = child.stderr.take().unwrap().read_to_string(&mut text);
                panic!("it did not start: {text}");
            }
            // Nobody reads on, and it must not be held up by that.
            let mut errors = child.stderr.take().unwrap();
            std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
            // One that died has none.
            let address = line.split("listening on ").nth(1).unwrap_or_default();
            let address = address.split(' ').next().unwrap_or_default();
            Self {
                child,
                address: format!("http://{address}"),
            }
        })
        .await
    }

    pub(super) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end.
    pub(super) async fn exit(mut self) -> ExitStatus {
        let pid = Pid::from_child(&self.child);
        let mut waited = std::pin::pin!(blocking(move || self.child.wait().unwrap()));
        if let Ok(status) = tokio::time::timeout(PATIENCE, &mut waited).await {
            return status;
        }
        // The end of the test would wait for it too.
        kill_process(pid, Signal::KILL).unwrap();
        panic!("the process goes on; ended: {}", waited.await);
    }

    /// `kill -9`.
    pub(super) async fn kill(self) {
        self.signal(Signal::KILL);
        self.exit().await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program in a folder, with nothing of this process's environment.
pub(super) fn command(folder: &Path, store: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amends"));
    command
        .env_clear()
        .current_dir(folder)
        .args(["serve", "--listen", "127.0.0.1:0", "--store", store])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A configuration that knows one service, `shop`.
pub(super) fn configure(folder: &Path, shop: SocketAddr) {
    configure_service(folder, "shop", shop);
}

/// The same with a service of another name.
pub(super) fn configure_service(folder: &Path, service: &str, address: SocketAddr) {
    let text = format!("[participants.services]\n{service} = [\"{address}\"]\n");
    std::fs::write(folder.join("amends.toml"), text).unwrap();
}

pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}
