//! Preparing: durable and invisible, all messages of a local transaction or none.

use std::sync::Arc;

use amends_core::message::half::{HalfId, HalfState};
use tokio::sync::oneshot;

use super::recent::Contents;
use super::types::{HalfView, NewHalf, Prepared};
use super::{Halves, read};
use crate::crash;
use crate::messages::accept::{check, content_difference, message};
use crate::messages::writer::Job;
use crate::messages::{Accepted, Deliver, MessagesError};
use crate::store::messages::{HalfMessage, MessageWrite, StoredMessage, Written};

impl Halves {
    /// Prepares the messages of a local transaction, all or none; returns once they are
    /// durable. Prepared before with the same content, they are as they are since.
    ///
    /// # Errors
    /// [`MessagesError::HalfExists`], [`MessagesError::AlreadyExists`],
    /// [`MessagesError::Invalid`], the store's; at once, while writes fail.
    ///
    /// Dropped, they may have been prepared; repeating it with the same ids is safe.
    pub async fn prepare(&self, new: NewHalf) -> Result<Prepared, MessagesError> {
        check(&new.messages)?;
        let inner = &self.messages.inner;
        inner.writer.check_health()?;
        let now = inner.clock.now();
        let id = match new.id {
            Some(id) => id,
            None => HalfId::new(&uuid::Uuid::now_v7().to_string())
                .map_err(|error| MessagesError::Invalid(error.to_string()))?,
        };
        let mut messages = Vec::with_capacity(new.messages.len());
        for new in new.messages {
            let (deliver_at, delay) = match new.deliver {
                Deliver::AtOnce => (None, None),
                Deliver::At(at) => (Some(at), None),
                Deliver::After(delay) => (None, Some(delay)),
            };
            messages.push(HalfMessage {
                message: message(new, deliver_at, now)?,
                delay,
            });
        }
        let write = MessageWrite::Prepare {
            half: id.clone(),
            producer: new.producer.clone(),
            check_at: now + new.check_after.unwrap_or(self.options.check_after),
            messages: messages.clone(),
        };
        let contents = Contents {
            producer: new.producer,
            messages,
        };
        let written = self.write_one(write).await?;
        crash::point("half-prepared");
        self.prepared(id, contents, written)
    }

    /// Writes one change and waits.
    pub(super) async fn write_one(&self, write: MessageWrite) -> Result<Written, MessagesError> {
        let (reply, answer) = oneshot::channel();
        let writer = &self.messages.inner.writer;
        let job = Job {
            writes: vec![write],
            guard: None,
            done: Box::new(move |outcome| {
                let _ = reply.send(outcome.written().pop());
            }),
        };
        writer.send(job).await?;
        let written = writer.when_written(answer).await?;
        written.ok_or(MessagesError::Stopping)
    }

    fn prepared(
        &self,
        id: HalfId,
        contents: Contents,
        written: Written,
    ) -> Result<Prepared, MessagesError> {
        match written {
            Written::Done => {
                let messages = contents.messages.iter();
                let messages = messages.map(|it| Accepted {
                    id: it.message.id.clone(),
                    created: true,
                });
                let messages = messages.collect();
                self.shared.recent.put(id.clone(), Arc::new(contents));
                Ok(Prepared {
                    id,
                    messages,
                    state: HalfState::Prepared,
                })
            }
            Written::HalfExists(found) => {
                let half = id.to_string();
                if let Some(difference) = difference(&contents, &found) {
                    return Err(MessagesError::HalfExists { half, difference });
                }
                let view = read::view(found).ok_or(MessagesError::NoHalf(half))?;
                Ok(Prepared {
                    id,
                    messages: found_ids(&view),
                    state: view.state(),
                })
            }
            Written::Exists(found) => {
                let difference = "half_id";
                let id = found.message.id.to_string();
                Err(MessagesError::AlreadyExists { id, difference })
            }
            Written::Conflict { .. } | Written::Decided(_) => Err(MessagesError::Invalid(format!(
                "the store cannot take half {id}"
            ))),
        }
    }
}

/// Those that were made up at the first time keep their ids.
fn found_ids(view: &HalfView) -> Vec<Accepted> {
    let ids = view.message_ids.iter();
    let accepted = ids.map(|id| Accepted {
        id: id.clone(),
        created: false,
    });
    accepted.collect()
}

/// What differs between a half and the one that is there already.
fn difference(new: &Contents, found: &[StoredMessage]) -> Option<String> {
    if new.messages.len() != found.len() {
        return Some(format!("number of messages: {}", found.len()));
    }
    for (ix, (new, found)) in new.messages.iter().zip(found).enumerate() {
        let (message, half) = (&new.message, found.half.as_deref());
        let is_decided = half.is_some_and(|half| half.decision.is_some());
        // A verdict notes from when on it is delivered, where that was not said before.
        let another_time = (message.deliver_at.is_some() || !is_decided)
            && message.deliver_at != found.message.deliver_at;
        let content = content_difference(message, &found.message);
        let of_message = content.or(another_time.then_some("deliver_time"));
        let another_delay = half.is_some_and(|half| half.delay != new.delay);
        if let Some(what) = of_message.or(another_delay.then_some("delay")) {
            return Some(format!("messages[{ix}].{what}"));
        }
    }
    let producer = |it: &StoredMessage| it.half.as_ref().map(|half| half.producer.clone());
    let same = found.first().and_then(producer) == Some(new.producer.clone());
    (!same).then(|| "producer".to_owned())
}
