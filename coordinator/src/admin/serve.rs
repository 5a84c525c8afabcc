//! `amends serve`: the coordinator itself, until it is told to stop.

use std::error::Error;
use std::io::{self, IsTerminal as _};

use clap::Args;
use tracing_subscriber::EnvFilter;

use super::config::ConfigArgs;
use super::error::CommandError;
use super::exit::Exit;
use super::output::print_line;
use crate::config::{Log, LogFormat};
use crate::store::StoreError;

/// Arguments of `amends serve`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  amends serve\n  \
    amends serve --store postgres://amends@db/amends --set engine.max_live=500000\n\n\
    Stops on SIGINT and SIGTERM; what is unfinished goes on at the next start.\n\
    Keys and their defaults: amends config defaults")]
pub(super) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: &ServeArgs) -> Result<Exit, CommandError> {
    let config = args.config.load()?.config;
    start_logging(&config.log);
    let store = config.store.url.to_string();
    let ready = |address| {
        let version = env!("CARGO_PKG_VERSION");
        // Whoever started it may have closed the pipe; it serves nevertheless.
        let _ = print_line(&format!(
            "amends {version} listening on {address} (store {store})"
        ));
    };
    crate::app::serve(config, ready).map_err(|error| failed(&error))?;
    Ok(Exit::Done)
}

/// An error with everything that led to it, and its stable code if it has one.
pub(super) fn failed(error: &(dyn Error + 'static)) -> CommandError {
    let mut text = error.to_string();
    let mut code = None;
    let mut inner = error.source();
    while let Some(source) = inner {
        text.push_str(": ");
        text.push_str(&source.to_string());
        code = code.or_else(|| source.downcast_ref().map(StoreError::code));
        inner = source.source();
    }
    if let Some(code) = code {
        text.push_str("\n  reason: ");
        text.push_str(code);
    }
    CommandError::Failed(text)
}

/// Log lines go to standard error. A process that has set up its own log keeps it.
fn start_logging(log: &Log) {
    // The RabbitMQ client logs messages with their bodies; what it reports is told by the
    // broker's own module. Who wants its lines names it in the level.
    let level = format!("lapin=off,{}", log.level.as_str());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(level))
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    let _ = match log.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
}
