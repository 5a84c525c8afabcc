//! The numbers of a coordinator for Prometheus and what reads like it, as OpenMetrics text over HTTP.
//!
//! Read when they are asked for: nothing is kept for them but counters. Numbers and names of groups and topics
//! only; whoever reaches the address may read them.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::limit::ConcurrencyLimitLayer;

use super::error::ServeError;
use crate::broker::BrokerStatus;
use crate::engine::Engine;
use crate::messages::{Counted, Messages, MessagesHealth, SubscriptionFilter, SubscriptionView};

const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How long the store and the broker may take to say what waits; without that the rest is told.
const MAX_ASK: Duration = Duration::from_secs(5);
/// Most groups that are told of.
const MAX_GROUPS: u32 = 1_000;
/// Requests at a time.
const MAX_REQUESTS: usize = 4;

/// Whose numbers.
#[derive(Clone)]
struct Told {
    engine: Engine,
    messages: Messages,
}

/// The configured address, bound; nothing where there is none.
pub(super) struct Listening(Option<(TcpListener, SocketAddr)>);

impl Listening {
    /// Binds the address.
    pub(super) async fn bind(address: Option<SocketAddr>) -> Result<Self, ServeError> {
        let Some(address) = address else {
            return Ok(Self(None));
        };
        let failed = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        tracing::info!(%address, "metrics are at /metrics");
        Ok(Self(Some((listener, address))))
    }

    /// Serves until the token is cancelled; says where.
    pub(super) fn start(
        self,
        engine: &Engine,
        messages: &Messages,
        workers: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) -> Option<SocketAddr> {
        let (listener, address) = self.0?;
        let told = Told {
            engine: engine.clone(),
            messages: messages.clone(),
        };
        workers.spawn(serve(listener, told, stop.clone()));
        Some(address)
    }
}

/// Serves `GET /metrics` until the token is cancelled.
async fn serve(listener: TcpListener, told: Told, stop: CancellationToken) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .layer(ConcurrencyLimitLayer::new(MAX_REQUESTS))
        .with_state(told);
    // Whoever reads slowly is not waited for.
    tokio::select! {
        served = axum::serve(listener, router) => {
            if let Err(error) = served {
                tracing::error!(%error, "metrics are no longer served");
            }
            stop.cancelled().await;
        }
        () = stop.cancelled() => {}
    }
}

async fn metrics(State(told): State<Told>) -> Response {
    match text(told.look().await) {
        Ok(text) => ([(CONTENT_TYPE, FORMAT)], text).into_response(),
        Err(fmt::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn text(numbers: Numbers) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("amends");
    registry.register_collector(Box::new(numbers));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

impl Told {
    async fn look(&self) -> Numbers {
        let filter = SubscriptionFilter {
            limit: MAX_GROUPS,
            ..SubscriptionFilter::default()
        };
        let groups = tokio::time::timeout(MAX_ASK, self.messages.subscriptions(&filter)).await;
        let groups = groups.ok().and_then(Result::ok);
        let profile = self.engine.profile();
        let whole = profile.sagas.first();
        let ended = whole.map_or(0, |(_, times)| times.buckets.iter().map(|it| it.1).sum());
        Numbers {
            live: self.engine.live_count(),
            max_live: self.engine.options().max_live,
            store_healthy: *self.engine.store_healthy().borrow(),
            ended,
            health: self.messages.health(),
            counted: self.messages.counted(),
            groups: groups.unwrap_or_default(),
        }
    }
}

/// All numbers, as they are at one moment.
#[derive(Debug)]
struct Numbers {
    live: usize,
    max_live: usize,
    store_healthy: bool,
    ended: u64,
    health: MessagesHealth,
    counted: Counted,
    groups: Vec<SubscriptionView>,
}

/// A number of a group.
type OfGroup = fn(&SubscriptionView) -> Option<u64>;

const OF_GROUPS: [(&str, &str, OfGroup); 6] = [
    ("group_consumers", "Consumers connected", |it| {
        Some(it.consumers.into())
    }),
    ("group_leased", "Messages that consumers have now", |it| {
        Some(it.leased.into())
    }),
    (
        "group_ready",
        "Messages that wait in the store, counted up to 10000",
        |it| Some(it.backlog.ready.into()),
    ),
    (
        "group_retrying",
        "Messages that wait for another attempt, counted up to 10000",
        |it| Some(it.backlog.retrying.into()),
    ),
    (
        "group_dead_letters",
        "Dead letters nobody has dealt with, counted up to 10000",
        |it| Some(it.backlog.dead.into()),
    ),
    (
        "group_at_broker",
        "Messages that an external broker has and that are not handled",
        |it| it.at_broker,
    ),
];

impl Collector for Numbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let status = &self.health.status;
        let blocked = matches!(status, BrokerStatus::Blocked(_));
        for (name, help, value) in [
            (
                "transactions_live",
                "Transactions in memory",
                whole(self.live),
            ),
            (
                "transactions_live_max",
                "Most transactions in memory",
                whole(self.max_live),
            ),
            (
                "store_healthy",
                "1 while the store takes writes of transactions",
                self.store_healthy.into(),
            ),
            (
                "broker_up",
                "1 while the broker takes messages",
                (*status == BrokerStatus::Up).into(),
            ),
            (
                "broker_blocked",
                "1 while the broker is connected and takes no messages, by an alarm for example",
                blocked.into(),
            ),
            (
                "outbox_messages",
                "Accepted messages in memory that the broker does not have yet",
                whole(self.health.unpublished),
            ),
            (
                "outbox_behind",
                "1 while more of them wait in the store",
                self.health.more_unpublished.into(),
            ),
        ] {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(metric)?;
        }
        let ended = ("sagas_ended", "Sagas begun and ended here", self.ended);
        for (name, help, value) in self.counted.iter().copied().chain([ended]) {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value).encode(metric)?;
        }
        for (name, help, value) in OF_GROUPS {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for group in &self.groups {
                let Some(value) = value(group) else { continue };
                let subscription = &group.stored.subscription;
                let labels = [
                    ("group", subscription.group.as_str()),
                    ("topic", subscription.topic.as_str()),
                ];
                let value = i64::try_from(value).unwrap_or(i64::MAX);
                ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_at_the_broker_is_told() {
        let numbers = Numbers {
            live: 2,
            max_live: 10,
            store_healthy: true,
            ended: 7,
            health: MessagesHealth {
                broker: "rabbitmq",
                status: BrokerStatus::Blocked("low on memory".to_owned()),
                unpublished: 5,
                more_unpublished: false,
            },
            counted: vec![("publish_nacked", "Refused", 3)],
            groups: Vec::new(),
        };
        let text = text(numbers).unwrap();
        for line in [
            "amends_transactions_live 2",
            "amends_store_healthy 1",
            "amends_broker_up 0",
            "amends_broker_blocked 1",
            "amends_outbox_messages 5",
            "amends_publish_nacked_total 3",
            "amends_sagas_ended_total 7",
            "# EOF",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}: {text}");
        }
    }
}
