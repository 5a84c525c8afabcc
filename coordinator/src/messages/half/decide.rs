//! Giving a verdict: one write, by which the messages become visible or never will.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use amends_core::id::Generation;
use amends_core::message::half::{
    CheckLog, Command, DecidedBy, HalfId, HalfState, Nothing, Record, Verdict,
};
use amends_core::message::{GroupName, Message};
use amends_core::time::Timestamp;
use tokio::sync::oneshot;

use super::Halves;
use super::recent::Contents;
use super::types::{DecideHalf, Who, standing};
use crate::crash;
use crate::messages::MessagesError;
use crate::messages::dispatch::Offer;
use crate::messages::relay::Due;
use crate::messages::writer::{Job, JobOutcome};
use crate::store::messages::{Bodies, HalfEnd, HalfMessage, MessageWrite, StoredMessage, Written};

/// A verdict about to be written.
pub(super) struct Deciding {
    pub(super) id: HalfId,
    pub(super) verdict: Verdict,
    pub(super) by: DecidedBy,
    pub(super) reason: String,
    /// Checks up to here, where the verdict came with one.
    pub(super) checks: Option<(u32, CheckLog)>,
}

impl Halves {
    /// Gives a verdict; returns once it is durable, and with it what becomes of the
    /// messages. The state that follows, and whether it is news.
    ///
    /// # Errors
    /// [`MessagesError::NoHalf`], [`MessagesError::HalfDecided`] when the opposite stands,
    /// [`MessagesError::AnotherProducer`], the store's.
    ///
    /// Dropped, it may have been given; repeating it is safe.
    pub async fn resolve(&self, wanted: DecideHalf) -> Result<(HalfState, bool), MessagesError> {
        let DecideHalf {
            id,
            verdict,
            who,
            reason,
        } = wanted;
        let by = match &who {
            Who::Producer(_) => DecidedBy::Producer,
            Who::Operator => DecidedBy::Operator,
        };
        let (contents, found) = match self.shared.recent.take(&id) {
            Some(contents) => (contents, None),
            None => {
                let found = self.of_half(&id, Bodies::Read).await?;
                (Arc::new(contents(&id, &found)?), found.into_iter().next())
            }
        };
        if let Who::Producer(producer) = who
            && producer != contents.producer
        {
            let half = id.to_string();
            let producer = producer.to_string();
            self.shared.recent.put(id, contents);
            return Err(MessagesError::AnotherProducer { half, producer });
        }
        if let Some(stands) = found.and_then(|first| self.stands(&first, verdict, by)) {
            return told(&id, verdict, stands);
        }
        let deciding = Deciding {
            id: id.clone(),
            verdict,
            by,
            reason,
            checks: None,
        };
        match self.write_verdict(deciding, &contents).await? {
            Written::Done => Ok((verdict.state(), true)),
            Written::Decided(stands) => told(&id, verdict, stands),
            _ => Err(MessagesError::NoHalf(id.to_string())),
        }
    }

    /// What was decided before, if something was.
    fn stands(&self, first: &StoredMessage, verdict: Verdict, by: DecidedBy) -> Option<Verdict> {
        let half = standing(first.half.as_deref()?);
        let now = self.messages.inner.clock.now();
        match half.take(Command::Decide(verdict, by), now, &self.options.policy) {
            Err(Nothing::Known) => Some(verdict),
            Err(Nothing::Opposite(stands)) => Some(stands),
            Ok(Record::Decided { .. } | Record::Checked { .. } | Record::AskAt(_))
            | Err(Nothing::Late) => None,
        }
    }

    /// Writes a verdict. What is visible by it is handed on in the order of the commits.
    pub(super) async fn write_verdict(
        &self,
        deciding: Deciding,
        contents: &Contents,
    ) -> Result<Written, MessagesError> {
        let inner = &self.messages.inner;
        let now = inner.clock.now();
        let messages = contents.messages.iter();
        let ends: Vec<HalfEnd> = messages
            .map(|it| self.end(it, deciding.verdict, now))
            .collect();
        let messages = contents.messages.iter().zip(&ends);
        let before = self.shared.verdicts.fetch_add(1, Ordering::Relaxed);
        let generation = Generation(before.saturating_add(1));
        let write = MessageWrite::Decide {
            half: deciding.id,
            verdict: deciding.verdict,
            messages: messages
                .map(|(it, end)| (it.message.id.clone(), end.clone()))
                .collect(),
            by: deciding.by,
            reason: deciding.reason,
            checks: deciding.checks,
            generation,
            now,
        };
        let told: Vec<_> = contents
            .messages
            .iter()
            .map(|it| it.message.clone())
            .collect();
        let (reply, answer) = oneshot::channel();
        let (dispatchers, accepted) = (inner.dispatchers.clone(), inner.accepted.clone());
        let done = Box::new(move |outcome: JobOutcome| {
            crash::point("half-decided");
            let written = outcome.written().pop();
            if written == Some(Written::Done) {
                let mut due = Vec::new();
                for (message, end) in told.iter().zip(ends) {
                    match end {
                        HalfEnd::RolledBack => {}
                        HalfEnd::Committed(at) => due.push(Due {
                            generation,
                            ..Due::accepted(delivered(message, at))
                        }),
                        HalfEnd::Published(groups) => {
                            for group in groups {
                                let offer = Offer::fresh(message.clone());
                                dispatchers.offer(&group, &message.topic, vec![offer]);
                            }
                        }
                    }
                }
                if !due.is_empty() {
                    accepted.offer(due);
                }
            }
            let _ = reply.send(written);
        });
        crash::point("half-deciding");
        let job = Job {
            writes: vec![write],
            guard: None,
            done,
        };
        inner.writer.send(job).await?;
        let written = inner.writer.when_written(answer).await?;
        written.ok_or(MessagesError::Stopping)
    }

    /// What a verdict makes of a message. Its delay begins now.
    fn end(&self, half: &HalfMessage, verdict: Verdict, now: Timestamp) -> HalfEnd {
        if verdict == Verdict::Rollback {
            return HalfEnd::RolledBack;
        }
        let inner = &self.messages.inner;
        let message = &half.message;
        let at = match half.delay {
            Some(delay) => now + delay,
            None => message.deliver_at.unwrap_or(now),
        };
        let groups: Vec<GroupName> = match inner.is_external() || at > now {
            true => Vec::new(),
            false => inner.table.groups_for(message),
        };
        match groups.is_empty() {
            true => HalfEnd::Committed(at),
            false => HalfEnd::Published(groups),
        }
    }
}

/// The answer to a verdict where one stands.
fn told(
    id: &HalfId,
    verdict: Verdict,
    stands: Verdict,
) -> Result<(HalfState, bool), MessagesError> {
    if stands == verdict {
        return Ok((stands.state(), false));
    }
    let half = id.to_string();
    Err(MessagesError::HalfDecided {
        half,
        verdict: stands,
    })
}

/// The messages of a half as they were prepared.
pub(super) fn contents(id: &HalfId, found: &[StoredMessage]) -> Result<Contents, MessagesError> {
    let no_half = || MessagesError::NoHalf(id.to_string());
    let first = found.first().and_then(|it| it.half.as_ref());
    let messages = found.iter().map(|it| HalfMessage {
        message: it.message.clone(),
        delay: it.half.as_ref().and_then(|half| half.delay),
    });
    Ok(Contents {
        producer: first.ok_or_else(no_half)?.producer.clone(),
        messages: messages.collect(),
    })
}

/// As it is stored from its commit on.
fn delivered(message: &Arc<Message>, at: Timestamp) -> Arc<Message> {
    Arc::new(Message {
        deliver_at: Some(at),
        ..Message::clone(message)
    })
}
