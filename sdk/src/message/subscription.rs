//! [`Subscription`]: which messages a handler wants, and how.

use std::time::Duration;

use amends_proto::v1;

use crate::consumer_log::MAX_ATTEMPT_DURATION;
use crate::saga::convert;

/// Most messages that a handler works on at the same time.
pub const MAX_IN_WORK: u32 = 1000;

/// Most messages that are fetched ahead.
pub const MAX_PREFETCH: u32 = 1000;

/// Messages that a handler works on at the same time unless it says otherwise.
const DEFAULT_IN_WORK: u32 = 32;

/// Longest group and topic, in characters.
const MAX_NAME_CHARS: usize = 128;

/// Which messages a handler wants, how many at a time, and how they are tried
/// again. The coordinator keeps it: messages wait for the group while no
/// instance of it is there.
///
/// ```
/// # use amends::Subscription;
/// # use std::time::Duration;
/// let paid = Subscription::to("payTopic")
///     .tags("pay_success || pay_late")
///     .group("points")
///     .max_attempts(16)
///     .retry([Duration::from_secs(1), Duration::from_secs(60)]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "give it to `ServiceBuilder::on_message`"]
pub struct Subscription {
    topic: String,
    group: String,
    which: Which,
    mode: v1::ConsumeMode,
    max_attempts: u32,
    retry: Vec<Duration>,
    concurrency: u32,
    prefetch: Option<u32>,
    dedupe: Dedupe,
    timeout: Duration,
}

/// Which messages of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Which {
    Tags(String),
    Sql(String),
}

/// By what a message is recognised as seen before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dedupe {
    /// By its id: every message takes effect once.
    #[default]
    Id,
    /// By its key: of all messages of one topic and tag with the same key one
    /// takes effect. Messages without a key are recognised by their id.
    Key,
}

/// What cannot be subscribed to: change the code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the subscription of group `{group}` to topic `{topic}`: {problem}")]
pub struct SubscriptionError {
    group: String,
    topic: String,
    problem: String,
}

impl Subscription {
    /// All messages of a topic, for the group that has the service's name.
    pub fn to(topic: impl Into<String>) -> Self {
        Self {
            topic: topic.into(),
            group: String::new(),
            which: Which::Tags("*".to_owned()),
            mode: v1::ConsumeMode::Clustering,
            max_attempts: 0,
            retry: Vec::new(),
            concurrency: DEFAULT_IN_WORK,
            prefetch: None,
            dedupe: Dedupe::Id,
            timeout: MAX_ATTEMPT_DURATION,
        }
    }

    /// The group. Every group gets every message; within it one instance does.
    /// It is stored; default the service's name.
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = group.into();
        self
    }

    /// Only messages with one of these tags: `paid || refunded`. Replaces
    /// [`filter`](Self::filter).
    pub fn tags(mut self, tags: impl Into<String>) -> Self {
        self.which = Which::Tags(tags.into());
        self
    }

    /// Only messages whose headers, tag, key and id meet this SQL condition:
    /// `amount > 10 AND kind IS NOT NULL`. Replaces [`tags`](Self::tags).
    pub fn filter(mut self, condition: impl Into<String>) -> Self {
        self.which = Which::Sql(condition.into());
        self
    }

    /// Every instance gets every message, each under its own name: see
    /// [`ParticipantBuilder::instance`](crate::participant::ParticipantBuilder::instance).
    pub fn broadcasting(mut self) -> Self {
        self.mode = v1::ConsumeMode::Broadcasting;
        self
    }

    /// Attempts in all before a message is a dead letter. Default: as many as
    /// the schedule has waits.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// The waits after the first, second, … failed attempt; the last one
    /// repeats. Default 10 s, 30 s, 1 to 10 min, 20 min, 30 min, 1 h, 2 h.
    pub fn retry(mut self, waits: impl IntoIterator<Item = Duration>) -> Self {
        self.retry = waits.into_iter().collect();
        self
    }

    /// How many messages an instance works on at a time, 1 to
    /// [`MAX_IN_WORK`]; default 32.
    pub fn concurrency(mut self, messages: u32) -> Self {
        self.concurrency = messages;
        self
    }

    /// How many messages an instance has at hand, those in work included, 1 to
    /// [`MAX_PREFETCH`]; default twice the concurrency.
    pub fn prefetch(mut self, messages: u32) -> Self {
        self.prefetch = Some(messages);
        self
    }

    /// By what messages are recognised as seen before.
    pub fn dedupe(mut self, dedupe: Dedupe) -> Self {
        self.dedupe = dedupe;
        self
    }

    /// How long one attempt may take; then it has failed. Default 60 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub(crate) fn or_group(mut self, service: &str) -> Self {
        if self.group.is_empty() {
            service.clone_into(&mut self.group);
        }
        self
    }

    pub(crate) fn group_name(&self) -> &str {
        &self.group
    }

    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    pub(crate) fn in_work(&self) -> u32 {
        self.concurrency
    }

    pub(crate) fn at_hand(&self) -> u32 {
        let twice = self.concurrency.saturating_mul(2);
        self.prefetch.unwrap_or_else(|| twice.min(MAX_PREFETCH))
    }

    pub(crate) fn dedupes_by(&self) -> Dedupe {
        self.dedupe
    }

    pub(crate) fn attempt_timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn is_broadcasting(&self) -> bool {
        self.mode == v1::ConsumeMode::Broadcasting
    }

    /// Says what is wrong with it, as far as the coordinator is not needed for that.
    pub(crate) fn check(&self) -> Result<(), SubscriptionError> {
        let problem = if !is_name(&self.topic) {
            "the topic has 1 to 128 of A-Z, a-z, 0-9, `-`, `_` and `.`".to_owned()
        } else if !is_name(&self.group) {
            "the group has 1 to 128 of A-Z, a-z, 0-9, `-`, `_` and `.`".to_owned()
        } else if !(1..=MAX_IN_WORK).contains(&self.concurrency) {
            format!("the concurrency is 1 to {MAX_IN_WORK}")
        } else if !(1..=MAX_PREFETCH).contains(&self.at_hand()) {
            format!("the prefetch is 1 to {MAX_PREFETCH}")
        } else if self.timeout.is_zero() {
            "an attempt without time never succeeds".to_owned()
        } else {
            return Ok(());
        };
        Err(SubscriptionError {
            group: self.group.clone(),
            topic: self.topic.clone(),
            problem,
        })
    }

    pub(crate) fn to_proto(&self) -> v1::Subscription {
        use v1::subscription::Filter;
        v1::Subscription {
            group: self.group.clone(),
            topic: self.topic.clone(),
            filter: Some(match &self.which {
                Which::Tags(tags) => Filter::Tags(tags.clone()),
                Which::Sql(sql) => Filter::Sql(sql.clone()),
            }),
            mode: self.mode.into(),
            max_attempts: self.max_attempts,
            retry_schedule: self
                .retry
                .iter()
                .filter_map(|wait| convert::duration(*wait))
                .collect(),
        }
    }
}

fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=MAX_NAME_CHARS).contains(&text.len()) && text.chars().all(allowed)
}

/// Which delivery of which message this is, for a handler whose effects are
/// not in the service's database.
#[derive(Clone, Debug)]
pub struct MessageCx {
    group: String,
    id: String,
    attempt: u32,
}

impl MessageCx {
    /// A context, for calling a handler directly in a unit test.
    pub fn new(group: impl Into<String>, id: impl Into<String>, attempt: u32) -> Self {
        Self {
            group: group.into(),
            id: id.into(),
            attempt,
        }
    }

    /// The group that the message was delivered to.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The number of this attempt, from 1 on. For information: never decide by it.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// `group/id`: the same for every attempt of this message in this group,
    /// and for no other. Hand it to systems that deduplicate.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        format!("{}/{}", self.group, self.id)
    }
}
