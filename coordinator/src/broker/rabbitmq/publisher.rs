//! Publishing: one actor a lane, each with a channel of its own.
//!
//! Guarantees:
//! - a message is called confirmed only when the server acknowledged it, it was not
//!   returned, and so for the whole batch: a batch is settled when all its confirms are in;
//! - a returned message is recognised by its id. The server returns it before it acknowledges it,
//!   but the library hands it to whichever confirm comes next on the channel;
//! - each batch ends within its deadline, also when the server has fallen silent; what was sent and not
//!   answered is unknown, and its channel is not used again, so that a late answer meets nobody;
//! - while the server takes no messages none is sent: they would pile up in the library and
//!   go out long after they were called unknown.
//!
//! An exchange that somebody deleted takes the channel down and all that was under way on it; it is
//! made again, and the next batch finds it. The same is done when a message comes back although a
//! group wants it: then its binding is missing.

use std::collections::{BTreeSet, HashSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use amends_core::message::{Message, SharedMessage, Topic};
use futures_util::poll;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::connection::{Live, within};
use super::fault::{self, Fault, Kind};
use super::supervisor::Links;
use super::{envelope, names};
use crate::broker::{Carried, MAX_UNCONFIRMED};

/// Most batches that wait for a lane.
const LANE_QUEUE: usize = 16;
/// How long a connection on which a confirm did not come has to show that it lives.
const PROBE_DEADLINE: Duration = Duration::from_secs(5);

/// Messages for one lane.
pub(super) struct Batch {
    pub(super) messages: Vec<SharedMessage>,
    /// When it is settled at the latest.
    pub(super) deadline: Instant,
    pub(super) answer: oneshot::Sender<Vec<Carried>>,
}

/// Makes a lane; its actor ends when the sender is dropped.
pub(super) fn lane(links: Arc<Links>) -> (mpsc::Sender<Batch>, impl Future<Output = ()>) {
    let (sender, batches) = mpsc::channel(LANE_QUEUE);
    let lane = Lane {
        links,
        channel: None,
        doubtful: None,
        broken_topics: BTreeSet::new(),
    };
    (sender, lane.run(batches))
}

struct Lane {
    links: Arc<Links>,
    /// With the connection that it is on.
    channel: Option<(Arc<Live>, Channel)>,
    /// A connection on which a confirm did not come.
    doubtful: Option<Arc<Live>>,
    /// Topics whose exchange or whose bindings were found missing.
    broken_topics: BTreeSet<Topic>,
}

/// The answer to one message, as far as it is known.
enum Answer {
    Acknowledged,
    Refused,
    None(Fault),
}

impl Lane {
    async fn run(mut self, mut batches: mpsc::Receiver<Batch>) {
        while let Some(batch) = batches.recv().await {
            let mut carried = Vec::with_capacity(batch.messages.len());
            for part in batch.messages.chunks(MAX_UNCONFIRMED) {
                carried.extend(self.carry(part, batch.deadline).await);
            }
            // Whoever asked may have stopped waiting.
            let _ = batch.answer.send(carried);
            if let Some(live) = self.doubtful.take() {
                self.probe(live).await;
            }
        }
    }

    async fn carry(&mut self, batch: &[SharedMessage], deadline: Instant) -> Vec<Carried> {
        let ready = timeout_at(deadline, self.ready(batch)).await;
        let channel = match ready {
            Ok(Ok(channel)) => channel,
            Ok(Err(why)) => return unknown(batch, &format!("not sent: {why}")),
            Err(_) => return unknown(batch, "not sent: the broker does not answer"),
        };
        let (answers, returned) = send(&channel, batch, deadline).await;
        let unanswered = answers.iter().find_map(|answer| match answer {
            Answer::None(fault) => Some(fault.clone()),
            _ => None,
        });
        self.note_lost_bindings(batch, &returned);
        let Some(fault) = unanswered else {
            let settled = batch.iter().zip(answers);
            return settled
                .map(|(message, answer)| settle(message, &answer, &returned))
                .collect();
        };
        self.give_up(batch, &fault, deadline);
        // A return may have been meant for any of them: without all confirms an
        // acknowledgement proves nothing.
        let why = format!("no answer: {fault}");
        let settled = batch.iter().zip(&answers).map(|(message, answer)| {
            if returned.contains(message.id.as_str()) || matches!(answer, Answer::Refused) {
                settle(message, answer, &returned)
            } else {
                Carried::Unknown(why.clone())
            }
        });
        settled.collect()
    }

    /// A channel on which the batch can be published.
    async fn ready(&mut self, batch: &[SharedMessage]) -> Result<Channel, String> {
        let live = self.links.publishing()?;
        let other = self.links.consuming().map_err(|error| error.to_string())?;
        while let Some(topic) = self.broken_topics.first().cloned() {
            let repaired = self.links.topology.repair(&other, &topic).await;
            repaired.map_err(|error| error.to_string())?;
            self.broken_topics.remove(&topic);
        }
        let topics: BTreeSet<&Topic> = batch.iter().map(|message| &message.topic).collect();
        for topic in topics {
            let made = self.links.topology.ensure_topic(&other, topic).await;
            made.map_err(|error| error.to_string())?;
        }
        if let Some((on, channel)) = &self.channel
            && Arc::ptr_eq(on, &live)
            && channel.status().connected()
        {
            return Ok(channel.clone());
        }
        self.channel = None;
        let channel = open(&live).await.map_err(|fault| fault.to_string())?;
        self.channel = Some((live, channel.clone()));
        Ok(channel)
    }

    /// A message that came back although a group wants it says that a binding is gone: whoever
    /// deleted the exchange did so before this lane knew it, and only the exchange was made again.
    fn note_lost_bindings(&mut self, batch: &[SharedMessage], returned: &HashSet<String>) {
        let came_back = batch
            .iter()
            .filter(|message| returned.contains(message.id.as_str()));
        for message in came_back {
            if !self.broken_topics.contains(&message.topic)
                && self.links.topology.wanted(&message.topic, &message.tag)
            {
                self.broken_topics.insert(message.topic.clone());
            }
        }
    }

    /// Leaves a channel on which something remained unanswered.
    fn give_up(&mut self, batch: &[SharedMessage], fault: &Fault, deadline: Instant) {
        let Some((live, _)) = self.channel.take() else {
            return;
        };
        if fault.kind == Kind::Missing {
            let topics = batch.iter().map(|message| message.topic.clone());
            self.broken_topics.extend(topics);
        }
        let silent = deadline <= crate::clock::runtime_now();
        if silent {
            self.doubtful = Some(live);
        }
    }

    /// Tells a connection on which nothing comes back from a queue that does not answer, which
    /// concerns nobody else. A blocked connection is sound: it goes on when the server has room.
    async fn probe(&mut self, live: Arc<Live>) {
        if self.links.blocked() {
            return;
        }
        match timeout(PROBE_DEADLINE, open(&live)).await {
            Ok(Ok(channel)) => self.channel = Some((live, channel)),
            Ok(Err(_)) => {} // It knows itself that it is lost.
            Err(_) if self.links.blocked() => {}
            Err(_) => live.suspect.cancel(),
        }
    }
}

async fn open(live: &Live) -> Result<Channel, Fault> {
    let channel = live.channel().await?;
    within(channel.confirm_select(ConfirmSelectOptions::default())).await?;
    Ok(channel)
}

type Confirming<'a> = Pin<Box<dyn Future<Output = lapin::Result<Confirmation>> + Send + 'a>>;

/// Publishes all, then waits for all confirms; also says which messages were returned.
async fn send(
    channel: &Channel,
    batch: &[SharedMessage],
    deadline: Instant,
) -> (Vec<Answer>, HashSet<String>) {
    let mut under_way = Vec::with_capacity(batch.len());
    for message in batch {
        let mut confirming: Confirming<'_> = Box::pin(publish(channel, message));
        // Takes its place on the channel, without waiting for what came before.
        let early = match poll!(&mut confirming) {
            std::task::Poll::Ready(done) => Some(done),
            std::task::Poll::Pending => None,
        };
        under_way.push((confirming, early));
    }
    let mut answers = Vec::with_capacity(batch.len());
    let mut returned = HashSet::new();
    for (confirming, early) in under_way {
        let done = match early {
            Some(done) => Ok(done),
            None => timeout_at(deadline, confirming).await,
        };
        answers.push(match done {
            Ok(Ok(confirmation)) => {
                let acknowledged = confirmation.is_ack();
                let message = confirmation.take_message();
                let id =
                    message.and_then(|message| message.delivery.properties.message_id().clone());
                returned.extend(id.map(String::from));
                if acknowledged {
                    Answer::Acknowledged
                } else {
                    Answer::Refused
                }
            }
            Ok(Err(error)) => Answer::None(fault::of(&error)),
            Err(_) => Answer::None(Fault::lost("no confirm in time".to_owned())),
        });
    }
    (answers, returned)
}

async fn publish(channel: &Channel, message: &Message) -> lapin::Result<Confirmation> {
    let options = BasicPublishOptions {
        // Otherwise a message that no queue wants is acknowledged and gone.
        mandatory: true,
        immediate: false,
    };
    let exchange = names::exchange(&message.topic);
    let routing_key = names::fitting(message.tag.as_str().to_owned());
    let properties = envelope::properties(message);
    let body = message.payload.data();
    let confirm = channel.basic_publish(exchange, routing_key, options, body, properties);
    confirm.await?.await
}

fn settle(message: &Message, answer: &Answer, returned: &HashSet<String>) -> Carried {
    if returned.contains(message.id.as_str()) {
        return Carried::Unroutable(format!(
            "no queue wants topic {} tag {:?}",
            message.topic, message.tag
        ));
    }
    match answer {
        Answer::Acknowledged => Carried::Confirmed,
        Answer::Refused => Carried::Rejected(format!(
            "the broker refused it: a queue of topic {} is full or cannot be written",
            message.topic
        )),
        Answer::None(fault) => Carried::Unknown(fault.to_string()),
    }
}

/// Nothing is known of any of them.
pub(super) fn unknown(batch: &[SharedMessage], why: &str) -> Vec<Carried> {
    batch
        .iter()
        .map(|_| Carried::Unknown(why.to_owned()))
        .collect()
}
