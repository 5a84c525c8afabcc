//! Publishes again what a service's outbox could not: a message counts as
//! failed when it used up its attempts or its time, or was refused.
//!
//! What is merely waiting needs nobody: the service tries it by itself, one
//! sender at a time. It only changes the outbox; the running service publishes.

use amends::outbox::{self, State};
use amends::{Database, DatabaseError};
use clap::Args;

use super::{RoleError, announce};

/// Messages read at a time.
const BATCH: u32 = 100;

/// Arguments of `shop resend`.
#[derive(Clone, Debug, Args)]
pub struct ResendArgs {
    /// The service's database: sqlite:FILE, postgres://.. or mysql://..
    #[arg(
        long,
        env = "SHOP_DATABASE",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub database: String,
    /// How many at most.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub limit: u32,
}

/// Sends failed messages again and says how many there were.
///
/// # Errors
/// When the database cannot be used.
pub async fn run_resend(args: &ResendArgs) -> Result<(), RoleError> {
    let database = Database::connect(&args.database).await?;
    let resent = resend(&database, args.limit).await;
    database.close().await;
    announce(&format!("{} messages will be sent again", resent?));
    Ok(())
}

/// Sends at most so many failed messages again, oldest first; returns how many.
///
/// # Errors
/// When the database cannot be used; what was done before stays done.
pub async fn resend(database: &Database, limit: u32) -> Result<u32, DatabaseError> {
    let mut resent = 0;
    while resent < limit {
        let failed = outbox::list(database, State::Failed, BATCH.min(limit - resent)).await?;
        if failed.is_empty() {
            break;
        }
        for message in failed {
            resent += u32::from(outbox::resend(database, &message.id).await?);
        }
    }
    Ok(resent)
}
