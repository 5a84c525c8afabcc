//! A private RabbitMQ server, for as long as this process lives. The recipe is that of
//! `scripts/test-servers`, so it needs the source tree that this program was built in.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use clap::Args;
use tokio::process::Command;

use super::{announce, the_end};

/// The script that starts, kills and stops servers.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/test-servers");

/// Arguments of `shop rabbitmq`.
#[derive(Clone, Debug, Args)]
pub struct RabbitMqArgs {
    /// Folder that others may enter, for the server's data.
    pub folder: PathBuf,
}

/// A private server in a folder.
#[derive(Clone, Debug)]
pub struct RabbitMqServer {
    folder: PathBuf,
}

/// What can be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerCommand {
    /// Starts it, with the data that it had before, if it is not running.
    Start,
    /// Ends it as `kill -9` does.
    Kill,
    /// Ends it in order.
    Stop,
}

/// Runs a private server until the process is told to end, or its standard input ends.
///
/// # Errors
/// When the server cannot be started or stopped.
pub async fn run_rabbitmq(args: RabbitMqArgs) -> io::Result<()> {
    let server = RabbitMqServer::new(args.folder);
    server.run(ServerCommand::Start).await?;
    announce(&format!("rabbitmq listening on {}", server.address()?));
    the_end(true).await;
    server.run(ServerCommand::Stop).await
}

impl RabbitMqServer {
    /// The one in this folder, running or not.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Does it and waits until it is done.
    ///
    /// # Errors
    /// When the script is not there, or says that it failed; its reason is on standard error.
    pub async fn run(&self, what: ServerCommand) -> io::Result<()> {
        let what = match what {
            ServerCommand::Start => "start",
            ServerCommand::Kill => "kill",
            ServerCommand::Stop => "stop",
        };
        let script = Command::new(SCRIPT)
            .arg(what)
            .arg(&self.folder)
            .arg("rabbitmq")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status();
        let status = script.await.map_err(|error| {
            let text = format!("{SCRIPT} cannot be run, so give --broker a URL: {error}");
            io::Error::new(error.kind(), text)
        })?;
        if status.success() {
            return Ok(());
        }
        let text = format!("{SCRIPT} {what}: {status}");
        Err(io::Error::other(text))
    }

    /// Where clients connect, with user and password.
    ///
    /// # Errors
    /// When it was never started.
    pub fn url(&self) -> io::Result<String> {
        let url = std::fs::read_to_string(self.folder.join("rabbitmq").join("url"))?;
        Ok(url.trim().to_owned())
    }

    fn address(&self) -> io::Result<SocketAddr> {
        let url = self.url()?;
        let host = url
            .rsplit('@')
            .next()
            .and_then(|rest| rest.split('/').next());
        let address = host.and_then(|host| host.parse().ok());
        address.ok_or_else(|| io::Error::other("the server's URL has no address"))
    }
}
