//! [`Broker`]: what carries messages between the coordinator and itself: nothing but its own
//! store, a RabbitMQ server that is there, or a private one.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use amends::proto::consumer_service_client::ConsumerServiceClient;
use amends::proto::{DeleteSubscriptionRequest, ListSubscriptionsRequest};
use tempfile::TempDir;
use tonic::transport::Endpoint;

use super::RunnerError;
use super::process::{Plan, Process};
use crate::role::{RabbitMqServer, ServerCommand};

/// A node starts in about ten seconds, and later where others work too.
const MAX_START: Duration = Duration::from_secs(120);
const MAX_STOP: Duration = Duration::from_secs(30);
/// Of each request when subscriptions are ended.
const MAX_CLEAR: Duration = Duration::from_secs(5);
/// Far more than the services of the shop have.
const MAX_SUBSCRIPTIONS: u32 = 1_000;

/// What `--broker` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BrokerAt {
    /// The coordinator's own store.
    Embedded,
    /// A RabbitMQ server started for this run.
    Private,
    /// A RabbitMQ server that is there.
    Url(String),
}

impl FromStr for BrokerAt {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "embedded" => Ok(Self::Embedded),
            "rabbitmq" => Ok(Self::Private),
            url if url.starts_with("amqp://") || url.starts_with("amqps://") => {
                Ok(Self::Url(url.to_owned()))
            }
            _ => Err("it must be embedded, rabbitmq, or a URL amqp://.. or amqps://.."),
        }
    }
}

/// The broker of a run.
#[derive(Debug)]
pub(super) enum Broker {
    Embedded,
    Private(Box<PrivateRabbitMq>),
    Url(String),
}

/// A node of this run's own, which scenarios may kill.
#[derive(Debug)]
pub(super) struct PrivateRabbitMq {
    server: RabbitMqServer,
    /// Stops the node at the end, also when this process was killed.
    keeper: Process,
    _temporary: Option<TempDir>,
}

impl Broker {
    /// Ready when the broker is; a private one works below `keep`, or in a temporary folder.
    pub(super) async fn start(
        at: &BrokerAt,
        keep: Option<&Path>,
        log: PathBuf,
    ) -> Result<Self, RunnerError> {
        Ok(match at {
            BrokerAt::Embedded => Self::Embedded,
            BrokerAt::Url(url) => Self::Url(url.clone()),
            BrokerAt::Private => Self::Private(Box::new(PrivateRabbitMq::start(keep, log).await?)),
        })
    }

    /// As the coordinator's `broker.url` has it.
    pub(super) fn url(&self) -> Result<String, RunnerError> {
        Ok(match self {
            Self::Embedded => "embedded".to_owned(),
            Self::Private(node) => node.server.url()?,
            Self::Url(url) => url.clone(),
        })
    }

    /// The address of a RabbitMQ server, without what is secret about its URL.
    pub(super) fn address(&self) -> Option<String> {
        match self {
            Self::Embedded => None,
            Self::Private(node) => Some(node.address().to_string()),
            Self::Url(url) => {
                let (_, rest) = url.split_once("://")?;
                let authority = rest.split(['/', '?']).next()?;
                Some(authority.rsplit('@').next()?.to_owned())
            }
        }
    }

    /// The node, when it may be killed.
    pub(super) fn own(&self) -> Option<&PrivateRabbitMq> {
        match self {
            Self::Private(node) => Some(node),
            Self::Embedded | Self::Url(_) => None,
        }
    }

    /// The end of its log, where there is one.
    pub(super) fn log(&self) -> Option<(&'static str, String)> {
        self.own().map(|node| node.keeper.log())
    }

    /// Ends what was started.
    pub(super) async fn stop(self) {
        if let Self::Private(node) = self {
            node.keeper.stop().await;
        }
    }
}

impl PrivateRabbitMq {
    async fn start(keep: Option<&Path>, log: PathBuf) -> Result<Self, RunnerError> {
        let temporary = match keep {
            Some(_) => None,
            None => Some(folder_for_others()?),
        };
        let folder = keep.or(temporary.as_ref().map(TempDir::path));
        let folder = folder.map(Path::to_owned).unwrap_or_default();
        let plan = Plan {
            name: "rabbitmq",
            program: std::env::current_exe()?,
            args: vec!["rabbitmq".to_owned(), folder.display().to_string()],
            environment: Vec::new(),
            log,
            max_start: MAX_START,
            max_stop: MAX_STOP,
        };
        Ok(Self {
            keeper: Process::start(plan).await?,
            server: RabbitMqServer::new(folder),
            _temporary: temporary,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.keeper.address
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    pub(super) async fn kill(&self) -> Result<(), RunnerError> {
        Ok(self.server.run(ServerCommand::Kill).await?)
    }

    /// Starts it again with the data that it had, and waits until it listens.
    pub(super) async fn restart(&self) -> Result<(), RunnerError> {
        Ok(self.server.run(ServerCommand::Start).await?)
    }
}

/// Ends all subscriptions of a coordinator, and with them removes their queues.
pub(super) async fn clear(coordinator: &str) -> Result<(), Box<dyn std::error::Error>> {
    let endpoint = Endpoint::from_shared(coordinator.to_owned())?.timeout(MAX_CLEAR);
    let mut consumers = ConsumerServiceClient::new(endpoint.connect().await?);
    let all = ListSubscriptionsRequest {
        page_size: MAX_SUBSCRIPTIONS,
        ..ListSubscriptionsRequest::default()
    };
    let all = consumers.list_subscriptions(all).await?.into_inner();
    for status in all.subscriptions {
        let subscription = status.subscription.unwrap_or_default();
        let request = DeleteSubscriptionRequest {
            group: subscription.group,
            topic: subscription.topic,
            reason: "the shop is closed for good".to_owned(),
        };
        consumers.delete_subscription(request).await?;
    }
    Ok(())
}

/// Started by root the node runs as another user, who must come in.
fn folder_for_others() -> std::io::Result<TempDir> {
    let folder = tempfile::Builder::new()
        .prefix("amends-shop-rabbitmq-")
        .tempdir()?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711))?;
    Ok(folder)
}
