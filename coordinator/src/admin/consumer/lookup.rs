//! `amends consumer lookup`: was message X handled by group Y?

use amends_proto::v1::{
    Delivery, DeliveryState, GetMessageRequest, LookupDeliveriesRequest, MessageState,
    MessageStatus,
};
use clap::Args;
use tonic::Code;

use crate::admin::connect::Remote;
use crate::admin::error::CommandError;
use crate::admin::exit::Exit;
use crate::admin::message::DeliveryView;
use crate::admin::output::{Format, Listing, print};
use crate::admin::page::read_pages;
use crate::admin::show;

/// Arguments of `amends consumer lookup`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    amends consumer lookup m-1 --group mailer    was m-1 handled by mailer?\n  \
    amends consumer lookup --key order-7         what became of the messages about order-7?\n\n\
    Exit codes: 0 something is known, 4 nothing is")]
pub(super) struct LookupArgs {
    /// The message
    #[arg(value_name = "MESSAGE", required_unless_present = "key")]
    id: Option<String>,
    /// Messages with this key
    #[arg(long, conflicts_with = "id")]
    key: Option<String>,
    /// In this group only
    #[arg(long)]
    group: Option<String>,
}

pub(super) async fn run(
    remote: &Remote,
    format: Format,
    args: &LookupArgs,
) -> Result<Exit, CommandError> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut found = Vec::new();
    let mut client = remote.consumers();
    let fetch = async |page_size, page_token| {
        let request = LookupDeliveriesRequest {
            message_id: text(&args.id),
            key: text(&args.key),
            group: text(&args.group),
            page_size,
            page_token,
        };
        let page = client.lookup_deliveries(request).await?.into_inner();
        Ok((page.deliveries, page.next_page_token))
    };
    read_pages(None, fetch, |page| {
        found.extend(page);
        Ok(())
    })
    .await?;
    let exit = if found.is_empty() {
        Exit::NotFound
    } else {
        Exit::Done
    };
    if format != Format::Table {
        let mut listing = Listing::new(format, &[], |_: &DeliveryView| Vec::new());
        listing.push(found.iter().map(Into::into).collect())?;
        listing.finish()?;
        return Ok(exit);
    }
    if found.is_empty() {
        print(&nothing(remote, args).await?)?;
    } else {
        let sentences: String = found.iter().map(sentence).collect();
        print(&sentences)?;
    }
    Ok(exit)
}

/// One delivery in a plain sentence.
fn sentence(delivery: &Delivery) -> String {
    let Delivery {
        group,
        message_id: id,
        attempts,
        last_error,
        ..
    } = delivery;
    let changed = show::time(delivery.update_time.as_ref());
    let error = match last_error.as_str() {
        "" => String::new(),
        error => format!(" The last one failed: {error}"),
    };
    let tried = match attempts {
        0 => String::new(),
        1 => " One attempt has failed.".to_owned(),
        many => format!(" {many} attempts have failed."),
    };
    let text = match delivery.state() {
        DeliveryState::Done => {
            format!("Yes: message {id} was handled by group {group} at {changed}.")
        }
        DeliveryState::Leased => {
            format!("Not yet: a consumer of group {group} has message {id} now.{tried}{error}")
        }
        DeliveryState::Retrying => format!(
            "Not yet: message {id} waits in group {group} for its next attempt at {}.{tried}{error}",
            show::time(delivery.next_attempt_time.as_ref()),
        ),
        DeliveryState::Dead => format!(
            "No: message {id} is a dead letter of group {group} since {changed}.{tried}{error}"
        ),
        DeliveryState::Ready | DeliveryState::Unspecified => {
            format!("Not yet: message {id} waits for a consumer of group {group}.{tried}{error}")
        }
    };
    format!("{text}\n")
}

/// Why nothing is known, as far as that can be told.
async fn nothing(remote: &Remote, args: &LookupArgs) -> Result<String, CommandError> {
    let to = match &args.group {
        Some(group) => format!("group {group}"),
        None => "any group".to_owned(),
    };
    let Some(id) = &args.id else {
        let key = args.key.clone().unwrap_or_default();
        return Ok(format!(
            "No: no message with key {key} was delivered to {to}.\n"
        ));
    };
    let request = GetMessageRequest { id: id.clone() };
    let why = match remote.messages().get_message(request).await {
        Ok(answer) => {
            let status = answer.into_inner().message.unwrap_or_default();
            if status.state() == MessageState::Published {
                return Ok(format!(
                    "Not as far as is known: message {id} was published, but nothing is noted of it in {to}. \
                     It waits at the broker, or the group did not want it or did not exist yet.\n"
                ));
            }
            state(&status)
        }
        Err(status) if status.code() == Code::NotFound => {
            "there is no such message, or it was removed after its retention".to_owned()
        }
        Err(status) => return Err(status.into()),
    };
    Ok(format!(
        "No: message {id} was not delivered to {to}: {why}.\n"
    ))
}

/// Where a message is that was not published.
fn state(status: &MessageStatus) -> String {
    let message = status.message.clone().unwrap_or_default();
    let note = match status.last_error.as_str() {
        "" => String::new(),
        error => format!(" ({error})"),
    };
    match status.state() {
        MessageState::Committed => match &message.deliver_time {
            Some(time) => format!(
                "it is not published yet{note}; it is due at {}",
                show::time(Some(time))
            ),
            None => format!("it is not published yet{note}"),
        },
        MessageState::Prepared => "its local transaction has not ended".to_owned(),
        MessageState::RolledBack => format!("it was taken back{note}"),
        MessageState::Stuck | MessageState::Published | MessageState::Unspecified => {
            format!("it needs a person{note}")
        }
    }
}
