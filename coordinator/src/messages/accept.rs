//! Accepting messages: durable first, then handed on in memory.

use std::collections::HashSet;
use std::sync::Arc;

use amends_core::message::{GroupName, Message, MessageId, SharedMessage};
use amends_core::time::Timestamp;
use tokio::sync::oneshot;

use super::dispatch::{Dispatchers, Offer};
use super::error::MessagesError;
use super::handle::Messages;
use super::hints::Hints;
use super::options::MAX_PUBLISH;
use super::relay::Due;
use super::types::{Accepted, Deliver, NewMessage};
use super::writer::{Guard, Job, JobOutcome};
use crate::crash;
use crate::store::messages::{Birth, MessageWrite, StoredMessage, Written};

/// A message about to be accepted.
#[derive(Clone)]
struct Candidate {
    message: Arc<Message>,
    /// Its delay was given as a span: a repetition has another time.
    relative: bool,
    /// Groups that get it at once.
    fanout: Vec<GroupName>,
}

impl Messages {
    /// Accepts 1 to [`MAX_PUBLISH`] messages, all or none; returns once they are durable, in order.
    ///
    /// # Errors
    /// [`MessagesError::AlreadyExists`], [`MessagesError::Invalid`], the store's; at once, while
    /// writes fail.
    ///
    /// Dropped, they may have been accepted; repeating it with the same ids is safe.
    pub async fn publish(&self, messages: Vec<NewMessage>) -> Result<Vec<Accepted>, MessagesError> {
        check(&messages)?;
        let inner = &self.inner;
        inner.writer.check_health()?;
        let now = inner.clock.now();
        let candidates: Vec<Candidate> = messages
            .into_iter()
            .map(|new| self.candidate(new, now))
            .collect::<Result<_, _>>()?;
        let writes = candidates.iter().map(accept).collect();
        let guard = guard(&candidates);
        let (reply, answer) = oneshot::channel();
        let (dispatchers, accepted) = (inner.dispatchers.clone(), inner.accepted.clone());
        let told = candidates.clone();
        let done = Box::new(move |outcome: JobOutcome| {
            crash::point("message-accepted");
            if let JobOutcome::Written(written) = &outcome {
                hand_on(&told, written, &dispatchers, &accepted);
            }
            let _ = reply.send(outcome);
        });
        let job = Job {
            writes,
            guard,
            done,
        };
        inner.writer.send(job).await?;
        results(&candidates, inner.writer.when_written(answer).await?)
    }

    fn candidate(&self, new: NewMessage, now: Timestamp) -> Result<Candidate, MessagesError> {
        let deliver_at = match new.deliver {
            Deliver::AtOnce => None,
            Deliver::At(at) => Some(at),
            Deliver::After(span) => Some(now + span),
        };
        let relative = matches!(new.deliver, Deliver::After(_));
        let message = message(new, deliver_at, now)?;
        let at_once = !self.inner.is_external() && deliver_at.is_none_or(|at| at <= now);
        let fanout = if at_once {
            self.inner.table.groups_for(&message)
        } else {
            Vec::new()
        };
        Ok(Candidate {
            message,
            relative,
            fanout,
        })
    }
}

/// A message that is about to be recorded.
pub(super) fn message(
    new: NewMessage,
    deliver_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<SharedMessage, MessagesError> {
    let id = match new.id {
        Some(id) => id,
        None => MessageId::new(&uuid::Uuid::now_v7().to_string())
            .map_err(|error| MessagesError::Invalid(error.to_string()))?,
    };
    Ok(Arc::new(Message {
        id,
        topic: new.topic,
        tag: new.tag,
        key: new.key,
        order_key: new.order_key,
        headers: new.headers,
        payload: new.payload,
        deliver_at,
        created_at: now,
    }))
}

pub(super) fn check(messages: &[NewMessage]) -> Result<(), MessagesError> {
    if messages.is_empty() || messages.len() > MAX_PUBLISH {
        return Err(MessagesError::Invalid(format!(
            "{} messages in one call, 1 to {MAX_PUBLISH} are allowed",
            messages.len()
        )));
    }
    let mut ids = HashSet::new();
    for id in messages.iter().filter_map(|message| message.id.as_ref()) {
        if !ids.insert(id) {
            return Err(MessagesError::Invalid(format!("id {id} occurs twice")));
        }
    }
    Ok(())
}

fn accept(candidate: &Candidate) -> MessageWrite {
    MessageWrite::Accept {
        message: candidate.message.clone(),
        birth: match candidate.fanout.as_slice() {
            [] => Birth::Committed,
            groups => Birth::Published {
                fanout: groups.to_vec(),
            },
        },
    }
}

/// Of several messages none is kept when one has the id of another message. A single one
/// needs no look before: its own write tells.
fn guard(candidates: &[Candidate]) -> Option<Guard> {
    if candidates.len() < 2 {
        return None;
    }
    let all = candidates.to_vec();
    let ids = all.iter().map(|it| it.message.id.clone()).collect();
    let differs = move |found: &StoredMessage| {
        let same = |it: &&Candidate| it.message.id == found.message.id;
        let candidate = all.iter().find(same);
        candidate.is_some_and(|it| difference(it, &found.message).is_some())
    };
    Some(Guard {
        ids,
        refuses: Box::new(move |found| found.iter().any(&differs)),
    })
}

/// Runs in the writer, so in the order of the commits.
fn hand_on(
    candidates: &[Candidate],
    written: &[Written],
    dispatchers: &Dispatchers,
    accepted: &Hints<Vec<Due>>,
) {
    let counters = dispatchers.counters();
    let mut due = Vec::new();
    let new = |written: &Written| *written == Written::Done;
    for (candidate, _) in candidates.iter().zip(written).filter(|(_, it)| new(it)) {
        let message = &candidate.message;
        counters.accepted.add(1);
        for group in &candidate.fanout {
            let offer = Offer::fresh(message.clone());
            dispatchers.offer(group, &message.topic, vec![offer]);
        }
        if candidate.fanout.is_empty() {
            due.push(Due::accepted(message.clone()));
        } else {
            counters.published.add(1);
        }
    }
    if !due.is_empty() {
        accepted.offer(due);
    }
}

fn results(candidates: &[Candidate], outcome: JobOutcome) -> Result<Vec<Accepted>, MessagesError> {
    let written = match outcome {
        JobOutcome::Written(written) => written,
        JobOutcome::Refused(found) => found
            .into_iter()
            .map(|found| Written::Exists(Box::new(found)))
            .collect(),
    };
    let mut accepted = Vec::with_capacity(candidates.len());
    for (ix, written) in written.into_iter().enumerate() {
        let candidate = match &written {
            Written::Exists(found) => {
                let same = |it: &&Candidate| it.message.id == found.message.id;
                candidates.iter().find(same)
            }
            _ => candidates.get(ix),
        };
        let Some(candidate) = candidate else { continue };
        let id = candidate.message.id.clone();
        let created = match written {
            Written::Done => true,
            Written::Exists(found) => match difference(candidate, &found.message) {
                None => false,
                Some(difference) => {
                    let id = id.to_string();
                    return Err(MessagesError::AlreadyExists { id, difference });
                }
            },
            Written::Conflict { .. } | Written::HalfExists(_) | Written::Decided(_) => {
                return Err(MessagesError::Invalid(format!(
                    "the store cannot take message {id}"
                )));
            }
        };
        accepted.push(Accepted { id, created });
    }
    Ok(accepted)
}

/// What differs between a message and one of the same id that is there already.
fn difference(candidate: &Candidate, found: &Message) -> Option<&'static str> {
    let new = &candidate.message;
    let at_another_time = new.deliver_at.is_some() != found.deliver_at.is_some()
        || (!candidate.relative && new.deliver_at != found.deliver_at);
    content_difference(new, found).or(at_another_time.then_some("deliver_time"))
}

/// The same, whenever they are to be delivered.
pub(super) fn content_difference(new: &Message, found: &Message) -> Option<&'static str> {
    if new.topic != found.topic {
        Some("topic")
    } else if new.tag != found.tag {
        Some("tag")
    } else if new.key != found.key {
        Some("key")
    } else if new.order_key != found.order_key {
        Some("order_key")
    } else if new.headers != found.headers {
        Some("headers")
    } else if new.payload != found.payload {
        Some("payload")
    } else {
        None
    }
}
