//! `amends consumer`.

mod lookup;

use std::time::Duration;

use amends_proto::v1::subscription::Filter;
use amends_proto::v1::{
    ConsumeMode, CreateSubscriptionRequest, DeleteSubscriptionRequest, ListSubscriptionsRequest,
    Subscription, SubscriptionStatus,
};
use clap::{Args, Subcommand};

use super::args::duration;
use super::connect::{ConnectArgs, Remote};
use super::definition_file::Span;
use super::error::{CommandError, note};
use super::exit::Exit;
use super::message::SubscriptionView;
use super::output::{Format, Listing};
use super::page::read_pages;
use lookup::LookupArgs;

/// Arguments of `amends consumer`.
#[derive(Debug, Args)]
pub(super) struct ConsumerArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(subcommand)]
    command: ConsumerCommand,
}

#[derive(Debug, Subcommand)]
enum ConsumerCommand {
    /// List subscriptions with their backlog
    List {
        /// Only this group
        #[arg(long, default_value = "")]
        group: String,
        /// Only this topic
        #[arg(long, default_value = "")]
        topic: String,
    },
    /// Make a subscription before its first consumer comes, or change its settings
    Create(CreateArgs),
    /// End a subscription; what it has not handled is gone with it
    #[command(after_help = "Example: amends consumer delete mailer orders --yes")]
    Delete {
        /// The group
        group: String,
        /// The topic
        topic: String,
        /// Why; kept
        #[arg(long, default_value = "")]
        reason: String,
        /// Really do it
        #[arg(long)]
        yes: bool,
    },
    /// Say whether a message was handled by a group
    Lookup(LookupArgs),
}

/// Arguments of `amends consumer create`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    amends consumer create mailer orders --tags 'paid || refunded'\n  \
    amends consumer create audit orders --sql \"amount > 1000 AND region IN ('eu', 'uk')\" --retry 1s,10s,1m")]
struct CreateArgs {
    /// The group
    group: String,
    /// The topic
    topic: String,
    /// Only messages with these tags, separated by ||
    #[arg(long)]
    tags: Option<String>,
    /// Only messages of which this SQL92 condition on headers, tag, key and id is true
    #[arg(long, conflicts_with = "tags", value_name = "CONDITION")]
    sql: Option<String>,
    /// Attempts in all before a message is a dead letter; 0: as many as --retry has waits
    #[arg(long, default_value_t = 0, value_name = "N")]
    max_attempts: u32,
    /// Waits after the first, second, … failed attempt, separated by commas; the last repeats. Default:
    /// 10 s, 30 s, 1 to 10 min, 20 min, 30 min, 1 h, 2 h
    #[arg(long, value_parser = duration, value_delimiter = ',', value_name = "TIME,…")]
    retry: Vec<Duration>,
}

pub(super) fn run(args: ConsumerArgs) -> Result<Exit, CommandError> {
    let connect = &args.connect;
    let format = connect.output;
    match args.command {
        ConsumerCommand::List { group, topic } => {
            connect.with(async |remote| list(&remote, format, group, topic).await)
        }
        ConsumerCommand::Create(args) => {
            connect.with(async |remote| create(&remote, format, args).await)
        }
        ConsumerCommand::Delete { yes: false, .. } => Err(CommandError::Usage(
            "what the group has not handled will be gone; add --yes".to_owned(),
        )),
        ConsumerCommand::Delete {
            group,
            topic,
            reason,
            ..
        } => connect.with(async |remote| {
            let request = DeleteSubscriptionRequest {
                group,
                topic,
                reason,
            };
            remote.consumers().delete_subscription(request).await?;
            note("it has ended");
            Ok(Exit::Done)
        }),
        ConsumerCommand::Lookup(args) => {
            connect.with(async |remote| lookup::run(&remote, format, &args).await)
        }
    }
}

async fn list(
    remote: &Remote,
    format: Format,
    group: String,
    topic: String,
) -> Result<Exit, CommandError> {
    let mut listing = Listing::new(format, SubscriptionView::HEADERS, SubscriptionView::cells);
    let mut client = remote.consumers();
    let fetch = async |page_size, page_token| {
        let request = ListSubscriptionsRequest {
            group: group.clone(),
            topic: topic.clone(),
            page_size,
            page_token,
        };
        let page = client.list_subscriptions(request).await?.into_inner();
        let subscriptions = page.subscriptions.iter().map(Into::into).collect();
        Ok((subscriptions, page.next_page_token))
    };
    read_pages(None, fetch, |page| listing.push(page)).await?;
    listing.finish()?;
    Ok(Exit::Done)
}

async fn create(remote: &Remote, format: Format, args: CreateArgs) -> Result<Exit, CommandError> {
    let waits = args.retry.into_iter();
    let subscription = Subscription {
        group: args.group,
        topic: args.topic,
        filter: args.sql.map(Filter::Sql).or(args.tags.map(Filter::Tags)),
        mode: ConsumeMode::Clustering.into(),
        max_attempts: args.max_attempts,
        retry_schedule: waits.map(|wait| Span(wait).to_proto()).collect(),
    };
    let request = CreateSubscriptionRequest {
        subscription: Some(subscription),
    };
    let answer = remote.consumers().create_subscription(request).await?;
    let answer = answer.into_inner();
    if !answer.created {
        note("it was there before; these are its settings now");
    }
    let status = SubscriptionStatus {
        subscription: answer.subscription,
        ..Default::default()
    };
    let mut listing = Listing::new(
        format,
        &SubscriptionView::HEADERS[..4],
        |view: &SubscriptionView| {
            let mut cells = view.cells();
            cells.truncate(4);
            cells
        },
    );
    listing.push(vec![SubscriptionView::from(&status)])?;
    listing.finish()?;
    Ok(Exit::Done)
}
