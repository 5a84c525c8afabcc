//! Half messages: `amends msg halves`, `half`, `check`, `commit`, `rollback`, `producers`.

use amends_proto::v1::{
    CheckHalvesRequest, DecideHalfRequest, GetHalfRequest, GetHalfResponse, HalfState, HalfVerdict,
    ItemResult, ListHalvesRequest, ListProducersRequest,
};
use clap::{Args, ValueEnum};
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::admin::args::Extent;
use crate::admin::connect::Remote;
use crate::admin::error::{CommandError, note};
use crate::admin::exit::Exit;
use crate::admin::items::{in_calls_of, on_each};
use crate::admin::message::{CheckView, HalfView, HalfWithChecks, ProducerView};
use crate::admin::output::{Format, Listing, pairs, print_one, table};
use crate::admin::page::{Rest, read_pages};

/// Arguments of `amends msg halves`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    amends msg halves --state stuck       what needs a person\n  \
    amends msg halves --state prepared --producer shop")]
pub(super) struct HalvesArgs {
    /// Only this state; several with commas
    #[arg(long, value_enum, ignore_case = true, value_delimiter = ',')]
    state: Vec<StateArg>,
    /// Only this producer group
    #[arg(long)]
    producer: Option<String>,
    #[command(flatten)]
    extent: Extent,
}

/// The states of a half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StateArg {
    /// Waits for its verdict
    Prepared,
    /// To be delivered
    Committed,
    /// Delivered to nobody
    #[value(alias = "rolled_back")]
    RolledBack,
    /// Its checks are used up; needs a person
    Stuck,
}

impl StateArg {
    fn to_proto(self) -> i32 {
        i32::from(match self {
            Self::Prepared => HalfState::Prepared,
            Self::Committed => HalfState::Committed,
            Self::RolledBack => HalfState::RolledBack,
            Self::Stuck => HalfState::Stuck,
        })
    }
}

/// Arguments of `amends msg commit` and `rollback`.
#[derive(Debug, Args)]
pub(super) struct DecideArgs {
    /// Half ids
    #[arg(required = true, value_name = "HALF_ID")]
    ids: Vec<String>,
    /// Why; kept
    #[arg(long)]
    reason: String,
}

pub(super) async fn list(
    remote: &Remote,
    format: Format,
    args: &HalvesArgs,
) -> Result<Exit, CommandError> {
    let request = ListHalvesRequest {
        states: args.state.iter().map(|state| state.to_proto()).collect(),
        producer: args.producer.clone().unwrap_or_default(),
        ..Default::default()
    };
    let mut listing = Listing::new(format, HalfView::HEADERS, HalfView::cells);
    let mut client = remote.halves();
    let fetch = async |page_size, page_token| {
        let request = ListHalvesRequest {
            page_size,
            page_token,
            ..request.clone()
        };
        let page = client.list_halves(request).await?.into_inner();
        let halves = page.halves.iter().map(Into::into).collect();
        Ok((halves, page.next_page_token))
    };
    let rest = read_pages(args.extent.limit(), fetch, |page| listing.push(page)).await?;
    listing.finish()?;
    if rest == Rest::More {
        let limit = args.extent.limit;
        note(&format!(
            "there are more than {limit}; see --limit and --all"
        ));
    }
    Ok(Exit::Done)
}

/// Prints one half with its checks.
pub(super) async fn get(
    remote: &Remote,
    format: Format,
    half_id: String,
) -> Result<Exit, CommandError> {
    let request = GetHalfRequest { half_id };
    let answer = remote.halves().get_half(request).await?.into_inner();
    print_one(format, &HalfWithChecks::from(&answer), |_| text(&answer))?;
    Ok(Exit::Done)
}

fn text(answer: &GetHalfResponse) -> String {
    let half = HalfView::from(&answer.half.clone().unwrap_or_default());
    let head = pairs(half.pairs());
    if answer.checks.is_empty() {
        return head;
    }
    let checks = answer.checks.iter().map(CheckView::from);
    let checks = table(CheckView::HEADERS, checks.map(|it| it.cells()));
    format!("{head}\n{checks}")
}

/// Has the producers asked now.
pub(super) async fn check(
    remote: &Remote,
    format: Format,
    ids: &[String],
) -> Result<Exit, CommandError> {
    let mut client = remote.halves();
    let check = async |half_ids| {
        let request = CheckHalvesRequest { half_ids };
        Ok(client.check_halves(request).await?.into_inner().results)
    };
    on_each(format, ids, check).await
}

/// Decides by hand.
pub(super) async fn settle(
    remote: &Remote,
    format: Format,
    args: &DecideArgs,
    verdict: HalfVerdict,
) -> Result<Exit, CommandError> {
    let mut client = remote.halves();
    let settle = async |ids: Vec<String>| {
        let mut results = Vec::with_capacity(ids.len());
        for half_id in ids {
            let request = DecideHalfRequest {
                half_id: half_id.clone(),
                verdict: verdict.into(),
                producer: String::new(),
                reason: args.reason.clone(),
            };
            let decided = client.decide_half(request).await;
            results.push(result(half_id, decided.map(drop))?);
        }
        Ok(results)
    };
    in_calls_of(1, format, &args.ids, settle).await
}

/// What is wrong with one half does not keep the others from being decided.
fn result(id: String, decided: Result<(), Status>) -> Result<ItemResult, CommandError> {
    let Err(status) = decided else {
        return Ok(ItemResult {
            id,
            done: true,
            ..Default::default()
        });
    };
    match status.get_details_error_info() {
        Some(info) if ITS_OWN.contains(&info.reason.as_str()) => Ok(ItemResult {
            id,
            code: info.reason,
            message: status.message().to_owned(),
            ..Default::default()
        }),
        _ => Err(status.into()),
    }
}

/// Codes that are about one half and do not keep the others from being decided.
const ITS_OWN: [&str; 3] = ["HALF_DECIDED", "HALF_NOT_FOUND", "HALF_ID_INVALID"];

/// Lists producer groups.
pub(super) async fn producers(remote: &Remote, format: Format) -> Result<Exit, CommandError> {
    let mut listing = Listing::new(format, ProducerView::HEADERS, ProducerView::cells);
    let mut client = remote.halves();
    let fetch = async |page_size, page_token| {
        let request = ListProducersRequest {
            page_size,
            page_token,
        };
        let page = client.list_producers(request).await?.into_inner();
        let producers = page.producers.iter().map(Into::into).collect();
        Ok((producers, page.next_page_token))
    };
    read_pages(None, fetch, |page| listing.push(page)).await?;
    listing.finish()?;
    Ok(Exit::Done)
}
