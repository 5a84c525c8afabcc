//! Producers that opened a stream and are asked over it.
//!
//! A member takes as many questions at a time as it said; one that joins under the
//! name of another takes its place. Bounded by [`MAX_MEMBERS`].

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amends_core::message::GroupName;
use amends_proto::v1;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::messages::MessagesError;
use crate::participant::Asked;

/// Most members of all groups.
const MAX_MEMBERS: usize = 10_000;
/// Questions that one member takes at a time.
pub const MAX_CONCURRENCY: u32 = 100;
/// When to come back while there are too many members.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A question for a member.
#[derive(Debug)]
pub struct Question {
    /// What is asked.
    pub request: v1::CheckBackRequest,
    /// How long the answer is waited for.
    pub timeout: Duration,
    reply: oneshot::Sender<v1::CheckBackResponse>,
    sent: Arc<AtomicBool>,
}

impl Question {
    /// It is on its way to the member.
    pub fn sent(&self) {
        self.sent.store(true, Ordering::Relaxed);
    }

    /// Whether anybody still waits for the answer.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        !self.reply.is_closed()
    }

    /// The member's answer. One that comes too late changes nothing.
    pub fn answer(self, response: v1::CheckBackResponse) {
        let _ = self.reply.send(response);
    }
}

/// The members by group.
#[derive(Debug, Default)]
pub(super) struct Members {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    count: usize,
    groups: HashMap<GroupName, Group>,
}

#[derive(Debug, Default)]
struct Group {
    turn: usize,
    members: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    instance: String,
    questions: mpsc::Sender<Question>,
    places: Arc<Semaphore>,
}

/// A member's place; it leaves when this is dropped.
#[derive(Debug)]
pub struct Member {
    members: Arc<Members>,
    producer: GroupName,
    number: u64,
    questions: mpsc::Receiver<Question>,
}

impl Member {
    /// The next question; none: another one has taken this place. Dropping it loses nothing.
    pub async fn next(&mut self) -> Option<Question> {
        self.questions.recv().await
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut inner = self.members.lock();
        let Inner { count, groups, .. } = &mut *inner;
        if let Some(group) = groups.get_mut(&self.producer) {
            let before = group.members.len();
            group.members.retain(|it| it.number != self.number);
            *count -= before - group.members.len();
            if group.members.is_empty() {
                groups.remove(&self.producer);
            }
        }
    }
}

/// A member that has room for a question.
#[derive(Debug)]
pub(super) struct Place {
    instance: String,
    questions: mpsc::Sender<Question>,
    _place: OwnedSemaphorePermit,
}

impl Members {
    pub(super) fn join(
        self: &Arc<Self>,
        producer: GroupName,
        instance: &str,
        concurrency: u32,
    ) -> Result<Member, MessagesError> {
        let concurrency = concurrency.clamp(1, MAX_CONCURRENCY) as usize;
        let (sender, questions) = mpsc::channel(concurrency);
        let mut inner = self.lock();
        if inner.count >= MAX_MEMBERS {
            return Err(MessagesError::Overloaded {
                retry_after: RETRY_AFTER,
            });
        }
        inner.next += 1;
        let number = inner.next;
        let group = inner.groups.entry(producer.clone()).or_default();
        let before = group.members.len();
        group.members.retain(|it| it.instance != instance);
        let replaced = before - group.members.len();
        group.members.push(Entry {
            number,
            instance: instance.to_owned(),
            questions: sender,
            places: Arc::new(Semaphore::new(concurrency)),
        });
        inner.count = inner.count + 1 - replaced;
        drop(inner);
        Ok(Member {
            members: Arc::clone(self),
            producer,
            number,
            questions,
        })
    }

    /// Names of the members of a group.
    pub(super) fn instances(&self, producer: &GroupName) -> Vec<String> {
        let inner = self.lock();
        let group = inner.groups.get(producer);
        let members = group.into_iter().flat_map(|group| &group.members);
        members.map(|it| it.instance.clone()).collect()
    }

    /// Groups with members.
    pub(super) fn groups(&self) -> BTreeSet<GroupName> {
        self.lock().groups.keys().cloned().collect()
    }

    /// A member that has room, in turn.
    pub(super) fn place(&self, producer: &GroupName) -> Option<Place> {
        let mut inner = self.lock();
        let group = inner.groups.get_mut(producer)?;
        group.turn = group.turn.wrapping_add(1);
        let (before, from_here) = group.members.split_at(group.turn % group.members.len());
        let mut members = from_here.iter().chain(before);
        members.find_map(|it| {
            Some(Place {
                _place: it.places.clone().try_acquire_owned().ok()?,
                instance: it.instance.clone(),
                questions: it.questions.clone(),
            })
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it is held.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Asks, and waits for the answer no longer than this.
    pub(super) async fn ask(self, request: v1::CheckBackRequest, timeout: Duration) -> Asked {
        let (reply, answer) = oneshot::channel();
        let sent = Arc::new(AtomicBool::new(false));
        let question = Question {
            request,
            timeout,
            reply,
            sent: sent.clone(),
        };
        let unanswered = |note: String| Asked {
            instance: self.instance.clone(),
            verdict: None,
            note,
            counted: sent.load(Ordering::Relaxed),
        };
        if self.questions.send(question).await.is_err() {
            return unanswered("its stream has ended".to_owned());
        }
        match tokio::time::timeout(timeout, answer).await {
            Ok(Ok(response)) => Asked::answered(self.instance.clone(), response),
            Ok(Err(_)) => unanswered("its stream ended before it answered".to_owned()),
            Err(_) => unanswered(format!("no answer within {timeout:?}")),
        }
    }
}
