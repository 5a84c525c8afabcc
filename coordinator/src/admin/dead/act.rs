//! `amends dead resend|discard`.

use std::path::PathBuf;

use amends_proto::v1::{DiscardDeadLettersRequest, ItemResult, Message, ResendDeadLettersRequest};
use clap::Args;

use super::select::Selection;
use crate::admin::args::Operator;
use crate::admin::connect::Remote;
use crate::admin::error::{CommandError, note};
use crate::admin::exit::Exit;
use crate::admin::items::{Report, on_each};
use crate::admin::message::MessageFile;
use crate::admin::output::Format;

/// Arguments of `amends dead resend`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    amends dead resend 0196…                                   once more as it was\n  \
    amends dead resend 0196… --edit letter.json --reason 'price was missing'\n  \
    amends dead resend --group mailer --since 1d --per-second 50 --yes")]
pub(super) struct ResendArgs {
    #[command(flatten)]
    selection: Selection,
    /// Send the headers and the body in this file instead; see `amends dead show --editable`
    #[arg(long, value_name = "FILE")]
    edit: Option<PathBuf>,
    /// So many a second; 0: all at once
    #[arg(long, default_value_t = 0, value_name = "N")]
    per_second: u32,
    /// Why; kept
    #[arg(long, default_value = "")]
    reason: String,
    #[command(flatten)]
    operator: Operator,
}

impl ResendArgs {
    /// The edited message. A bad file is found before any connection is made.
    pub(super) fn edited(&self) -> Result<Option<Message>, CommandError> {
        let Some(path) = &self.edit else {
            return Ok(None);
        };
        if self.selection.ids.len() != 1 {
            return Err(CommandError::Usage(
                "--edit needs exactly one id".to_owned(),
            ));
        }
        let wrong = |wrong| CommandError::Usage(format!("{}: {wrong}", path.display()));
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| wrong(error.to_string()))?;
        let file: Result<MessageFile, _> = serde_json::from_str(&text);
        let file = file.map_err(|error| wrong(error.to_string()))?;
        file.message().map_err(wrong).map(Some)
    }
}

/// Arguments of `amends dead discard`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    amends dead discard 0196… --reason 'the customer is gone'\n  \
    amends dead discard --group mailer --topic news --reason 'too late to matter' --yes")]
pub(super) struct DiscardArgs {
    #[command(flatten)]
    selection: Selection,
    /// Why; kept
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    operator: Operator,
}

pub(super) async fn resend(
    remote: &Remote,
    format: Format,
    args: &ResendArgs,
    edited: Option<Message>,
) -> Result<Exit, CommandError> {
    let mut client = remote.dead_letters();
    let request = ResendDeadLettersRequest {
        edited,
        per_second: args.per_second,
        actor: args.operator.operator.clone(),
        reason: args.reason.clone(),
        ..Default::default()
    };
    if let Some(filter) = args.selection.filter(remote).await? {
        let limit = args.selection.limit;
        let request = ResendDeadLettersRequest {
            filter: Some(filter),
            limit,
            ..request
        };
        let answer = client.resend_dead_letters(request).await?.into_inner();
        return finish(format, &answer.results, limit);
    }
    on_each(format, &args.selection.ids, async |ids| {
        let request = ResendDeadLettersRequest {
            ids,
            ..request.clone()
        };
        Ok(client
            .resend_dead_letters(request)
            .await?
            .into_inner()
            .results)
    })
    .await
}

pub(super) async fn discard(
    remote: &Remote,
    format: Format,
    args: &DiscardArgs,
) -> Result<Exit, CommandError> {
    let mut client = remote.dead_letters();
    let request = DiscardDeadLettersRequest {
        actor: args.operator.operator.clone(),
        reason: args.reason.clone(),
        ..Default::default()
    };
    if let Some(filter) = args.selection.filter(remote).await? {
        let limit = args.selection.limit;
        let request = DiscardDeadLettersRequest {
            filter: Some(filter),
            limit,
            ..request
        };
        let answer = client.discard_dead_letters(request).await?.into_inner();
        return finish(format, &answer.results, limit);
    }
    on_each(format, &args.selection.ids, async |ids| {
        let request = DiscardDeadLettersRequest {
            ids,
            ..request.clone()
        };
        Ok(client
            .discard_dead_letters(request)
            .await?
            .into_inner()
            .results)
    })
    .await
}

fn finish(format: Format, results: &[ItemResult], limit: u32) -> Result<Exit, CommandError> {
    let mut report = Report::new(format);
    report.add(results)?;
    if results.len() >= limit as usize {
        note(&format!(
            "stopped at {limit}; repeat the command for what is left"
        ));
    }
    report.finish()
}
