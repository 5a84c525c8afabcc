//! `amends status`.

use amends_proto::v1::GetStatusRequest;
use clap::Args;

use super::connect::{ConnectArgs, Remote};
use super::error::CommandError;
use super::exit::Exit;
use super::output::{pairs, print_one};
use super::view::StatusView;

/// Arguments of `amends status`.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(super) fn run(args: &StatusArgs) -> Result<Exit, CommandError> {
    args.connect.with(async |remote: Remote| {
        let status = remote
            .admin()
            .get_status(GetStatusRequest {})
            .await?
            .into_inner();
        print_one(args.connect.output, &StatusView::from(&status), |status| {
            pairs([
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
            ])
        })?;
        Ok(Exit::Done)
    })
}
