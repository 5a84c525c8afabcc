//! A service as a process: its steps for the coordinator, its queries for
//! the front.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use amends::participant::ParticipantBuilder;
use amends::{Client, Database, Participant};
use clap::{Args, ValueEnum};
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use super::pay::PayArgs;
use super::{CoordinatorAt, RoleError, announce, the_end};
use crate::holds::Holds;
use crate::proto::coupon_service_server::CouponServiceServer;
use crate::proto::goods_service_server::GoodsServiceServer;
use crate::proto::order_service_server::OrderServiceServer;
use crate::proto::pay_service_server::PayServiceServer;
use crate::proto::user_service_server::UserServiceServer;
use crate::services::coupon::{self, CouponQueries, Coupons};
use crate::services::goods::{self, Goods, GoodsQueries};
use crate::services::mail::{self, Mails};
use crate::services::order::{self, OrderQueries, Orders};
use crate::services::pay::{self, PayQueries, UNPAID_AFTER};
use crate::services::paylog::{self, PayLog};
use crate::services::user::{self, UserQueries, Users};

/// How long a service waits until it is subscribed to all its messages.
const MAX_SUBSCRIBE: Duration = Duration::from_secs(10);

/// Which service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Role {
    /// Orders.
    Order,
    /// Goods and stock.
    Goods,
    /// Coupons.
    Coupon,
    /// Users and balances.
    User,
    /// Mails to customers.
    Mail,
    /// Payments.
    Pay,
    /// What became of payments.
    #[value(name = "paylog")]
    PayLog,
}

/// Arguments of `shop service`.
#[derive(Clone, Debug, Args)]
pub struct ServiceArgs {
    /// Which service.
    pub role: Role,
    /// Its database: sqlite:FILE, postgres://.. or mysql://..
    #[arg(
        long,
        env = "SHOP_DATABASE",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub database: String,
    /// The coordinator to work for.
    #[command(flatten)]
    pub coordinator: CoordinatorAt,
    /// Where the coordinator calls it; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub listen: String,
    /// What the coordinator calls instead, where that is another address: host:port.
    #[arg(long, value_name = "ADDR")]
    pub advertise: Option<String>,
    /// Where the front asks it.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub queries: String,
    /// How long the order service lets a confirmed order wait for its payment [default: 30m]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub unpaid_after: Option<Duration>,
    /// What the pay service needs beside that.
    #[command(flatten)]
    pub pay: PayArgs,
    /// Folder in which a demonstration holds steps.
    #[arg(long, value_name = "DIR", hide = true)]
    pub holds: Option<PathBuf>,
    /// End when standard input ends.
    #[arg(long)]
    pub until_stdin_ends: bool,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Order,
        Self::Goods,
        Self::Coupon,
        Self::User,
        Self::Mail,
        Self::Pay,
        Self::PayLog,
    ];

    /// Those that the front asks.
    pub const ASKED: [Self; 5] = [
        Self::Order,
        Self::Goods,
        Self::Coupon,
        Self::User,
        Self::Pay,
    ];

    /// Its name, which is also the service's.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Goods => "goods",
            Self::Coupon => "coupon",
            Self::User => "user",
            Self::Mail => "mail",
            Self::Pay => "pay",
            Self::PayLog => "paylog",
        }
    }
}

/// Runs a service until the process is told to end.
///
/// # Errors
/// When the database, an address or the coordinator refuses.
pub async fn run_service(args: ServiceArgs) -> Result<(), RoleError> {
    let database = Database::connect(&args.database).await?;
    let listener = TcpListener::bind(&args.queries).await?;
    let queries_address = listener.local_addr()?;
    let (builder, queries) = offer(&args, &database, queries_address).await?;
    let builder = builder
        .listen(args.listen)
        .access(args.coordinator.access().await?)
        .coordinator(args.coordinator.url);
    let builder = match args.advertise {
        Some(address) => builder.advertise(address),
        None => builder,
    };
    let running = builder.start().await?;
    running.registered().await;
    // What is published before would not reach this service. Without a broker it is not waited for.
    let subscribed = tokio::time::timeout(MAX_SUBSCRIBE, running.subscribed()).await;
    if subscribed.is_err() {
        tracing::warn!("not every message is subscribed to yet; going on");
    }
    announce(&format!(
        "shop {} listening on {} queries on {queries_address}",
        args.role.as_str(),
        running.address(),
    ));
    let until_stdin_ends = args.until_stdin_ends;
    let (_, health) = tonic_health::server::health_reporter();
    let serving = Server::builder()
        // The provider's callbacks are plain HTTP.
        .accept_http1(args.role == Role::Pay)
        .add_routes(queries.add_service(health))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    // A query may be cut short: it changes nothing, and is asked again. So is a callback.
    let served = tokio::select! {
        served = serving => served,
        () = the_end(until_stdin_ends) => Ok(()),
    };
    running.shutdown().await;
    database.close().await;
    Ok(served?)
}

/// Creates the service's tables and says what it offers, to whom.
async fn offer(
    args: &ServiceArgs,
    database: &Database,
    queries: SocketAddr,
) -> Result<(ParticipantBuilder, Routes), RoleError> {
    let builder = Participant::builder(database.clone());
    let holds = args.holds.clone();
    let holds = holds.map_or_else(Holds::none, Holds::in_folder);
    let queried = database.clone();
    Ok(match args.role {
        Role::Order => {
            order::table::create(database).await?;
            let queries = OrderServiceServer::new(OrderQueries { database: queried });
            let unpaid_after = args.unpaid_after.unwrap_or(UNPAID_AFTER);
            let orders = Orders {
                unpaid_after,
                holds,
            };
            (builder.service(orders), Routes::new(queries))
        }
        Role::Goods => {
            goods::table::create(database).await?;
            let queries = GoodsServiceServer::new(GoodsQueries { database: queried });
            (builder.service(Goods { holds }), Routes::new(queries))
        }
        Role::Coupon => {
            coupon::table::create(database).await?;
            let queries = CouponServiceServer::new(CouponQueries { database: queried });
            (builder.service(Coupons { holds }), Routes::new(queries))
        }
        Role::User => {
            user::table::create(database).await?;
            let queries = UserServiceServer::new(UserQueries { database: queried });
            (builder.service(Users { holds }), Routes::new(queries))
        }
        Role::Mail => {
            mail::table::create(database).await?;
            (builder.service(Mails), Routes::default())
        }
        Role::Pay => {
            pay::table::create(database).await?;
            let access = args.coordinator.access().await?;
            let client = Client::connect_with(&args.coordinator.url, &access)?;
            let payments = args.pay.open(client, database, holds, queries).await?;
            let routes = Routes::from(pay::callbacks(payments.clone()));
            let queries = PayServiceServer::new(PayQueries {
                payments: payments.clone(),
            });
            (builder.service(payments), routes.add_service(queries))
        }
        Role::PayLog => {
            paylog::table::create(database).await?;
            (builder.service(PayLog), Routes::default())
        }
    })
}
