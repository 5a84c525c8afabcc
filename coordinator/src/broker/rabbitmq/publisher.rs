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
use super::envelope;
use super::fault::{self, Fault, Kind};
use super::names::{Names, fitting};
use super::supervisor::Links;
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
    Acknowledged(Return),
    Refused(Return),
    None(Fault),
}

/// The id of the message whose return the library handed over with an answer; often another one's.
type Return = Option<String>;

impl Answer {
    fn fault(&self) -> Option<&Fault> {
        match self {
            Self::None(fault) => Some(fault),
            Self::Acknowledged(_) | Self::Refused(_) => None,
        }
    }

    fn returned(&self) -> Option<&str> {
        match self {
            Self::Acknowledged(returned) | Self::Refused(returned) => returned.as_deref(),
            Self::None(_) => None,
        }
    }
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
        let names = &self.links.topology.names;
        let answers = send(&channel, names, batch, deadline).await;
        let carried = settle_all(batch, &answers);
        self.note_lost_bindings(batch, &carried);
        let mut unanswered = answers.iter().filter_map(Answer::fault);
        if let Some(fault) = unanswered.next() {
            self.give_up(batch, fault, deadline);
        }
        carried
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
    fn note_lost_bindings(&mut self, batch: &[SharedMessage], carried: &[Carried]) {
        let came_back = |(_, carried): &(_, &Carried)| matches!(carried, Carried::Unroutable(_));
        for (message, _) in batch.iter().zip(carried).filter(came_back) {
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

/// Publishes all, then waits for all confirms.
async fn send(
    channel: &Channel,
    names: &Names,
    batch: &[SharedMessage],
    deadline: Instant,
) -> Vec<Answer> {
    let mut under_way = Vec::with_capacity(batch.len());
    for message in batch {
        let mut confirming: Confirming<'_> = Box::pin(publish(channel, names, message));
        // Takes its place on the channel, without waiting for what came before.
        let early = match poll!(&mut confirming) {
            std::task::Poll::Ready(done) => Some(done),
            std::task::Poll::Pending => None,
        };
        under_way.push((confirming, early));
    }
    let mut answers = Vec::with_capacity(batch.len());
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
                let returned = id.map(String::from);
                if acknowledged {
                    Answer::Acknowledged(returned)
                } else {
                    Answer::Refused(returned)
                }
            }
            Ok(Err(error)) => Answer::None(fault::of(&error)),
            Err(_) => Answer::None(Fault::lost("no confirm in time".to_owned())),
        });
    }
    answers
}

async fn publish(
    channel: &Channel,
    names: &Names,
    message: &Message,
) -> lapin::Result<Confirmation> {
    let options = BasicPublishOptions {
        // Otherwise a message that no queue wants is acknowledged and gone.
        mandatory: true,
        immediate: false,
    };
    let exchange = names.exchange(&message.topic);
    let routing_key = fitting(message.tag.as_str().to_owned());
    let properties = envelope::properties(message);
    let body = message.payload.data();
    let confirm = channel.basic_publish(exchange, routing_key, options, body, properties);
    confirm.await?.await
}

/// What became of each message of a batch, by all that came back for it.
fn settle_all(batch: &[SharedMessage], answers: &[Answer]) -> Vec<Carried> {
    let fault = answers.iter().find_map(Answer::fault);
    let returned: HashSet<&str> = answers.iter().filter_map(Answer::returned).collect();
    let settled = batch.iter().zip(answers).map(|(message, answer)| {
        let returned = returned.contains(message.id.as_str());
        let carried = settle(message, answer, returned);
        match fault {
            // A return that did not come yet may have been meant for any of them: without all confirms
            // an acknowledgement proves nothing.
            Some(fault) if carried == Carried::Confirmed => {
                Carried::Unknown(format!("no answer: {fault}"))
            }
            _ => carried,
        }
    });
    settled.collect()
}

fn settle(message: &Message, answer: &Answer, returned: bool) -> Carried {
    if returned {
        return Carried::Unroutable(format!(
            "no queue wants topic {} tag {:?}",
            message.topic, message.tag
        ));
    }
    match answer {
        Answer::Acknowledged(_) => Carried::Confirmed,
        Answer::Refused(_) => Carried::Rejected(format!(
            "the broker refused it: a queue of topic {} is full or cannot be written",
            message.topic
        )),
        Answer::None(fault) => Carried::Unknown(format!("no answer: {fault}")),
    }
}

/// Nothing is known of any of them.
pub(super) fn unknown(batch: &[SharedMessage], why: &str) -> Vec<Carried> {
    batch
        .iter()
        .map(|_| Carried::Unknown(why.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use amends_core::message::{Headers, MessageId, MessageKey, Tag};
    use amends_core::payload::Payload;
    use amends_core::time::Timestamp;
    use std::collections::BTreeMap;

    use super::*;

    fn batch(ids: &[&str]) -> Vec<SharedMessage> {
        let message = |id: &&str| Message {
            id: MessageId::new(id).unwrap(),
            topic: Topic::new("t").unwrap(),
            tag: Tag::new("x").unwrap(),
            key: MessageKey::default(),
            order_key: None,
            headers: Headers::trusted(BTreeMap::new()),
            payload: Payload::null(),
            deliver_at: None,
            created_at: Timestamp(0),
        };
        ids.iter().map(|id| Arc::new(message(id))).collect()
    }

    fn kinds(answers: &[Answer]) -> Vec<&'static str> {
        let carried = settle_all(&batch(&["a", "b", "c"]), answers);
        let kind = |carried: &Carried| match carried {
            Carried::Confirmed => "confirmed",
            Carried::Unroutable(_) => "unroutable",
            Carried::Rejected(_) => "rejected",
            Carried::Unknown(_) => "unknown",
        };
        carried.iter().map(kind).collect()
    }

    fn acknowledged(returned: &str) -> Answer {
        Answer::Acknowledged((!returned.is_empty()).then(|| returned.to_owned()))
    }

    fn refused(returned: &str) -> Answer {
        Answer::Refused((!returned.is_empty()).then(|| returned.to_owned()))
    }

    fn none() -> Answer {
        Answer::None(Fault::lost("no confirm in time".to_owned()))
    }

    #[test]
    fn a_return_is_of_the_message_whose_id_it_has() {
        for (answers, expected) in [
            (
                [acknowledged(""), acknowledged(""), acknowledged("")],
                ["confirmed", "confirmed", "confirmed"],
            ),
            // With its own confirm, with the one before, with the one behind.
            (
                [acknowledged(""), acknowledged("b"), acknowledged("")],
                ["confirmed", "unroutable", "confirmed"],
            ),
            (
                [acknowledged("b"), acknowledged(""), acknowledged("")],
                ["confirmed", "unroutable", "confirmed"],
            ),
            (
                [refused("c"), acknowledged(""), acknowledged("b")],
                ["rejected", "unroutable", "unroutable"],
            ),
        ] {
            assert_eq!(kinds(&answers), expected);
        }
    }

    /// The return that never came may be that of an acknowledged one.
    #[test]
    fn without_all_confirms_no_acknowledgement_is_believed() {
        assert_eq!(
            kinds(&[acknowledged("b"), acknowledged(""), none()]),
            ["unknown", "unroutable", "unknown"]
        );
        assert_eq!(
            kinds(&[refused(""), none(), acknowledged("")]),
            ["rejected", "unknown", "unknown"]
        );
    }
}
