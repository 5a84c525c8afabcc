//! `amends participant list`.

use amends_proto::v1::ListParticipantsRequest;
use clap::{Args, Subcommand};

use super::connect::{ConnectArgs, Remote};
use super::error::CommandError;
use super::exit::Exit;
use super::output::Listing;
use super::page::read_pages;
use super::view::ParticipantView;

/// Arguments of `amends participant`.
#[derive(Debug, Args)]
pub(super) struct ParticipantArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(subcommand)]
    command: ParticipantCommand,
}

#[derive(Debug, Subcommand)]
enum ParticipantCommand {
    /// List instances by service, and whether calls go to them
    List {
        /// Only this service
        #[arg(long)]
        service: Option<String>,
    },
}

pub(super) fn run(args: ParticipantArgs) -> Result<Exit, CommandError> {
    let ParticipantCommand::List { service } = args.command;
    args.connect.with(async |remote: Remote| {
        const HEADERS: [&str; 7] = [
            "SERVICE",
            "INSTANCE",
            "ADDRESS",
            "AVAILABLE",
            "IN FLIGHT",
            "HEARTBEAT",
            "STEPS",
        ];
        let mut client = remote.registry();
        let mut listing = Listing::new(args.connect.output, &HEADERS, ParticipantView::cells);
        let fetch = async |page_size, page_token| {
            let service = service.clone().unwrap_or_default();
            let request = ListParticipantsRequest {
                service,
                page_size,
                page_token,
            };
            let page = client.list_participants(request).await?.into_inner();
            Ok((
                page.participants.iter().map(Into::into).collect(),
                page.next_page_token,
            ))
        };
        read_pages(None, fetch, |page| listing.push(page)).await?;
        listing.finish()?;
        Ok(Exit::Done)
    })
}
