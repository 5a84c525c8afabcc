//! `amends status`.

use std::time::Duration;

use amends_proto::v1::{GetStatusRequest, GetStatusResponse};
use clap::Args;

use super::connect::{ConnectArgs, Remote};
use super::error::CommandError;
use super::exit::Exit;
use super::output::{pairs, print_one};
use super::profile::{Counts, ProfileView};
use super::view::{BrokerView, StatusView};
use crate::config::value::parse_duration;

/// Arguments of `amends status`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  amends status\n  \
    amends status --profile             where the time of sagas went since it was started\n  \
    amends status --profile --for 10s   where it goes now")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Say where the time of sagas went: participants, commits, queues, the coordinator itself
    #[arg(long)]
    profile: bool,
    /// With --profile: only what ends within this time from now
    #[arg(long = "for", value_parser = span, requires = "profile", value_name = "TIME")]
    span: Option<Duration>,
}

pub(super) fn run(args: &StatusArgs) -> Result<Exit, CommandError> {
    args.connect.with(async |remote: Remote| {
        let mut earlier = None;
        if let Some(span) = args.span {
            earlier = counts(&ask(&remote, args).await?);
            tokio::time::sleep(span).await;
        }
        let status = ask(&remote, args).await?;
        let earlier = earlier.unwrap_or_default();
        let profile = counts(&status).map(|now| ProfileView::from(&now.since(&earlier)));
        let view = StatusView {
            profile,
            ..StatusView::from(&status)
        };
        print_one(args.connect.output, &view, text)?;
        Ok(Exit::Done)
    })
}

async fn ask(remote: &Remote, args: &StatusArgs) -> Result<GetStatusResponse, CommandError> {
    let request = GetStatusRequest {
        profile: args.profile,
    };
    Ok(remote.admin().get_status(request).await?.into_inner())
}

fn counts(status: &GetStatusResponse) -> Option<Counts> {
    status.profile.as_ref().map(Counts::from)
}

fn text(status: &StatusView) -> String {
    let head = pairs([
        ("version", status.version.clone()),
        ("incarnation", status.incarnation.clone()),
        ("started", status.start_time.clone().unwrap_or_default()),
        ("store", status.store.clone()),
        (
            "live",
            format!(
                "{} of at most {}",
                status.live_transactions, status.max_live_transactions
            ),
        ),
        (
            "recovered",
            if status.recovered { "yes" } else { "not yet" }.to_owned(),
        ),
        (
            "broker",
            status
                .broker
                .as_ref()
                .map(BrokerView::text)
                .unwrap_or_default(),
        ),
        ("silent producers", status.silent_producers.join(" ")),
    ]);
    let profile = status.profile.as_ref();
    profile.map_or_else(
        || head.clone(),
        |profile| format!("{head}\n{}", profile.text()),
    )
}

/// For clap: a time with its unit.
fn span(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "expected a time with its unit, such as 10s".to_owned())
}
