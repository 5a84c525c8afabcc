//! Participants whose every answer the test decides.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends_coordinator::participant::{Called, Caller};
use amends_core::answer::{Answer, Failure};
use amends_core::id::Gid;
use amends_core::payload::Payload;
use amends_core::saga::{Call, Phase};
use amends_core::tcc;
use amends_core::time::Millis;
use futures_util::future::BoxFuture;
use tokio::sync::{oneshot, watch};

/// Longer than anything takes here: what does not come by then does not come.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// What a participant does with a call.
pub(super) enum Reply {
    /// Answers at once.
    Now(Answer),
    /// Keeps the caller waiting until [`Script::release`].
    Held,
}

/// One call: `gid phase step`, for example `g do pay`, and which one of these it is.
pub(super) struct Asked<'a> {
    pub(super) key: &'a str,
    pub(super) nth: usize,
}

type Rule = Box<dyn Fn(&Asked<'_>) -> Option<Reply> + Send + Sync>;

/// Records every call in the order in which they begin.
pub(super) struct Script {
    rule: Mutex<Rule>,
    calls: Mutex<Vec<(String, Option<Call>)>>,
    counts: Mutex<HashMap<String, usize>>,
    held: Mutex<HashMap<String, Vec<oneshot::Sender<Answer>>>>,
    count: watch::Sender<usize>,
}

impl Script {
    /// Everything succeeds.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            rule: Mutex::new(Box::new(|_| None)),
            calls: Mutex::default(),
            counts: Mutex::default(),
            held: Mutex::default(),
            count: watch::Sender::new(0),
        })
    }

    /// From here on; what the rule says nothing about succeeds.
    pub(super) fn rule(&self, rule: impl Fn(&Asked<'_>) -> Option<Reply> + Send + Sync + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
    }

    /// Calls so far.
    pub(super) fn keys(&self) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        calls.iter().map(|(key, _)| key.clone()).collect()
    }

    /// How often this call was made.
    pub(super) fn count(&self, key: &str) -> usize {
        let counts = self.counts.lock().unwrap();
        counts.get(key).copied().unwrap_or_default()
    }

    /// The last call of this kind, of a saga.
    pub(super) fn last(&self, key: &str) -> Call {
        let calls = self.calls.lock().unwrap();
        let found = calls.iter().rev().find(|(it, _)| it == key);
        found.expect(key).1.clone().expect(key)
    }

    /// Waits until this call has been made so often.
    pub(super) async fn called(&self, key: &str, times: usize) {
        let mut count = self.count.subscribe();
        let enough = count.wait_for(|_| self.count(key) >= times);
        if tokio::time::timeout(PATIENCE, enough).await.is_err() {
            panic!("{key} was not called {times} times: {:?}", self.keys());
        }
    }

    /// Answers the oldest held call of this kind. Nobody may be there to hear it.
    pub(super) fn release(&self, key: &str, answer: Answer) {
        let mut held = self.held.lock().unwrap();
        let waiting = held.get_mut(key).filter(|waiting| !waiting.is_empty());
        let _ = waiting.expect(key).remove(0).send(answer);
    }
}

impl Script {
    /// `call` is kept, where it is a saga's.
    async fn answer(&self, key: String, call: Option<&Call>) -> Called {
        let nth = self.count(&key) + 1;
        let reply = (self.rule.lock().unwrap())(&Asked { key: &key, nth });
        let mut held = None;
        if matches!(reply, Some(Reply::Held)) {
            let (sender, receiver) = oneshot::channel();
            let mut all = self.held.lock().unwrap();
            all.entry(key.clone()).or_default().push(sender);
            held = Some(receiver);
        }
        *self.counts.lock().unwrap().entry(key.clone()).or_default() += 1;
        self.calls.lock().unwrap().push((key, call.cloned()));
        self.count.send_modify(|count| *count += 1);
        let answer = match (reply, held) {
            (Some(Reply::Now(answer)), _) => answer,
            (_, Some(held)) => held.await.unwrap_or_else(|_| unknown()),
            _ => ok(),
        };
        answer.into()
    }
}

impl Caller for Script {
    fn call<'a>(&'a self, gid: &'a Gid, call: &'a Call) -> BoxFuture<'a, Called> {
        let phase = match call.phase {
            Phase::Do => "do",
            Phase::Undo => "undo",
        };
        let key = format!("{gid} {phase} {}", call.name);
        Box::pin(self.answer(key, Some(call)))
    }

    fn call_branch<'a>(&'a self, gid: &'a Gid, call: &'a tcc::Call) -> BoxFuture<'a, Called> {
        let phase = match call.phase {
            tcc::Phase::Try => "try",
            tcc::Phase::Confirm => "confirm",
            tcc::Phase::Cancel => "cancel",
        };
        let key = format!("{gid} {phase} {}", call.name);
        Box::pin(self.answer(key, None))
    }
}

pub(super) fn ok() -> Answer {
    Answer::Succeeded(Payload::null())
}

pub(super) fn no() -> Answer {
    Answer::Refused(Failure::new("NO", "refused"))
}

pub(super) fn unknown() -> Answer {
    Answer::Unknown(Failure::new("TIMEOUT", "no answer"))
}

pub(super) fn later(span: Duration) -> Answer {
    Answer::InProgress {
        retry_after: Some(Millis::from(span)),
    }
}
