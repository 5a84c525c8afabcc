//! Answering checks: what became of the local transaction of a half id?

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use amends_proto::v1;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

use crate::conn::LOCK_WAIT;
use crate::consumer_log::{HalfKey, Truth, barrier};
use crate::{Database, ServiceBuilder, ServiceDef, StepError, StepResult};

/// Checks answered at a time, of all groups of a process: fewer than there are
/// connections, so that steps find some.
pub(crate) const MAX_CHECKS: usize = 8;

/// How long one check may take; then its answer is unknown.
const MAX_CHECK: Duration = Duration::from_secs(LOCK_WAIT.as_secs() + 2);

/// A row that is missing says nothing when it may have been removed. This much
/// earlier than the removal, because the clocks are two.
const CLOCKS_DIFFER: Duration = Duration::from_secs(60 * 60);

/// What became of a local transaction, as a check answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HalfVerdict {
    /// It took effect: deliver.
    Commit,
    /// It did not, and never will: deliver nothing.
    Rollback,
    /// Not known yet: ask again later.
    Unknown,
}

/// Which half id this is about.
#[derive(Clone, Debug)]
pub struct HalfCx {
    half_id: String,
    key: String,
    headers: HashMap<String, String>,
    messages: Vec<String>,
}

impl HalfCx {
    pub(super) fn new(half_id: &str, messages: &[v1::Message]) -> Self {
        let first = messages.first().cloned().unwrap_or_default();
        Self {
            half_id: half_id.to_owned(),
            key: first.key,
            headers: first.headers,
            messages: messages.iter().map(|message| message.id.clone()).collect(),
        }
    }

    /// The half id. Hand it to systems that deduplicate.
    #[must_use]
    pub fn half_id(&self) -> &str {
        &self.half_id
    }

    /// The key of the first message: what it is about.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// A header of the first message.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The ids of its messages.
    #[must_use]
    pub fn message_ids(&self) -> &[String] {
        &self.messages
    }
}

/// A check of the service's own, for effects that the consumer log does not know.
/// An error means unknown.
pub type HalfCheck<S> = for<'a> fn(&'a S, &'a HalfCx) -> BoxFuture<'a, StepResult<HalfVerdict>>;

type Check =
    Box<dyn for<'a> Fn(&'a HalfCx) -> BoxFuture<'a, StepResult<HalfVerdict>> + Send + Sync>;

/// A check, and which half messages it is for: by topic and tag of the first.
pub(crate) struct CheckDef {
    topic: String,
    tag: String,
    check: Check,
}

impl<S: Send + Sync + 'static> ServiceBuilder<S> {
    /// Answers the checks of half messages of this topic and tag (of the first
    /// message of their half id), for work that lies outside of the service's
    /// database: [`NewHalf::run`](super::NewHalf::run). Without one, checks are
    /// answered from the consumer log.
    ///
    /// `Rollback` must be said only when the work can no longer take effect.
    pub fn check_back(
        mut self,
        topic: impl Into<String>,
        tag: impl Into<String>,
        check: HalfCheck<S>,
    ) -> Self {
        let service = Arc::clone(&self.service);
        let check: Check = Box::new(move |cx| {
            let service = Arc::clone(&service);
            Box::pin(async move { check(&service, cx).await })
        });
        self.def.checks.push(CheckDef {
            topic: topic.into(),
            tag: tag.into(),
            check,
        });
        self
    }
}

/// The producer groups of a process, and what answers for them.
pub(crate) struct Checks {
    database: Database,
    /// How long rows of the consumer log are kept.
    retention: Duration,
    groups: BTreeMap<String, Vec<CheckDef>>,
    places: Semaphore,
}

impl Checks {
    pub(crate) fn new(database: Database, retention: Duration) -> Self {
        Self {
            database,
            retention,
            groups: BTreeMap::new(),
            places: Semaphore::new(MAX_CHECKS),
        }
    }

    /// Answers for a group from the consumer log.
    pub(crate) fn join(&mut self, group: &str) {
        self.groups.entry(group.to_owned()).or_default();
    }

    /// Answers for the group that has the service's name.
    pub(crate) fn join_service(&mut self, service: &mut ServiceDef) {
        let own = std::mem::take(&mut service.checks);
        let group = self.groups.entry(service.name().to_owned()).or_default();
        group.extend(own);
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(String::as_str)
    }

    /// Answers one question; `None`: of a group that is not here. Not to be
    /// dropped half way: run it in a task of its own.
    pub(crate) async fn answer(
        &self,
        question: v1::CheckBackRequest,
    ) -> Option<v1::CheckBackResponse> {
        let checks = self.groups.get(&question.producer)?;
        let bounded = tokio::time::timeout(MAX_CHECK, self.verdict(checks, &question));
        let done = bounded
            .await
            .unwrap_or_else(|_| Err(StepError::unknown("the check took too long")));
        let (verdict, note) = match done {
            Ok(verdict) => (verdict, String::new()),
            Err(error) => (HalfVerdict::Unknown, error.to_string()),
        };
        let (half_id, producer) = (&question.half_id, &question.producer);
        tracing::debug!(half_id, producer, ?verdict, note, "a check was answered");
        Some(v1::CheckBackResponse {
            verdict: verdict.to_proto().into(),
            note,
        })
    }

    async fn verdict(
        &self,
        checks: &[CheckDef],
        question: &v1::CheckBackRequest,
    ) -> StepResult<HalfVerdict> {
        let _place = self.places.acquire().await?;
        let first = question.messages.first();
        let own = first.and_then(|first| {
            checks
                .iter()
                .find(|check| check.topic == first.topic && check.tag == first.tag)
        });
        if let Some(own) = own {
            let cx = HalfCx::new(&question.half_id, &question.messages);
            return barrier((own.check)(&cx)).await;
        }
        let key = HalfKey::new(&question.producer, &question.half_id)?;
        if self.may_be_removed(first) {
            if key.has_committed(&self.database).await? {
                return Ok(HalfVerdict::Commit);
            }
            return Err(StepError::unknown(
                "it is older than the consumer log is kept: a person must decide",
            ));
        }
        Ok(match key.check(&self.database).await? {
            Truth::Committed => HalfVerdict::Commit,
            Truth::Never => HalfVerdict::Rollback,
        })
    }

    fn may_be_removed(&self, message: Option<&v1::Message>) -> bool {
        let prepared = message.and_then(|message| message.create_time);
        let prepared = prepared.and_then(|time| SystemTime::try_from(time).ok());
        let age = prepared.and_then(|time| SystemTime::now().duration_since(time).ok());
        age.is_some_and(|age| age + CLOCKS_DIFFER >= self.retention)
    }
}

impl HalfVerdict {
    fn to_proto(self) -> v1::HalfVerdict {
        match self {
            Self::Commit => v1::HalfVerdict::Commit,
            Self::Rollback => v1::HalfVerdict::Rollback,
            Self::Unknown => v1::HalfVerdict::Unspecified,
        }
    }
}
