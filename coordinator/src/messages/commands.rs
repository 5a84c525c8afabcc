//! Compensations that travel as messages: told to the service, awaited, told again.
//!
//! A caller of participants in front of the direct one. What is to travel by queue becomes a
//! durable message on the command topic of the service, what is broadcast one message of
//! the saga's own; either way the call ends when the service has reported its
//! answer, or without a proof when its time is up. The engine then calls again, as
//! with any call, and the message is published again, unless the one before is known to be still on its way.
//!
//! Not durable here: who waits. A report that nobody waits for (after a restart) is lost, the
//! message published again, and the answer comes from the consumer log.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use amends_core::answer::{Answer, Failure};
use amends_core::id::{Gid, StepName};
use amends_core::message::{
    DeliveryState, GroupName, Headers, MessageId, MessageKey, MessageState, Tag, Topic,
};
use amends_core::payload::Payload;
use amends_core::saga::{Broadcast, Call, Phase, Via};
use amends_core::target::Target;
use amends_core::tcc;
use amends_core::time::Millis;
use amends_proto::v1;
use futures_util::future::BoxFuture;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

use super::{Deliver, Messages, MessagesError, NewMessage};
use crate::participant::{Called, Caller, execute_request};
use crate::store::messages::{DeliveryFilter, MessageFilter, StoredDelivery, StoredMessage};

/// The command topic of a service is this and its name.
const TOPIC_PREFIX: &str = "amends.commands.";
/// The tag of commands that tell to undo.
const UNDO_TAG: &str = "undo";
/// Media type of the body.
const CONTENT_TYPE: &str = "application/x-protobuf";
/// Header that names the type of the body.
const BODY_HEADER: &str = "amends-body";
const BODY: &str = "amends.v1.UndoCommand";
/// Header with the transaction.
const GID_HEADER: &str = "amends-gid";
/// Most earlier messages of one call that are looked at.
const MAX_EARLIER: u32 = 16;
/// How long the first message of a call is believed to be at the broker.
const BELIEVED: Millis = Millis::from_secs(600);

/// The call that a report answers: a branch of a transaction in a phase.
type Asked = (Gid, StepName, Phase);

/// Makes calls, by message where they travel so. A cheap handle.
#[derive(Clone)]
pub struct Commands {
    messages: Messages,
    direct: Arc<dyn Caller>,
    waiting: Arc<Mutex<Waiting>>,
    /// Tells the broadcasts of this run from those of others.
    run: Arc<str>,
}

/// Who waits for which report. Bounded by the calls that are under way.
#[derive(Default)]
struct Waiting {
    next: u64,
    reports: HashMap<Asked, (u64, oneshot::Sender<Answer>)>,
}

impl Caller for Commands {
    fn call<'a>(&'a self, gid: &'a Gid, call: &'a Call) -> BoxFuture<'a, Called> {
        match &call.via {
            Via::Call => self.direct.call(gid, call),
            Via::Queue => match self.command_group(&call.target) {
                Some((group, topic)) => {
                    Box::pin(async move { self.queue(gid, call, group, topic).await.into() })
                }
                None => self.direct.call(gid, call),
            },
            Via::Broadcast(message) => match self.reader(&call.target, &message.topic) {
                Some(_) => Box::pin(async move { self.broadcast(gid, call, message).await.into() }),
                None => self.direct.call(gid, call),
            },
        }
    }

    fn call_branch<'a>(&'a self, gid: &'a Gid, call: &'a tcc::Call) -> BoxFuture<'a, Called> {
        self.direct.call_branch(gid, call)
    }
}

impl Commands {
    /// Sends what travels as a message through `messages`, and calls with `direct` otherwise.
    #[must_use]
    pub fn new(messages: Messages, direct: Arc<dyn Caller>) -> Self {
        Self {
            messages,
            direct,
            waiting: Arc::default(),
            run: uuid::Uuid::now_v7().to_string().into(),
        }
    }

    /// Takes a participant's report. False: nobody waits for it (any more); the
    /// message will be published again if its answer is still needed.
    #[must_use]
    pub fn report(&self, gid: &Gid, branch: &StepName, phase: Phase, answer: Answer) -> bool {
        let asked = (gid.clone(), branch.clone(), phase);
        let waiter = self.waiting().reports.remove(&asked);
        waiter.is_some_and(|(_, waiter)| waiter.send(answer).is_ok())
    }

    /// Group and topic of a service's commands, if it reads them.
    fn command_group(&self, target: &Target) -> Option<(GroupName, Topic)> {
        let Target::Service { service, .. } = target else {
            return None;
        };
        // A service whose name leaves no room for the prefix is called.
        let topic = Topic::new(&format!("{TOPIC_PREFIX}{service}")).ok()?;
        Some((self.reader(target, &topic)?, topic))
    }

    /// The group of a service, named like it, if it reads a topic. One that comes later does
    /// not get what was published before, and would not be told until that was sent again.
    fn reader(&self, target: &Target, topic: &Topic) -> Option<GroupName> {
        let Target::Service { service, .. } = target else {
            return None;
        };
        let group = GroupName::new(service).ok()?;
        self.messages.inner.table.get(&group, topic)?;
        Some(group)
    }

    async fn queue(&self, gid: &Gid, call: &Call, group: GroupName, topic: Topic) -> Answer {
        let told = async {
            // Shorter than a key may be: a gid, a blank and the name of a step.
            let key = MessageKey::new(&format!("{gid}/{}", call.name)).ok();
            if call.attempt > 1 && self.is_under_way(&group, &topic, key.as_ref()).await? {
                return Ok(());
            }
            let body = body(gid, std::iter::once(call));
            let message = NewMessage {
                id: None,
                topic: topic.clone(),
                tag: Tag::new(UNDO_TAG).map_err(|bad| MessagesError::Invalid(bad.to_string()))?,
                key: key.unwrap_or_default(),
                order_key: None,
                headers: headers(gid),
                payload: body,
                deliver: Deliver::AtOnce,
            };
            self.messages.publish(vec![message]).await.map(drop)
        };
        self.tell(gid, call, told).await
    }

    /// The calls that travel together publish one message: its id says what is in it.
    async fn broadcast(&self, gid: &Gid, call: &Call, message: &Broadcast) -> Answer {
        let told = async {
            let id = self.broadcast_id(gid, message);
            let message = NewMessage {
                id: MessageId::new(&id).ok(),
                topic: message.topic.clone(),
                tag: message.tag.clone(),
                key: MessageKey::new(&message.key).unwrap_or_default(),
                order_key: None,
                headers: headers(gid),
                payload: body(gid, message.calls.iter()),
                deliver: Deliver::AtOnce,
            };
            self.messages.publish(vec![message]).await.map(drop)
        };
        self.tell(gid, call, told).await
    }

    fn broadcast_id(&self, gid: &Gid, message: &Broadcast) -> String {
        let mut hash = Sha256::new();
        hash.update(self.run.as_bytes());
        hash.update(gid.as_str());
        for call in &message.calls {
            hash.update([0]);
            hash.update(call.name.as_str());
            hash.update(call.attempt.to_be_bytes());
        }
        let hash = hash.finalize();
        let hex: String = hash[..16]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("cancel-{hex}")
    }

    /// Publishes with `told` and waits for the report, no longer than the call's time.
    async fn tell(
        &self,
        gid: &Gid,
        call: &Call,
        told: impl Future<Output = Result<(), MessagesError>>,
    ) -> Answer {
        let waiter = Waiter::new(self, (gid.clone(), call.name.clone(), call.phase));
        let reported = async {
            match told.await {
                Ok(()) => waiter.report().await,
                Err(error) => Some(unknown(
                    "MESSAGE_NOT_ACCEPTED",
                    format!("the message was not accepted: {error}"),
                )),
            }
        };
        match tokio::time::timeout(call.timeout.into(), reported).await {
            Ok(Some(answer)) => answer,
            Ok(None) => unknown(
                "NOT_REPORTED",
                "another call of this step took over".to_owned(),
            ),
            Err(_elapsed) => unknown(
                "NOT_REPORTED",
                format!("the service did not report within {}", call.timeout),
            ),
        }
    }

    /// Whether a message of this call is on its way: not published yet, or waiting in the group.
    /// What another broker has leaves a row in the group once it is handled; without one it is believed
    /// to be there, twice as long with each copy, because a broker may lose its queue.
    async fn is_under_way(
        &self,
        group: &GroupName,
        topic: &Topic,
        key: Option<&MessageKey>,
    ) -> Result<bool, MessagesError> {
        let Some(key) = key else { return Ok(false) };
        let sent = MessageFilter {
            topic: Some(topic.clone()),
            key: Some(key.clone()),
            limit: MAX_EARLIER,
            ..MessageFilter::default()
        };
        let sent = self.messages.list(&sent).await?;
        let unpublished = |earlier: &StoredMessage| earlier.state == MessageState::Committed;
        if sent.iter().any(unpublished) {
            return Ok(true);
        }
        let delivered = DeliveryFilter {
            key: Some(key.clone()),
            group: Some(group.clone()),
            limit: MAX_EARLIER,
            ..DeliveryFilter::default()
        };
        let delivered = self.messages.lookup(&delivered).await?;
        let waits = |delivery: &StoredDelivery| {
            matches!(
                delivery.state,
                DeliveryState::Ready | DeliveryState::Leased | DeliveryState::Retrying
            )
        };
        if delivered.iter().any(waits) {
            return Ok(true);
        }
        let has_row = |id: &MessageId| delivered.iter().any(|delivery| delivery.id == *id);
        let published = |earlier: &&StoredMessage| earlier.state == MessageState::Published;
        let published = sent.iter().filter(published).map(|it| &it.message);
        let mut unseen = published.filter(|message| !has_row(&message.id));
        let Some(newest) = unseen.next() else {
            return Ok(false);
        };
        // At most MAX_EARLIER of them.
        let believed = Millis(BELIEVED.0 << unseen.count());
        Ok(self.messages.clock().now() < newest.created_at + believed)
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        // Nothing panics while it is held.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for one report; takes its name off the list when it leaves.
struct Waiter<'a> {
    commands: &'a Commands,
    asked: Asked,
    number: u64,
    report: oneshot::Receiver<Answer>,
}

impl<'a> Waiter<'a> {
    /// Takes the place of one that waits for the same: its call is over.
    fn new(commands: &'a Commands, asked: Asked) -> Self {
        let (sender, report) = oneshot::channel();
        let mut waiting = commands.waiting();
        waiting.next += 1;
        let number = waiting.next;
        waiting.reports.insert(asked.clone(), (number, sender));
        drop(waiting);
        Self {
            commands,
            asked,
            number,
            report,
        }
    }

    async fn report(mut self) -> Option<Answer> {
        (&mut self.report).await.ok()
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut waiting = self.commands.waiting();
        if let Some((number, _)) = waiting.reports.get(&self.asked)
            && *number == self.number
        {
            waiting.reports.remove(&self.asked);
        }
    }
}

fn unknown(code: &str, message: String) -> Answer {
    Answer::Unknown(Failure::new(code, message))
}

fn headers(gid: &Gid) -> Headers {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Headers::trusted([header(BODY_HEADER, BODY), header(GID_HEADER, gid.as_str())].into())
}

fn body<'a>(gid: &Gid, calls: impl Iterator<Item = &'a Call>) -> Payload {
    let command = v1::UndoCommand {
        gid: gid.as_str().to_owned(),
        calls: calls
            .filter_map(|call| match &*call.target {
                Target::Service { service, step } => {
                    Some(execute_request(service, step, gid, call))
                }
                Target::Grpc { .. } => None,
            })
            .collect(),
    };
    Payload::new(CONTENT_TYPE, command.encode_to_vec().into())
}
