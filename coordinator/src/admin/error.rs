//! Why a command did not do what it was asked, and how people are told.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::definition_file::DefinitionFileError;
use super::exit::Exit;
use crate::config::ConfigError;
use crate::config::value::show_duration;

/// Why a command failed.
#[derive(Debug)]
pub(super) enum CommandError {
    /// The command or its input is wrong.
    Usage(String),
    /// Something around it failed.
    Failed(String),
    /// No coordinator answers there.
    Unreachable {
        /// The address tried.
        server: String,
        /// What the network said.
        reason: String,
    },
    /// The coordinator answered with an error.
    Server(Box<Status>),
    /// Standard output cannot be written.
    Output(io::Error),
}

impl CommandError {
    /// Tells people on standard error; returns the exit code.
    pub(super) fn report(&self) -> Exit {
        let (text, exit) = match self {
            Self::Usage(text) => (text.clone(), Exit::Usage),
            Self::Failed(text) => (text.clone(), Exit::Failed),
            Self::Unreachable { server, reason } => {
                (unreachable_text(server, reason), Exit::Failed)
            }
            Self::Server(status) => (status_text(status), exit_of(status.code())),
            // Whoever read the output has seen enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => return Exit::Done,
            Self::Output(error) => (format!("cannot write the output: {error}"), Exit::Failed),
        };
        note(&format!("error: {text}"));
        exit
    }
}

impl From<Status> for CommandError {
    fn from(status: Status) -> Self {
        Self::Server(Box::new(status))
    }
}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<DefinitionFileError> for CommandError {
    fn from(error: DefinitionFileError) -> Self {
        Self::Usage(error.to_string())
    }
}

/// A line for people on standard error. Nothing can be done if that fails.
pub(super) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn unreachable_text(server: &str, reason: &str) -> String {
    format!(
        "no coordinator answers at {server}: {reason}\n  \
         start one with `amends serve`, or name another with --server or AMENDS_SERVER"
    )
}

fn exit_of(code: Code) -> Exit {
    match code {
        Code::NotFound => Exit::NotFound,
        Code::InvalidArgument | Code::OutOfRange => Exit::Usage,
        Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::PermissionDenied
        | Code::Unauthenticated => Exit::Refused,
        _ => Exit::Failed,
    }
}

/// The last error of a chain: "Connection refused" says more than "transport error".
pub(super) fn innermost(error: &dyn Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// Message, stable reason, details, fields at fault and when to try again.
fn status_text(status: &Status) -> String {
    // Only an error made on this side of the wire has a source.
    if let Some(source) = status.source() {
        return format!(
            "the connection to the coordinator failed: {}",
            innermost(source)
        );
    }
    let details = status.get_error_details();
    let mut text = match status.message() {
        "" => status.code().description().to_owned(),
        message => message.to_owned(),
    };
    if let Some(info) = details.error_info() {
        let _ = write!(text, "\n  reason: {}", info.reason);
        let mut metadata: Vec<_> = info.metadata.iter().collect();
        metadata.sort();
        for (name, value) in metadata {
            let _ = write!(text, "\n  {name}: {value}");
        }
    }
    for violation in details
        .bad_request()
        .into_iter()
        .flat_map(|request| &request.field_violations)
    {
        let _ = write!(
            text,
            "\n  field {}: {}",
            violation.field, violation.description
        );
    }
    for violation in details
        .precondition_failure()
        .into_iter()
        .flat_map(|failure| &failure.violations)
    {
        let _ = write!(text, "\n  {}: {}", violation.subject, violation.description);
    }
    if let Some(delay) = details.retry_info().and_then(|info| info.retry_delay) {
        let _ = write!(text, "\n  try again in {}", show_duration(delay));
    }
    text
}
