//! A RabbitMQ node of a test's own, to be killed and alarmed. The recipe is that of
//! `scripts/test-servers`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

/// A node needs a core for seconds while it starts: one at a time.
static ONE: Mutex<()> = Mutex::const_new(());

pub(crate) struct Node {
    folder: TempDir,
    pub(crate) url: String,
    _one: MutexGuard<'static, ()>,
}

impl Node {
    pub(crate) async fn start() -> Self {
        let one = ONE.lock().await;
        let folder = TempDir::new().unwrap();
        // Started by root it runs as another user, who must come in.
        let mode = std::fs::Permissions::from_mode(0o711);
        std::fs::set_permissions(folder.path(), mode).unwrap();
        let mut node = Self {
            folder,
            url: String::new(),
            _one: one,
        };
        node.start_again().await;
        node
    }

    /// Starts it where it was before, with the data that it had.
    pub(super) async fn start_again(&mut self) {
        run(servers("start", self.folder.path())).await;
        let url = std::fs::read_to_string(self.home().join("url")).unwrap();
        self.url = url.trim().to_owned();
    }

    /// Lets it finish what it does and waits for its end.
    pub(super) async fn stop(&self) {
        run(servers("stop", self.folder.path())).await;
    }

    /// `kill -9`.
    pub(super) async fn kill(&self) {
        run(servers("kill", self.folder.path())).await;
    }

    /// `rabbitmqctl` of this node.
    pub(crate) async fn control(&self, arguments: &[&str]) {
        let mut command = Command::new(self.home().join("ctl"));
        command.args(arguments);
        run(command).await;
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("rabbitmq")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = servers("stop", self.folder.path()).status();
    }
}

/// The script, for RabbitMQ alone.
fn servers(what: &str, folder: &Path) -> Command {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/test-servers");
    let mut command = Command::new(script);
    command
        .arg(what)
        .arg(folder)
        .arg("rabbitmq")
        .stdin(Stdio::null());
    command
}

/// Runs a command to its successful end.
async fn run(mut command: Command) {
    let status = tokio::task::spawn_blocking(move || {
        let status = command.stdout(Stdio::null()).status().unwrap();
        (command, status)
    });
    let (command, status) = status.await.unwrap();
    assert!(status.success(), "{command:?}: {status}");
}
