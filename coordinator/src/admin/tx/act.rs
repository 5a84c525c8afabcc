//! What an operator may do: `amends tx cancel|retry|force|mark-undone|mark-done`.

use amends_proto::v1::{
    ActionResult, CancelTransactionsRequest, ForceTransactionsRequest, ListTransactionsRequest,
    MarkStepUndoneRequest, RetryTransactionsRequest,
};
use clap::Args;

use super::filter::Selection;
use super::list::summaries;
use crate::admin::args::Operator;
use crate::admin::connect::Remote;
use crate::admin::error::CommandError;
use crate::admin::exit::Exit;
use crate::admin::output::{Format, Listing};
use crate::admin::view::{FailureView, ResultView};

/// Transactions in one call; the most the API takes.
const MAX_GIDS_PER_CALL: usize = 1000;

/// Arguments of `amends tx cancel`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  amends tx cancel order-7 --reason 'customer called'\n  \
    amends tx cancel --state running --definition shop.confirm-order --yes\n\n\
    A TCC can be cancelled until its confirm is decided; under a parent, until it is prepared."
)]
pub(super) struct CancelArgs {
    #[command(flatten)]
    selection: Selection,
    /// Why; kept as the cause
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    operator: Operator,
}

/// Arguments of `amends tx retry`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  amends tx retry --state stuck --yes\n  \
    amends tx retry --kind tcc --state stuck --yes\n\n\
    A confirm or cancel that was refused is called again only by this.")]
pub(super) struct RetryArgs {
    #[command(flatten)]
    selection: Selection,
}

/// Arguments of `amends tx force`.
#[derive(Debug, Args)]
#[command(
    after_help = "Nothing is called any more; nothing more is undone, confirmed or cancelled. Example:\n  \
    amends tx force order-7 --reason 'refunded by hand, ticket 4711'"
)]
pub(super) struct ForceArgs {
    #[command(flatten)]
    selection: Selection,
    /// Why; kept
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    operator: Operator,
}

/// Arguments of `amends tx mark-undone`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    amends tx mark-undone order-7 deduct-balance --reason 'paid back by hand'\n  \
    amends tx mark-done pay-7 points --reason 'settled by hand'\n\n\
    Of a TCC it declares the branch confirmed or cancelled, whichever was decided.")]
pub(super) struct MarkUndoneArgs {
    /// The transaction
    gid: String,
    /// The step or branch
    step: String,
    /// Why; kept
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    operator: Operator,
}

pub(super) async fn cancel(
    remote: &Remote,
    format: Format,
    args: &CancelArgs,
) -> Result<Exit, CommandError> {
    let mut client = remote.transactions();
    let operator = &args.operator.operator;
    let reason = match &args.reason {
        Some(reason) => format!("{reason} (by {operator})"),
        None => format!("cancelled by {operator}"),
    };
    on_each(remote, format, &args.selection, async |gids| {
        let request = CancelTransactionsRequest {
            gids,
            reason: reason.clone(),
        };
        Ok(client
            .cancel_transactions(request)
            .await?
            .into_inner()
            .results)
    })
    .await
}

pub(super) async fn retry(
    remote: &Remote,
    format: Format,
    args: &RetryArgs,
) -> Result<Exit, CommandError> {
    let mut client = remote.transactions();
    on_each(remote, format, &args.selection, async |gids| {
        Ok(client
            .retry_transactions(RetryTransactionsRequest { gids })
            .await?
            .into_inner()
            .results)
    })
    .await
}

pub(super) async fn force(
    remote: &Remote,
    format: Format,
    args: &ForceArgs,
) -> Result<Exit, CommandError> {
    let mut client = remote.transactions();
    on_each(remote, format, &args.selection, async |gids| {
        let (reason, operator) = (args.reason.clone(), args.operator.operator.clone());
        let request = ForceTransactionsRequest {
            gids,
            reason,
            operator,
        };
        Ok(client
            .force_transactions(request)
            .await?
            .into_inner()
            .results)
    })
    .await
}

pub(super) async fn mark_undone(
    remote: &Remote,
    format: Format,
    args: MarkUndoneArgs,
) -> Result<Exit, CommandError> {
    let MarkUndoneArgs {
        gid,
        step,
        reason,
        operator,
    } = args;
    let request = MarkStepUndoneRequest {
        gid,
        step,
        reason,
        operator: operator.operator,
    };
    let answer = remote
        .transactions()
        .mark_step_undone(request)
        .await?
        .into_inner();
    let mut report = Report::new(format);
    report.add(&[answer.result.unwrap_or_default()])?;
    report.finish()
}

/// Does something to all that are selected, in calls of a legal size.
async fn on_each(
    remote: &Remote,
    format: Format,
    selection: &Selection,
    mut call: impl AsyncFnMut(Vec<String>) -> Result<Vec<ActionResult>, CommandError>,
) -> Result<Exit, CommandError> {
    let gids = selected(remote, selection).await?;
    let mut report = Report::new(format);
    for some in gids.chunks(MAX_GIDS_PER_CALL) {
        match call(some.to_vec()).await {
            Ok(results) => report.add(&results)?,
            Err(error) if report.accepted == 0 => return Err(error),
            // What was done stands, and is shown.
            Err(error) => {
                error.report();
                report.finish()?;
                return Ok(Exit::Partly);
            }
        }
    }
    report.finish()
}

/// The ids named, or those that match the filter, which needs `--yes`.
async fn selected(remote: &Remote, selection: &Selection) -> Result<Vec<String>, CommandError> {
    if !selection.gids.is_empty() {
        return Ok(selection.gids.clone());
    }
    let request = ListTransactionsRequest {
        states: selection
            .state
            .iter()
            .map(|state| state.to_proto())
            .collect(),
        kinds: selection.kind.iter().map(|kind| kind.to_proto()).collect(),
        definition: selection.definition.clone().unwrap_or_default(),
        ..Default::default()
    };
    let mut gids = Vec::new();
    summaries(remote, request, None, |page| {
        gids.extend(page.into_iter().map(|summary| summary.gid));
        Ok(())
    })
    .await?;
    if selection.yes || gids.is_empty() {
        return Ok(gids);
    }
    Err(CommandError::Usage(format!(
        "{} transactions are selected; add --yes to act on all of them",
        gids.len()
    )))
}

/// A result per transaction, and the exit code they add up to.
struct Report {
    listing: Listing<ResultView>,
    accepted: usize,
    refused: usize,
    not_found: usize,
}

impl Report {
    fn new(format: Format) -> Self {
        let cells = |result: &ResultView| {
            let accepted = if result.accepted { "yes" } else { "no" };
            vec![
                result.gid.clone(),
                accepted.to_owned(),
                result.state.to_owned(),
                result
                    .failure
                    .as_ref()
                    .map(FailureView::text)
                    .unwrap_or_default(),
            ]
        };
        let listing = Listing::new(format, &["GID", "ACCEPTED", "STATE", "REASON"], cells);
        Self {
            listing,
            accepted: 0,
            refused: 0,
            not_found: 0,
        }
    }

    fn add(&mut self, results: &[ActionResult]) -> Result<(), CommandError> {
        let views: Vec<ResultView> = results.iter().map(Into::into).collect();
        for view in &views {
            match (view.accepted, view.not_found()) {
                (true, _) => self.accepted += 1,
                (false, true) => self.not_found += 1,
                (false, false) => self.refused += 1,
            }
        }
        self.listing.push(views)
    }

    fn finish(self) -> Result<Exit, CommandError> {
        self.listing.finish()?;
        Ok(match (self.accepted, self.refused, self.not_found) {
            (_, 0, 0) => Exit::Done,
            (0, 0, _) => Exit::NotFound,
            (0, _, _) => Exit::Refused,
            _ => Exit::Partly,
        })
    }
}
