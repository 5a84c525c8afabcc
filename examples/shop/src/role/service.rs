//! A service as a process: its steps for the coordinator, its queries for
//! the front.

use std::path::PathBuf;

use amends::Database;
use amends::Participant;
use amends::participant::ParticipantBuilder;
use clap::{Args, ValueEnum};
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use super::{CoordinatorAt, RoleError, announce, the_end};
use crate::holds::Holds;
use crate::proto::coupon_service_server::CouponServiceServer;
use crate::proto::goods_service_server::GoodsServiceServer;
use crate::proto::order_service_server::OrderServiceServer;
use crate::proto::user_service_server::UserServiceServer;
use crate::services::coupon::{self, CouponQueries, Coupons};
use crate::services::goods::{self, Goods, GoodsQueries};
use crate::services::mail::{self, Mails};
use crate::services::order::{self, OrderQueries, Orders};
use crate::services::user::{self, UserQueries, Users};

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
    /// Folder in which a demonstration holds steps.
    #[arg(long, value_name = "DIR", hide = true)]
    pub holds: Option<PathBuf>,
    /// End when standard input ends.
    #[arg(long)]
    pub until_stdin_ends: bool,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Order,
        Self::Goods,
        Self::Coupon,
        Self::User,
        Self::Mail,
    ];

    /// Those that the front asks.
    pub const ASKED: [Self; 4] = [Self::Order, Self::Goods, Self::Coupon, Self::User];

    /// Its name, which is also the service's.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Goods => "goods",
            Self::Coupon => "coupon",
            Self::User => "user",
            Self::Mail => "mail",
        }
    }
}

/// Runs a service until the process is told to end.
///
/// # Errors
/// When the database, an address or the coordinator refuses.
pub async fn run_service(args: ServiceArgs) -> Result<(), RoleError> {
    let database = Database::connect(&args.database).await?;
    let holds = args.holds.map_or_else(Holds::none, Holds::in_folder);
    let builder = Participant::builder(database.clone());
    let (builder, queries) = offer(args.role, &database, holds, builder).await?;
    let listener = TcpListener::bind(&args.queries).await?;
    let queries_address = listener.local_addr()?;
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
    announce(&format!(
        "shop {} listening on {} queries on {queries_address}",
        args.role.as_str(),
        running.address(),
    ));
    let until_stdin_ends = args.until_stdin_ends;
    let (_, health) = tonic_health::server::health_reporter();
    let serving = Server::builder()
        .add_routes(queries.add_service(health))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    // A query may be cut short: it changes nothing, and is asked again.
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
    role: Role,
    database: &Database,
    holds: Holds,
    builder: ParticipantBuilder,
) -> Result<(ParticipantBuilder, Routes), RoleError> {
    let queried = database.clone();
    Ok(match role {
        Role::Order => {
            order::table::create(database).await?;
            let queries = OrderServiceServer::new(OrderQueries { database: queried });
            (builder.service(Orders { holds }), Routes::new(queries))
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
    })
}
