//! A registry and its calls, with a clock that only the test moves.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use amends_coordinator::clock::{self, Clock};
use amends_coordinator::participant::{Caller as _, Outbound, OutboundOptions, Registry};
use amends_core::answer::Answer;
use amends_core::id::{Gid, StepName};
use amends_core::payload::Payload;
use amends_core::saga::{Call, Phase, Via};
use amends_core::target::Target;
use amends_core::time::{Millis, Timestamp};

/// Much longer than any test: whatever waits for it has failed, and says so.
pub(super) const LONG: Duration = Duration::from_secs(60);
/// Most calls that a server of a test reports.
pub(super) const MAX_CALLS: usize = 64;
/// For calls that must time out.
pub(super) const SHORT: Duration = Duration::from_millis(50);

pub(super) struct TestClock {
    start: Instant,
    passed: AtomicU64,
}

impl TestClock {
    pub(super) fn advance(&self, span: Duration) {
        let millis = u64::try_from(span.as_millis()).unwrap();
        self.passed.fetch_add(millis, Ordering::SeqCst);
    }

    fn passed(&self) -> Duration {
        Duration::from_millis(self.passed.load(Ordering::SeqCst))
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_000_000) + Millis::from(self.passed())
    }

    fn monotonic(&self) -> Instant {
        self.start + self.passed()
    }
}

/// A coordinator's view of its participants.
#[derive(Clone)]
pub(super) struct World {
    pub(super) registry: Arc<Registry>,
    pub(super) outbound: Outbound,
    pub(super) clock: Arc<TestClock>,
}

impl World {
    /// This machine is allowed; three failures open a circuit.
    pub(super) fn new(change: impl FnOnce(&mut OutboundOptions)) -> Self {
        let mut options = OutboundOptions {
            allow: ["127.0.0.0/8".parse().unwrap()].into_iter().collect(),
            breaker_failures: NonZeroU32::new(3).unwrap(),
            ..OutboundOptions::default()
        };
        change(&mut options);
        let clock = Arc::new(TestClock {
            start: clock::monotonic(),
            passed: AtomicU64::new(0),
        });
        let registry = Arc::new(Registry::new(options, Arc::clone(&clock) as Arc<dyn Clock>));
        let outbound = Outbound::new(Arc::clone(&registry));
        Self {
            registry,
            outbound,
            clock,
        }
    }

    /// Registers an instance that is named like its address.
    pub(super) fn register(&self, service: &str, address: SocketAddr) {
        let address = address.to_string();
        self.registry
            .register(service, &address, &address, Vec::new())
            .unwrap();
    }

    /// Calls a target with JSON.
    pub(super) async fn call(&self, target: &str, timeout: Duration) -> Answer {
        self.make(&call_to(target, timeout)).await
    }

    pub(super) async fn make(&self, call: &Call) -> Answer {
        let gid = Gid::new("order-1").unwrap();
        self.outbound.call(&gid, call).await.answer
    }

    /// Calls in the background.
    pub(super) fn spawn(&self, target: &str, timeout: Duration) -> tokio::task::JoinHandle<Answer> {
        let (world, call) = (self.clone(), call_to(target, timeout));
        tokio::spawn(async move { world.make(&call).await })
    }
}

/// The first attempt of a step with the input `{"sku":"A"}`.
pub(super) fn call_to(target: &str, timeout: Duration) -> Call {
    Call {
        step: 0,
        name: StepName::new("reserve").unwrap(),
        phase: Phase::Do,
        attempt: 1,
        target: Target::parse(target).unwrap().into(),
        timeout: timeout.into(),
        input: Payload::json(&serde_json::json!({"sku": "A"})),
        output: None,
        via: Via::Call,
    }
}

/// An answer in a few words: `succeeded "…"`, `refused CODE …`, `in progress …`,
/// `unknown CODE`.
pub(super) fn brief(answer: &Answer) -> String {
    match answer {
        Answer::Succeeded(payload) => format!("succeeded {payload:?}"),
        Answer::Refused(failure) => format!("refused {}: {}", failure.code, failure.message),
        Answer::InProgress { retry_after } => format!("in progress {retry_after:?}"),
        Answer::Unknown(failure) => format!("unknown {}", failure.code),
    }
}
