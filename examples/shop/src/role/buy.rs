//! A customer's own process that buys with a live saga, and can be killed in the middle of it.

use std::time::Duration;

use amends::{Client, Outcome};
use clap::Args;

use super::{CoordinatorAt, RoleError, announce, the_end};
use crate::domain::PlaceOrder;
use crate::live::buy;

/// Arguments of `shop buy`.
#[derive(Clone, Debug, Args)]
pub struct BuyArgs {
    /// The coordinator to buy through.
    #[command(flatten)]
    pub coordinator: CoordinatorAt,
    /// What to buy, as JSON.
    #[arg(long, value_name = "JSON", value_parser = order)]
    pub order: PlaceOrder,
    /// How many seconds it may be silent before its order is undone.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub lease: u32,
    /// End when standard input ends.
    #[arg(long)]
    pub until_stdin_ends: bool,
}

/// Buys and says in one line what came of it: the receipt, or a code and a message.
///
/// # Errors
/// When the coordinator cannot be reached, or somebody else buys under this id.
pub async fn run_buy(args: BuyArgs) -> Result<(), RoleError> {
    let access = args.coordinator.access().await?;
    let client = Client::connect_with(&args.coordinator.url, &access)?;
    let lease = Duration::from_secs(args.lease.into());
    let outcome = tokio::select! {
        outcome = buy(&client, args.order, lease) => outcome?,
        () = the_end(args.until_stdin_ends) => return Ok(()),
    };
    announce(&match outcome {
        Outcome::Completed(receipt) => {
            format!("confirmed, {} left to pay", receipt.pay_amount)
        }
        Outcome::Compensated { code, message, .. } => format!("{code}: {message}"),
        Outcome::Stuck { reason } | Outcome::Forced { reason } => format!("stuck: {reason}"),
        Outcome::Pending => "is being undone".to_owned(),
    });
    Ok(())
}

fn order(json: &str) -> Result<PlaceOrder, serde_json::Error> {
    serde_json::from_str(json)
}
