//! A store in memory, participants by script, a clock that only the test moves,
//! and engines that come and go over them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use amends_coordinator::clock::{Clock, runtime_now};
use amends_coordinator::engine::{
    Engine, EngineError, EngineOptions, EngineParts, Start, Started, View,
};
use amends_coordinator::store::memory::MemoryStore;
use amends_coordinator::store::{Incarnation, Store, Stored};
use amends_coordinator::worker::{Next, Recovery, Sleepers, Worker as _};
use amends_core::id::Gid;
use amends_core::payload::Payload;
use amends_core::retry::RetryPolicy;
use amends_core::saga::{
    CompiledSaga, Fencing, PublicState, SagaDefinition, StepDefinition, StepKind,
};
use amends_core::time::{Millis, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::script::{PATIENCE, Script};

/// Time in which nothing is due: what happens meanwhile is not driven by the clock.
pub(super) const LONG: Duration = Duration::from_secs(3_600);

pub(super) struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

pub(super) struct World {
    pub(super) store: MemoryStore,
    pub(super) script: Arc<Script>,
    pub(super) clock: Arc<TestClock>,
    pub(super) options: EngineOptions,
}

impl World {
    /// One shard; records that nobody waits for stay unwritten.
    pub(super) fn new() -> Self {
        Self {
            store: MemoryStore::new(Incarnation("nobody".to_owned())),
            script: Script::new(),
            clock: Arc::new(TestClock(AtomicI64::new(1_000_000))),
            options: EngineOptions {
                shards: 1,
                flush_after: LONG,
                ..EngineOptions::default()
            },
        }
    }

    pub(super) fn run(&self, incarnation: &str) -> Run {
        let store = self.store.reopen(Incarnation(incarnation.to_owned()));
        self.run_over(Arc::new(store), incarnation)
    }

    pub(super) fn run_over(&self, store: Arc<dyn Store>, incarnation: &str) -> Run {
        let (engine, tasks) = Engine::start_tasks(EngineParts {
            store,
            incarnation: Incarnation(incarnation.to_owned()),
            caller: self.script.clone(),
            clock: self.clock.clone(),
            options: self.options.clone(),
        });
        Run { engine, tasks }
    }

    /// A run that has taken up what others left.
    pub(super) async fn recovered(&self, incarnation: &str) -> Run {
        let run = self.run(incarnation);
        run.recover().await;
        run
    }

    /// Time passes; the engine hears of it.
    pub(super) async fn pass(&self, span: Duration, run: &Run) {
        let millis = i64::try_from(span.as_millis()).unwrap();
        self.clock.0.fetch_add(millis, Ordering::SeqCst);
        run.poke().await;
    }

    pub(super) async fn stored(&self, id: &str) -> Stored {
        let mut found = self.store.load(&[gid(id)]).await.unwrap();
        found.pop().expect(id)
    }
}

/// An engine. Dropping it is what a crash is.
pub(super) struct Run {
    pub(super) engine: Engine,
    pub(super) tasks: JoinSet<()>,
}

impl Run {
    pub(super) async fn start(&self, id: &str, saga: &Arc<CompiledSaga>) -> Started {
        self.engine.start(start(id, saga)).await.unwrap()
    }

    /// Starts in the background.
    pub(super) fn starting(
        &self,
        id: &str,
        saga: &Arc<CompiledSaga>,
    ) -> tokio::task::JoinHandle<Result<Started, EngineError>> {
        let (engine, start) = (self.engine.clone(), start(id, saga));
        tokio::spawn(async move { engine.start(start).await })
    }

    /// Waits for the end.
    pub(super) async fn ended(&self, id: &str) -> PublicState {
        let deadline = runtime_now() + PATIENCE;
        let view = self.engine.wait(&gid(id), deadline).await.unwrap();
        assert!(
            view.transaction.is_ended(),
            "{id} did not end: {:?}",
            view.transaction
        );
        view.transaction.public_state()
    }

    /// Waits until a transaction has left memory without an end.
    pub(super) async fn asleep(&self, id: &str) {
        let mut seen = 0;
        while let Some(view) = self.change(id, seen).await {
            assert!(
                !view.transaction.is_ended(),
                "{id} ended instead of falling asleep"
            );
            seen = view.changes;
        }
    }

    /// The next change; `None`: not in memory.
    pub(super) async fn change(&self, id: &str, seen: u64) -> Option<View> {
        let id = gid(id);
        let change = self.engine.next_change(&id, seen);
        let change = tokio::time::timeout(PATIENCE, change).await;
        change.expect("a change").unwrap()
    }

    pub(super) async fn recover(&self) {
        let (sender, receiver) = watch::channel(false);
        let mut recovery = Recovery::new(self.engine.clone(), sender);
        while !*receiver.borrow() {
            // A failed tick comes again.
            let _ = recovery.tick().await;
        }
    }

    /// Brings back those that are due.
    pub(super) async fn wake(&self) -> Next {
        Sleepers::new(self.engine.clone()).tick().await.unwrap()
    }

    /// An event that lets a shard look at the clock.
    pub(super) async fn poke(&self) {
        let nothing = self.engine.next_change(&gid("nobody"), 0).await;
        assert!(nothing.unwrap().is_none());
    }

    /// Stops, and waits until nothing is left of it.
    pub(super) async fn stop(mut self) {
        self.engine.stop().await;
        drop(self.engine);
        while let Some(task) = self.tasks.join_next().await {
            task.unwrap();
        }
    }
}

pub(super) fn gid(id: &str) -> Gid {
    Gid::new(id).unwrap()
}

pub(super) fn start(id: &str, saga: &Arc<CompiledSaga>) -> Start {
    Start {
        gid: gid(id),
        definition: saga.clone(),
        input: Payload::null(),
        deadline: None,
    }
}

const RETRY: RetryPolicy = RetryPolicy {
    max_attempts: 4,
    initial_backoff: Millis(1),
    max_backoff: Millis(1),
    multiplier: 1.0,
};

/// A compensable step.
pub(super) fn step(name: &str, after: &[&str]) -> StepDefinition {
    StepDefinition {
        name: name.to_owned(),
        target: format!("shop/{name}"),
        compensation: Some(format!("shop/{name}")),
        after: after.iter().map(|it| (*it).to_owned()).collect(),
        kind: StepKind::Compensable,
        input: None,
        timeout: Millis(1_000),
        retry: RETRY,
        undo_retry: RETRY,
        fencing: Fencing::ConsumerLog,
        compensate_via: None,
    }
}

pub(super) fn saga(steps: Vec<StepDefinition>) -> Arc<CompiledSaga> {
    let definition = SagaDefinition {
        name: "test".to_owned(),
        version: 1,
        description: String::new(),
        steps,
        deadline: None,
        output: None,
        cancel_message: None,
    };
    Arc::new(CompiledSaga::compile(definition).unwrap())
}

/// One step after the other.
pub(super) fn chain(names: &[&str]) -> Arc<CompiledSaga> {
    let steps = names.iter().enumerate().map(|(ix, name)| match ix {
        0 => step(name, &[]),
        _ => step(name, &names[ix - 1..ix]),
    });
    saga(steps.collect())
}
