//! The consumers of a participant: one per handler of messages.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use amends_proto::v1::report_service_client::ReportServiceClient;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::commands::{self, CommandWork, REPORT_TIMEOUT};
use super::server::Calls;
use super::{ParticipantBuilder, ParticipantError};
use crate::ServiceDef;
use crate::consumer::{Consumer, HandlerWork, MAX_DRAIN, Work};
use crate::message::{MessageDef, Subscription};

/// Added to the consumers' own bound, which they keep themselves.
const SLACK: Duration = Duration::from_secs(1);

/// The handlers of all services, taken out of them.
pub(super) fn handlers(services: &mut BTreeMap<&'static str, ServiceDef>) -> Vec<MessageDef> {
    let services = services.values_mut();
    services.flat_map(ServiceDef::take_messages).collect()
}

/// Everything that the services want to consume, their commands included;
/// nothing without a coordinator.
pub(super) fn of(
    handlers: Vec<MessageDef>,
    calls: &Arc<Calls>,
    builder: &ParticipantBuilder,
) -> Result<Vec<Consumer>, ParticipantError> {
    let Some(url) = &builder.coordinator else {
        if !handlers.is_empty() {
            tracing::warn!("without a coordinator there are no messages to consume");
        }
        return Ok(Vec::new());
    };
    let wire = builder.access.connect(url, Some(REPORT_TIMEOUT));
    let wire = wire.map_err(|error| ParticipantError::Configuration(error.to_string()))?;
    let mut works: Vec<(Subscription, Arc<dyn Work>)> = Vec::new();
    for def in handlers {
        let subscription = def.subscription.clone();
        let database = builder.database.clone();
        works.push((subscription, Arc::new(HandlerWork { database, def })));
    }
    for service in calls.services().values() {
        for subscription in commands::subscriptions(service) {
            let work = CommandWork {
                service: service.name(),
                calls: Arc::clone(calls),
                reports: ReportServiceClient::new(wire.clone()),
            };
            works.push((subscription, Arc::new(work)));
        }
    }
    let mut taken = HashSet::new();
    let consumers = works.into_iter().map(|(subscription, work)| {
        check(&subscription, builder, &mut taken)?;
        Ok(Consumer {
            url: url.clone(),
            access: builder.access.clone(),
            subscription: subscription.to_proto(),
            instance: instance(builder),
            concurrency: subscription.in_work() as usize,
            prefetch: subscription.at_hand(),
            work,
            accepted: watch::Sender::new(false),
        })
    });
    consumers.collect()
}

fn check(
    subscription: &Subscription,
    builder: &ParticipantBuilder,
    taken: &mut HashSet<(String, String)>,
) -> Result<(), ParticipantError> {
    subscription.check()?;
    let (group, topic) = (subscription.group_name(), subscription.topic());
    if !taken.insert((group.to_owned(), topic.to_owned())) {
        return Err(ParticipantError::Configuration(format!(
            "the group `{group}` has two handlers for the topic `{topic}`: \
             make them one, or give one a group of its own"
        )));
    }
    if subscription.is_broadcasting() && builder.instance.is_none() {
        return Err(ParticipantError::Configuration(format!(
            "the group `{group}` is broadcasting: give this instance a name that is \
             the same after a restart"
        )));
    }
    Ok(())
}

fn instance(builder: &ParticipantBuilder) -> String {
    let unique = || uuid::Uuid::now_v7().to_string();
    builder.instance.clone().unwrap_or_else(unique)
}

/// The consumers that run.
#[derive(Debug)]
pub(super) struct Consumers {
    /// One for each: whether it was accepted.
    accepted: Vec<watch::Receiver<bool>>,
    tracker: TaskTracker,
    token: CancellationToken,
    _stop: DropGuard,
}

impl Default for Consumers {
    fn default() -> Self {
        let token = CancellationToken::new();
        Self {
            accepted: Vec::new(),
            tracker: TaskTracker::new(),
            _stop: token.clone().drop_guard(),
            token,
        }
    }
}

impl Consumers {
    pub(super) fn start(&mut self, consumers: Vec<Consumer>) {
        for consumer in consumers {
            self.accepted.push(consumer.accepted.subscribe());
            self.tracker.spawn(consumer.run(self.token.clone()));
        }
    }

    /// Waits until each was accepted once.
    pub(super) async fn accepted(&self) {
        for accepted in &self.accepted {
            // A consumer that has ended waits for nothing.
            let _ = accepted.clone().wait_for(|accepted| *accepted).await;
        }
    }

    /// From now on no message is begun.
    pub(super) fn begin_no_more(&self) {
        self.token.cancel();
    }

    /// Lets what runs finish and settles it.
    pub(super) async fn stop(&self) {
        self.begin_no_more();
        self.tracker.close();
        let all = tokio::time::timeout(MAX_DRAIN + SLACK, self.tracker.wait());
        if all.await.is_err() {
            tracing::warn!("messages were still in work at the end");
        }
    }
}
