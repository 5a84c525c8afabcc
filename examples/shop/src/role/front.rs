//! The front as a process.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;

use super::{CoordinatorAt, RoleError, announce, the_end};
use crate::front::{BUY_WITHIN, Front, PATIENCE, Peers};
use crate::holds::Holds;

/// Arguments of `shop front`.
#[derive(Clone, Debug, Args)]
pub struct FrontArgs {
    /// Where orders go.
    #[command(flatten)]
    pub coordinator: CoordinatorAt,
    /// The queries of the order service.
    #[arg(long, value_name = "URL")]
    pub order: String,
    /// The queries of the goods service.
    #[arg(long, value_name = "URL")]
    pub goods: String,
    /// The queries of the coupon service.
    #[arg(long, value_name = "URL")]
    pub coupon: String,
    /// The queries of the user service.
    #[arg(long, value_name = "URL")]
    pub user: String,
    /// The queries of the pay service.
    #[arg(long, value_name = "URL")]
    pub pay: String,
    /// Where customers come; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// How long a purchase may take before everything that it holds is let go [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub buy_within: Option<Duration>,
    /// Folder in which a demonstration holds purchases.
    #[arg(long, value_name = "DIR", hide = true)]
    pub holds: Option<PathBuf>,
    /// End when standard input ends.
    #[arg(long)]
    pub until_stdin_ends: bool,
}

/// Runs the front until the process is told to end.
///
/// # Errors
/// When an address cannot be used.
pub async fn run_front(args: FrontArgs) -> Result<(), RoleError> {
    let front = Front::new(&Peers {
        access: args.coordinator.access().await?,
        coordinator: args.coordinator.url,
        order: args.order,
        goods: args.goods,
        coupon: args.coupon,
        user: args.user,
        pay: args.pay,
        patience: PATIENCE,
        buy_within: args.buy_within.unwrap_or(BUY_WITHIN),
        holds: args.holds.map_or_else(Holds::none, Holds::in_folder),
    })?;
    let listener = TcpListener::bind(&args.listen).await?;
    announce(&format!(
        "shop front listening on {}",
        listener.local_addr()?
    ));
    front
        .serve(listener, the_end(args.until_stdin_ends))
        .await?;
    Ok(())
}
