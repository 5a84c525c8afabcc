//! Receives the messages of a group from the coordinator and hands them to
//! the service's handler.
//!
//! Guarantees:
//! - a message is settled after its local transaction has committed, never
//!   before; what is lost on the way is delivered again, and the consumer log
//!   absorbs it;
//! - at most `concurrency` handlers run at a time, and at most `prefetch`
//!   messages are at hand; a coordinator that sends more is disconnected;
//! - messages with the same order key never run at the same time here, and in
//!   the order in which they came, also across a reconnection;
//! - a lost connection is made again with jittered backoff, and where another
//!   coordinator delivers to the group, that one is followed;
//! - at the end nothing new is begun; what runs finishes and is settled,
//!   within a bound.
//!
//! Not here: attempts, schedules, filters, dead letters. The coordinator has
//! them, so that they are the same for every language.

mod lanes;
mod session;
mod work;

use std::sync::Arc;
use std::time::Duration;

use amends_proto::v1;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic_types::StatusExt;

pub(crate) use work::{HandlerWork, Verdict, Work};

use crate::Access;
use crate::access::Wire;
use crate::backoff::Backoff;
use session::{End, Session};

/// How long a stopping consumer waits for handlers that run.
pub(crate) const MAX_DRAIN: Duration = Duration::from_secs(10);

/// From one attempt to connect to the next.
const RETRY: Backoff = Backoff {
    first: Duration::from_millis(100),
    most: Duration::from_secs(5),
};

/// Coordinators that may name each other before the first one is asked again.
const MAX_HOPS: u32 = 3;

/// The reason with which a coordinator says that another one delivers, and
/// where in its details the other one's address is.
const NOT_GROUP_OWNER: &str = "NOT_GROUP_OWNER";
const OWNER_ADDRESS: &str = "address";

/// One subscription and who works on it.
pub(crate) struct Consumer {
    pub(crate) url: String,
    pub(crate) access: Access,
    pub(crate) subscription: v1::Subscription,
    pub(crate) instance: String,
    pub(crate) concurrency: usize,
    pub(crate) prefetch: u32,
    pub(crate) work: Arc<dyn Work>,
    /// True from when the coordinator accepted the subscription for the first time.
    pub(crate) accepted: watch::Sender<bool>,
}

impl Consumer {
    /// Consumes until told to stop.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut session = Session::new(&self);
        let mut owner: Option<String> = None;
        let (mut failed, mut hops) = (0_u32, 0);
        while !stop.is_cancelled() {
            let at = owner.take().unwrap_or_else(|| self.url.clone());
            let end = match self.access.connect(&at, None) {
                Ok(wire) => session.run(wire, &stop).await,
                Err(error) => End::failed(Status::unavailable(error.to_string())),
            };
            if end.held {
                (failed, hops) = (0, 0);
            }
            let Some(status) = end.status else { break };
            owner = self.owner(&status).filter(|_| hops < MAX_HOPS);
            if owner.is_some() {
                hops += 1;
                tracing::debug!(
                    group = self.group(),
                    ?owner,
                    "another coordinator delivers to this group"
                );
                continue;
            }
            hops = 0;
            failed = failed.saturating_add(1);
            self.tell(failed, &status);
            tokio::select! {
                () = stop.cancelled() => break,
                () = session.work_for(RETRY.wait(failed)) => {}
            }
        }
        session.drain_unsettled().await;
    }

    /// Once, then now and then: a coordinator may be away for long.
    fn tell(&self, failed: u32, status: &Status) {
        let (group, topic) = (self.group(), &self.subscription.topic);
        if failed.is_power_of_two() {
            tracing::warn!(group, topic, failed, %status, "messages cannot be received; trying again");
        } else {
            tracing::debug!(group, topic, failed, %status, "messages cannot be received; trying again");
        }
    }

    fn group(&self) -> &str {
        &self.subscription.group
    }

    /// Whom the coordinator names in its place.
    fn owner(&self, status: &Status) -> Option<String> {
        let info = status.get_details_error_info()?;
        let address = info.metadata.get(OWNER_ADDRESS)?;
        if info.reason != NOT_GROUP_OWNER || address.is_empty() {
            return None;
        }
        if address.contains("://") {
            return Some(address.clone());
        }
        let (scheme, _) = self.url.split_once("://")?;
        Some(format!("{scheme}://{address}"))
    }
}

/// A connection for one stream.
type Connection = v1::message_service_client::MessageServiceClient<Wire>;
