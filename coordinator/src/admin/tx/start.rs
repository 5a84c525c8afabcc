//! `amends tx start`.

use std::path::PathBuf;
use std::time::Duration;

use amends_proto::v1::start_saga_request::Source;
use amends_proto::v1::{Payload, StartSagaRequest};
use clap::Args;

use super::{outcome, transaction, wait};
use crate::admin::args::duration;
use crate::admin::connect::Remote;
use crate::admin::definition::NameAndVersion;
use crate::admin::definition_file::{DefinitionFile, Span};
use crate::admin::error::{CommandError, note};
use crate::admin::exit::{EXIT_CODES_HELP, Exit};
use crate::admin::output::Format;

/// Arguments of `amends tx start`.
#[derive(Debug, Args)]
#[command(after_help = format!("Examples:\n  \
    amends tx start --definition shop.confirm-order --input '{{\"order\": 7}}' --wait 10s\n  \
    amends tx start --file order.toml --gid order-7 --input @order-7.json\n\n{EXIT_CODES_HELP}"))]
pub(super) struct StartArgs {
    /// Run the definition in this JSON or TOML file
    #[arg(
        long,
        required_unless_present = "definition",
        conflicts_with = "definition"
    )]
    file: Option<PathBuf>,
    /// Run this registered definition; without a version the highest one
    #[arg(long, value_name = "NAME[@VERSION]")]
    definition: Option<NameAndVersion>,
    /// Id of the transaction; makes repeating the command safe. Without it the coordinator makes one up
    #[arg(long)]
    gid: Option<String>,
    /// The saga's input as JSON, or @FILE
    #[arg(long, value_name = "JSON|@FILE")]
    input: Option<String>,
    /// Turn back when it has not ended after this time
    #[arg(long, value_parser = duration, value_name = "TIME")]
    deadline: Option<Duration>,
    /// Wait up to this long for the end; the exit code then says how it ended
    #[arg(long, value_parser = duration, value_name = "TIME")]
    wait: Option<Duration>,
}

impl StartArgs {
    /// What to send. Bad files and bad JSON are found before any connection is made.
    pub(super) fn request(&self) -> Result<StartSagaRequest, CommandError> {
        let source = match (&self.file, &self.definition) {
            (Some(file), _) => Source::Definition(DefinitionFile::read(file)?.to_proto()),
            (None, Some(name)) => Source::Registered(name.to_proto()),
            (None, None) => {
                return Err(CommandError::Usage(
                    "name a --definition or a --file".to_owned(),
                ));
            }
        };
        Ok(StartSagaRequest {
            gid: self.gid.clone().unwrap_or_default(),
            source: Some(source),
            input: self.input.as_deref().map(input).transpose()?,
            deadline: self.deadline.map(|time| Span(time).to_proto()),
            wait: None,
            ..Default::default()
        })
    }
}

pub(super) async fn run(
    remote: &Remote,
    format: Format,
    args: &StartArgs,
    request: StartSagaRequest,
) -> Result<Exit, CommandError> {
    let answer = remote.sagas().start_saga(request).await?.into_inner();
    let started = answer.transaction.unwrap_or_default();
    if !answer.created {
        note("it was started before; this is that transaction");
    }
    let Some(time) = args.wait.filter(|_| outcome::ended(&started).is_none()) else {
        transaction::print(format, &started)?;
        let ended = args.wait.and_then(|_| outcome::ended(&started));
        return Ok(ended.unwrap_or(Exit::Done));
    };
    let gid = started.summary.unwrap_or_default().gid;
    wait::run(remote, format, &gid, time).await
}

fn input(text: &str) -> Result<Payload, CommandError> {
    let (name, json) = match text.strip_prefix('@') {
        None => ("--input", text.to_owned()),
        Some(path) => {
            let unreadable = |error| CommandError::Usage(format!("cannot read {path}: {error}"));
            (path, std::fs::read_to_string(path).map_err(unreadable)?)
        }
    };
    serde_json::from_str::<&serde_json::value::RawValue>(&json)
        .map_err(|error| CommandError::Usage(format!("{name}: not JSON: {error}")))?;
    Ok(Payload {
        content_type: "application/json".to_owned(),
        data: json.trim().to_owned().into(),
    })
}
