//! Makes the calls: chooses the target, keeps its limits, bounds the time.

use std::sync::Arc;
use std::time::Duration;

use amends_core::answer::Answer;
use amends_core::id::Gid;
use amends_core::target::Target;
use amends_core::{saga, tcc};
use futures_util::future::BoxFuture;
use tonic::Status;

use super::breaker::Health;
use super::call::Call;
use super::execute::{execute, execute_request};
use super::no_answer::{NoAnswer, Sent, is_silence};
use super::peer::{Admission, Budget};
use super::plain::Plain;
use super::registry::Registry;
use super::unary::Wire;
use super::{Called, Caller};

/// Instances tried until one lets the call in. Nothing is sent to the others.
const MAX_CHOICES: usize = 4;

/// Makes unary gRPC calls. A cheap handle.
///
/// The layers of a call, from the outside in, one after the other in
/// [`Outbound::attempt`]: choice of the instance, place among the target's
/// calls, circuit, time, the call itself. They are plain code instead of a
/// stack of tower services, because a call takes its loads, its limits and
/// its time from the same few places, and because each service of a stack
/// would be cloned and boxed for each call.
#[derive(Debug, Clone)]
pub struct Outbound {
    registry: Arc<Registry>,
}

impl Caller for Outbound {
    fn call<'a>(&'a self, gid: &'a Gid, call: &'a saga::Call) -> BoxFuture<'a, Called> {
        Box::pin(self.make(gid, call.into()))
    }

    fn call_branch<'a>(&'a self, gid: &'a Gid, call: &'a tcc::Call) -> BoxFuture<'a, Called> {
        Box::pin(self.make(gid, call.into()))
    }
}

impl Outbound {
    /// Calls the instances that this registry knows.
    #[must_use]
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }

    async fn make(&self, gid: &Gid, call: Call<'_>) -> Called {
        let mut waited = Duration::ZERO;
        let answer = match self.attempt(gid, call, &mut waited).await {
            Ok(answer) => answer,
            Err(reason) => reason.into(),
        };
        Called { answer, waited }
    }

    /// What a call needs once it has a place is boxed: thousands may wait for
    /// theirs, and would hold that much memory each.
    ///
    /// `waited` tells how long the call had to wait for a place, also when it got none.
    async fn attempt(
        &self,
        gid: &Gid,
        call: Call<'_>,
        waited: &mut Duration,
    ) -> Result<Answer, NoAnswer> {
        let budget = Budget {
            started: self.registry.clock().monotonic(),
            timeout: call.timeout.into(),
        };
        match call.target {
            Target::Service { service, step } => {
                let admission = self.admit_to_service(service, budget).await;
                let admission = noting_wait(admission, budget, waited)?;
                let wire = self.wire(&admission);
                let sending = execute(wire, execute_request(service, step, gid, call));
                Box::pin(self.exchange(admission, budget, sending)).await
            }
            Target::Grpc { authority, path } => {
                let request = Plain::new(path, gid, call)?;
                let peer = self.registry.inline(authority, budget.started)?;
                let admission = peer.admit(budget, self.registry.clock()).await;
                let admission = noting_wait(admission, budget, waited)?;
                let wire = self.wire(&admission);
                let sending = request.send(wire);
                Box::pin(self.exchange(admission, budget, sending)).await
            }
        }
    }

    /// Asks an instance of a service something else than to execute a step.
    /// `address` tells which one it was.
    pub(super) async fn ask_service<T, F: Future<Output = Result<T, Status>>>(
        &self,
        service: &str,
        timeout: Duration,
        address: &mut String,
        ask: impl FnOnce(Wire) -> F,
    ) -> Result<T, NoAnswer> {
        let budget = Budget {
            started: self.registry.clock().monotonic(),
            timeout,
        };
        let admission = self.admit_to_service(service, budget).await?;
        admission.address().clone_into(address);
        let asking = ask(self.wire(&admission));
        Box::pin(self.exchange(admission, budget, asking)).await
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A place at the least loaded instance. Another one is asked when the
    /// circuit of the first opened meanwhile, or its probe was taken.
    async fn admit_to_service(&self, service: &str, budget: Budget) -> Result<Admission, NoAnswer> {
        let clock = self.registry.clock();
        let mut now = budget.started;
        for _ in 1..MAX_CHOICES {
            let peer = self.registry.choose(service, now)?;
            match peer.admit(budget, clock).await {
                Err(NoAnswer::CircuitOpen(_)) => now = clock.monotonic(),
                admitted => return admitted,
            }
        }
        let peer = self.registry.choose(service, now)?;
        peer.admit(budget, clock).await
    }

    fn wire(&self, admission: &Admission) -> Wire {
        Wire {
            links: admission.links(),
            authority: admission.authority(),
            timeout: admission.remaining(),
            max_response_bytes: self.registry.options().max_response_bytes,
        }
    }

    /// Awaits the answer within what is left of the time, and tells the
    /// target's circuit what the call showed.
    async fn exchange<T>(
        &self,
        admission: Admission,
        budget: Budget,
        sending: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, NoAnswer> {
        let outcome = tokio::time::timeout(admission.remaining(), sending).await;
        let now = self.registry.clock().monotonic();
        match outcome {
            Ok(Ok(answer)) => {
                admission.settle(Health::Answered, now);
                Ok(answer)
            }
            Ok(Err(status)) => {
                let reason = NoAnswer::of_status(
                    &status,
                    &Sent {
                        address: admission.address(),
                        timeout: budget.timeout,
                        max_response_bytes: self.registry.options().max_response_bytes,
                    },
                );
                let health = if is_silence(&status) {
                    Health::Silent
                } else {
                    Health::Answered
                };
                admission.settle(health, now);
                Err(reason)
            }
            Err(_elapsed) => {
                let reason = NoAnswer::Timeout {
                    address: admission.address().to_owned(),
                    timeout: budget.timeout,
                };
                admission.settle(Health::Silent, now);
                Err(reason)
            }
        }
    }
}

fn noting_wait(
    admitted: Result<Admission, NoAnswer>,
    budget: Budget,
    waited: &mut Duration,
) -> Result<Admission, NoAnswer> {
    *waited = match &admitted {
        Ok(admission) => budget.timeout.saturating_sub(admission.remaining()),
        Err(NoAnswer::Queue { timeout, .. }) => *timeout,
        Err(_) => Duration::ZERO,
    };
    admitted
}
