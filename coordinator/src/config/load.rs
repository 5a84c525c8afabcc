//! Puts the layers together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::check::check;
use super::error::{ConfigError, Problem};
use super::layers::{Layers, Setting, Source};
use super::schema::Config;

/// Read from the working directory when no file is named.
const DEFAULT_FILE: &str = "amends.toml";

/// Where values may come from. No `Debug`: it holds passwords.
#[derive(Clone, Default)]
pub struct Sources {
    /// A file that must exist.
    pub file: Option<PathBuf>,
    /// Without `file`: the directory where `amends.toml` is read, if it is there.
    pub directory: Option<PathBuf>,
    /// Environment variables; those that are not ours are skipped.
    pub environment: Vec<(String, String)>,
    /// Flags in the order given.
    pub flags: Vec<Setting>,
}

impl Sources {
    /// Those of this process: its working directory and environment.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, flags: Vec<Setting>) -> Self {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        Self {
            file,
            directory: Some(PathBuf::new()),
            environment: std::env::vars_os()
                .map(|(name, value)| (text(name), text(value)))
                .collect(),
            flags,
        }
    }
}

/// A valid configuration and where its values come from.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    pub(super) origins: BTreeMap<String, Source>,
}

/// Reads all layers.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let mut problems = Vec::new();
    let mut layers = Layers::default();
    let file = sources.file.clone().or_else(|| {
        let path = sources.directory.as_ref()?.join(DEFAULT_FILE);
        path.exists().then_some(path)
    });
    if let Some(path) = &file {
        match read_file(path) {
            Ok(table) => layers.add_file(path, table, &mut problems),
            Err(problem) => problems.push(problem),
        }
    }
    for (name, value) in &sources.environment {
        layers.add_variable(name, value, &mut problems);
    }
    for setting in &sources.flags {
        layers.add_flag(setting, &mut problems);
    }
    let config = Config::build(&layers, &mut problems);
    if let Some(config) = &config {
        check(config, &mut problems);
    }
    match config {
        Some(config) if problems.is_empty() => Ok(Loaded {
            config,
            file,
            origins: layers.sources(),
        }),
        _ => Err(ConfigError(problems)),
    }
}

fn read_file(path: &Path) -> Result<toml::Table, Problem> {
    let text = std::fs::read_to_string(path).map_err(|error| Problem::Unreadable {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    // Only the message: toml's own display quotes the line, which may hold a password.
    text.parse::<toml::Table>()
        .map_err(|error| Problem::NotToml {
            path: path.to_owned(),
            line: error.span().map_or(1, |span| {
                text[..span.start.min(text.len())].lines().count().max(1)
            }),
            reason: error.message().trim().to_owned(),
        })
}
