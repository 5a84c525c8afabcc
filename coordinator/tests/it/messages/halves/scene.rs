//! Half messages over a place, with a producer that answers as the test says.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends_coordinator::messages::{
    DecideHalf, HalfOptions, HalfView, Halves, MessagesError, NewHalf, NewMessage, Who,
};
use amends_coordinator::participant::{AskProducers, Asked};
use amends_core::message::half::{HalfId, HalfState, Verdict};
use amends_core::time::Millis;
use amends_proto::v1;
use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::messages::world::{Run, World, group, patiently};

pub(super) const GROUP: &str = "shop";

/// The instances of every producer group but `nobody`, and what they know.
#[derive(Clone)]
pub(super) struct Producer {
    inner: Arc<Inner>,
}

struct Inner {
    is_live: Mutex<bool>,
    verdicts: Mutex<HashMap<String, Verdict>>,
    /// Half and attempt of each question, in order.
    asked: watch::Sender<Vec<(String, u32)>>,
    /// Questions of the group `slow` wait here.
    gate: Semaphore,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl Producer {
    pub(super) fn new() -> Self {
        Self {
            inner: Arc::new(Inner {
                is_live: Mutex::new(true),
                verdicts: Mutex::default(),
                asked: watch::Sender::default(),
                gate: Semaphore::new(0),
                at_once: AtomicUsize::new(0),
                most_at_once: AtomicUsize::new(0),
            }),
        }
    }

    pub(super) fn knows(&self, half: &str, verdict: Verdict) {
        let mut verdicts = self.inner.verdicts.lock().unwrap();
        verdicts.insert(half.to_owned(), verdict);
    }

    pub(super) fn live(&self, is_live: bool) {
        *self.inner.is_live.lock().unwrap() = is_live;
    }

    /// All questions so far.
    pub(super) fn asked(&self) -> Vec<(String, u32)> {
        self.inner.asked.borrow().clone()
    }

    /// Waits until there were so many questions.
    pub(super) async fn was_asked(&self, times: usize) -> Vec<(String, u32)> {
        let mut asked = self.inner.asked.subscribe();
        let all = patiently(asked.wait_for(|asked| asked.len() >= times)).await;
        all.unwrap().clone()
    }

    /// Lets the slow ones answer.
    pub(super) fn open(&self) {
        self.inner.gate.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    pub(super) fn most_at_once(&self) -> usize {
        self.inner.most_at_once.load(Ordering::SeqCst)
    }
}

impl AskProducers for Producer {
    fn instances(&self, producer: &str) -> Vec<String> {
        let is_live = *self.inner.is_live.lock().unwrap() && producer != "nobody";
        is_live.then(|| "one".to_owned()).into_iter().collect()
    }

    fn ask<'a>(
        &'a self,
        question: v1::CheckBackRequest,
        _timeout: Duration,
    ) -> BoxFuture<'a, Asked> {
        Box::pin(async move {
            let inner = &self.inner;
            let now = inner.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            inner.most_at_once.fetch_max(now, Ordering::SeqCst);
            let asked = (question.half_id.clone(), question.attempt);
            inner.asked.send_modify(|all| all.push(asked));
            if question.producer == "slow" {
                inner.gate.acquire().await.unwrap().forget();
            }
            inner.at_once.fetch_sub(1, Ordering::SeqCst);
            let verdicts = inner.verdicts.lock().unwrap();
            Asked {
                instance: "one".to_owned(),
                verdict: verdicts.get(&question.half_id).copied(),
                note: "the books are open".to_owned(),
                counted: true,
            }
        })
    }
}

/// A coordinator's messages with their checker.
pub(super) struct Live {
    pub(super) run: Run,
    pub(super) halves: Halves,
    checker: JoinHandle<()>,
}

pub(super) async fn live(world: &World<'_>, incarnation: &str, producer: &Producer) -> Live {
    live_with(world, incarnation, producer, HalfOptions::default()).await
}

pub(super) async fn live_with(
    world: &World<'_>,
    incarnation: &str,
    producer: &Producer,
    options: HalfOptions,
) -> Live {
    let run = world.run(incarnation).await;
    let halves = Halves::new(run.messages.clone(), Arc::new(producer.clone()), options);
    let checker = halves.clone().check_until(CancellationToken::new());
    Live {
        run,
        halves,
        checker: tokio::spawn(checker),
    }
}

impl Live {
    pub(super) async fn prepare(&self, name: &str, messages: Vec<NewMessage>) {
        self.prepare_for(GROUP, name, messages).await;
    }

    pub(super) async fn prepare_for(&self, producer: &str, name: &str, messages: Vec<NewMessage>) {
        let new = NewHalf {
            id: Some(half(name)),
            producer: group(producer),
            messages,
            check_after: None,
        };
        self.halves.prepare(new).await.unwrap();
    }

    pub(super) async fn prepare_to_check(&self, name: &str, message: NewMessage, after: Millis) {
        let new = NewHalf {
            id: Some(half(name)),
            producer: group(GROUP),
            messages: vec![message],
            check_after: Some(after),
        };
        self.halves.prepare(new).await.unwrap();
    }

    /// As the producer does it.
    pub(super) async fn decide(
        &self,
        name: &str,
        verdict: Verdict,
    ) -> Result<(HalfState, bool), MessagesError> {
        let wanted = DecideHalf {
            id: half(name),
            verdict,
            who: Who::Producer(group(GROUP)),
            reason: String::new(),
        };
        self.halves.resolve(wanted).await
    }

    pub(super) async fn by_hand(&self, name: &str, verdict: Verdict) {
        let wanted = DecideHalf {
            id: half(name),
            verdict,
            who: Who::Operator,
            reason: "the bank said so".to_owned(),
        };
        self.halves.resolve(wanted).await.unwrap();
    }

    pub(super) async fn pass(&self, span: Duration) {
        self.run.pass(span).await;
        self.halves.look();
    }

    pub(super) async fn get(&self, name: &str) -> HalfView {
        self.halves.get(&half(name)).await.unwrap()
    }

    /// Waits until a half is as it should be.
    pub(super) async fn until(&self, name: &str, holds: impl Fn(&HalfView) -> bool) -> HalfView {
        let wait = async {
            loop {
                let view = self.get(name).await;
                if holds(&view) {
                    return view;
                }
                tokio::task::yield_now().await;
            }
        };
        patiently(wait).await
    }

    pub(super) async fn checked(&self, name: &str, times: u32) -> HalfView {
        self.until(name, |view| view.half.checks >= times).await
    }

    pub(super) async fn crash(self) {
        self.checker.abort();
        let _ = self.checker.await;
        drop(self.halves);
        self.run.crash().await;
    }
}

pub(super) fn half(name: &str) -> HalfId {
    HalfId::new(name).unwrap()
}
