//! `amends tx list`.

use amends_proto::v1::{ListTransactionsRequest, TransactionSummary};
use clap::Args;

use super::filter::{KindArg, StateArg};
use crate::admin::args::{Extent, Since};
use crate::admin::connect::Remote;
use crate::admin::error::{CommandError, note};
use crate::admin::exit::Exit;
use crate::admin::output::{Format, Listing};
use crate::admin::page::{Rest, read_pages};
use crate::admin::view::SummaryView;

/// Arguments of `amends tx list`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  amends tx list --state stuck\n  \
    amends tx list --kind tcc --state confirming,compensating\n  \
    amends tx list --definition shop.confirm-order --since 1h --all -o jsonl")]
pub(super) struct ListArgs {
    /// Only this state; several with commas
    #[arg(long, value_enum, ignore_case = true, value_delimiter = ',')]
    state: Vec<StateArg>,
    /// Only this kind; several with commas
    #[arg(long, value_enum, ignore_case = true, value_delimiter = ',')]
    kind: Vec<KindArg>,
    /// Only this definition, or this name of a TCC
    #[arg(long, value_name = "NAME")]
    definition: Option<String>,
    /// Only those created since: a time span such as 1h, or a time such as 2026-01-31T08:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// Only ids that begin with this
    #[arg(long)]
    prefix: Option<String>,
    #[command(flatten)]
    extent: Extent,
}

impl ListArgs {
    fn request(&self) -> ListTransactionsRequest {
        ListTransactionsRequest {
            states: self.state.iter().map(|state| state.to_proto()).collect(),
            kinds: self.kind.iter().map(|kind| kind.to_proto()).collect(),
            definition: self.definition.clone().unwrap_or_default(),
            created_after: self.since.map(Since::to_proto),
            gid_prefix: self.prefix.clone().unwrap_or_default(),
            ..Default::default()
        }
    }
}

pub(super) async fn run(
    remote: &Remote,
    format: Format,
    args: &ListArgs,
) -> Result<Exit, CommandError> {
    let mut listing = Listing::new(
        format,
        &[
            "GID",
            "KIND",
            "STATE",
            "DEFINITION",
            "CREATED",
            "UPDATED",
            "CAUSE",
        ],
        SummaryView::cells,
    );
    let limit = args.extent.limit();
    let take = |page: Vec<TransactionSummary>| listing.push(page.iter().map(Into::into).collect());
    let rest = summaries(remote, args.request(), limit, take).await?;
    listing.finish()?;
    if rest == Rest::More {
        note(&format!(
            "there are more than {}; see --limit and --all",
            args.extent.limit
        ));
    }
    Ok(Exit::Done)
}

/// Reads all pages that a request selects.
pub(super) async fn summaries(
    remote: &Remote,
    request: ListTransactionsRequest,
    limit: Option<u32>,
    take: impl FnMut(Vec<TransactionSummary>) -> Result<(), CommandError>,
) -> Result<Rest, CommandError> {
    let mut client = remote.transactions();
    let fetch = async |page_size, page_token| {
        let request = ListTransactionsRequest {
            page_size,
            page_token,
            ..request.clone()
        };
        let page = client.list_transactions(request).await?.into_inner();
        Ok((page.transactions, page.next_page_token))
    };
    read_pages(limit, fetch, take).await
}
