//! `amends config`, and the configuration flags of every command that has one.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::error::{CommandError, note};
use super::exit::Exit;
use super::output::{Format, Listing, print};
use crate::config::{Loaded, Row, Setting, Sources, defaults_toml, load};

/// Where the configuration comes from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Configuration")]
pub(super) struct ConfigArgs {
    /// Configuration file; without it ./amends.toml is read if it is there
    #[arg(long, env = "AMENDS_CONFIG", global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set any key, for example --set engine.max_live=1000
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value, global = true)]
    set: Vec<(String, String)>,
    /// Where to listen (server.listen)
    #[arg(long, value_name = "IP:PORT", global = true)]
    listen: Option<String>,
    /// Where transactions are kept (store.url)
    #[arg(long, value_name = "URL", global = true)]
    store: Option<String>,
    /// What to do about the schema at start (store.migrate): auto, check or off
    #[arg(long, value_name = "WHAT", global = true)]
    migrate: Option<String>,
}

impl ConfigArgs {
    /// Reads the configuration of this process.
    pub(super) fn load(&self) -> Result<Loaded, CommandError> {
        let setting = |flag: &str, key: &str, value: &str| Setting {
            flag: flag.to_owned(),
            key: key.to_owned(),
            value: value.to_owned(),
        };
        let named = [
            ("--listen", "server.listen", &self.listen),
            ("--store", "store.url", &self.store),
            ("--migrate", "store.migrate", &self.migrate),
        ];
        let mut flags: Vec<Setting> = self
            .set
            .iter()
            .map(|(key, value)| setting("--set", key, value))
            .collect();
        flags.extend(
            named
                .iter()
                .filter_map(|(flag, key, value)| Some(setting(flag, key, value.as_deref()?))),
        );
        Ok(load(&Sources::of_process(self.config.clone(), flags))?)
    }
}

/// Arguments of `amends config`.
#[derive(Debug, Args)]
pub(super) struct ConfigCommandArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every key with its value and where it comes from
    Print {
        /// Form of the data on standard output
        #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
        output: Format,
    },
    /// Say whether the configuration is valid, and everything that is wrong with it
    Check,
    /// Print all keys with their documentation and defaults, as a file to start from
    #[command(after_help = "Example: amends config defaults > amends.toml")]
    Defaults,
}

pub(super) fn run(args: &ConfigCommandArgs) -> Result<Exit, CommandError> {
    match &args.command {
        ConfigCommand::Print { output } => print_rows(&args.config.load()?, *output)?,
        ConfigCommand::Check => {
            let loaded = args.config.load()?;
            match &loaded.file {
                Some(path) => note(&format!(
                    "the configuration is valid (file {})",
                    path.display()
                )),
                None => note("the configuration is valid (no file)"),
            }
        }
        ConfigCommand::Defaults => print(&defaults_toml())?,
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct RowView {
    key: String,
    value: toml::Value,
    source: String,
}

fn print_rows(loaded: &Loaded, format: Format) -> Result<(), CommandError> {
    let view = |row: Row| RowView {
        key: row.key,
        value: row.value,
        source: row.source.to_string(),
    };
    let cells = |row: &RowView| {
        let value = match &row.value {
            toml::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        vec![row.key.clone(), value, row.source.clone()]
    };
    let mut listing = Listing::new(format, &["KEY", "VALUE", "SOURCE"], cells);
    listing.push(loaded.rows().into_iter().map(view).collect())?;
    listing.finish()
}

pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        _ => Err("expected KEY=VALUE, for example engine.max_live=1000".to_owned()),
    }
}
