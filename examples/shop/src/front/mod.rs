//! The shop over HTTP: what customers see.
//!
//! It has no data of its own: orders go to the coordinator as sagas, purchases as TCCs,
//! questions to the services over gRPC. An order that takes longer than
//! the customer waits is answered with its address; it goes on without them.

mod answer;
mod orders;
mod page;
mod payments;
mod purchases;
mod queries;
mod request;

use std::sync::Arc;
use std::time::Duration;

use amends::{Access, Client};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tonic::transport::{Channel, Endpoint};

use crate::holds::Holds;

pub use answer::Problem;
pub use purchases::PurchaseRequest;
pub use request::OrderRequest;

/// How long a customer waits for the end of an order.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How long a purchase may take before everything that it holds is let go.
pub const BUY_WITHIN: Duration = Duration::from_secs(30);

/// No order is longer.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// An answer to a question takes no longer.
pub(crate) const QUERY_TIMEOUT: Duration = Duration::from_secs(3);

/// Where the front finds the others: URLs such as `http://127.0.0.1:7431`.
#[derive(Clone, Debug)]
pub struct Peers {
    /// The coordinator.
    pub coordinator: String,
    /// What the coordinator asks of those who call it.
    pub access: Access,
    /// The order service's queries.
    pub order: String,
    /// The goods service's queries.
    pub goods: String,
    /// The coupon service's queries.
    pub coupon: String,
    /// The user service's queries.
    pub user: String,
    /// The pay service's queries.
    pub pay: String,
    /// How long customers wait for the end of an order; [`PATIENCE`] for people.
    pub patience: Duration,
    /// How long a purchase may take; [`BUY_WITHIN`] for people.
    pub buy_within: Duration,
    /// Where scenarios can make it wait.
    pub holds: Holds,
}

/// Why the front does not start.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// The coordinator's address is none.
    #[error("the coordinator's address cannot be used")]
    Coordinator(#[from] amends::ClientError),
    /// The address of a service is none.
    #[error("`{0}` is no address of a service")]
    Service(String),
}

/// The shop's front; cheap to clone.
#[derive(Clone, Debug)]
pub struct Front {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    patience: Duration,
    buy_within: Duration,
    holds: Holds,
    order: Channel,
    goods: Channel,
    coupon: Channel,
    user: Channel,
    pay: Channel,
}

impl Front {
    /// A front that asks these. Connections are made when needed; must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// When an address is none.
    pub fn new(peers: &Peers) -> Result<Self, FrontError> {
        let inner = Inner {
            client: Client::connect_with(&peers.coordinator, &peers.access)?
                .with_patience(peers.patience),
            patience: peers.patience,
            buy_within: peers.buy_within,
            holds: peers.holds.clone(),
            order: channel(&peers.order)?,
            goods: channel(&peers.goods)?,
            coupon: channel(&peers.coupon)?,
            user: channel(&peers.user)?,
            pay: channel(&peers.pay)?,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Its HTTP routes.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/", get(page::page))
            .route("/orders", post(orders::place))
            .route("/orders/{id}", get(orders::show))
            .route("/orders/{id}/cancel", post(orders::cancel))
            .route("/orders/{id}/pay", post(payments::begin))
            .route("/coupons", post(purchases::buy))
            .route("/goods", get(queries::goods))
            .route("/users/{id}", get(queries::user))
            .fallback(answer::no_such_page)
            .method_not_allowed_fallback(answer::no_such_method)
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .with_state(self.clone())
    }

    /// Serves until `end` is ready; then answers what is under way.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        end: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        axum::serve(listener, self.router())
            .with_graceful_shutdown(end)
            .await
    }
}

fn channel(url: &str) -> Result<Channel, FrontError> {
    let endpoint = Endpoint::from_shared(url.to_owned());
    let endpoint = endpoint.map_err(|_| FrontError::Service(url.to_owned()))?;
    Ok(endpoint
        .timeout(QUERY_TIMEOUT)
        .connect_timeout(QUERY_TIMEOUT)
        .connect_lazy())
}
