//! Sagas in code, with typed data between their steps; stored as data, so
//! that the coordinator, the tools and other languages can read them.
//!
//! What the compiler checks: every step gets the input it wants, from data
//! that exists by then. What is checked when the saga is first used: names,
//! and that no handle of another saga slipped in; see [`DefinitionError`].
//! What only the coordinator knows: whether the services are there.

mod builder;
pub(crate) mod convert;
mod expr;
mod grpc;
mod val;
mod via;

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use amends_proto::v1::{DefinitionRef, SagaDefinition};

pub use builder::{NextStep, Predecessors, SagaBuilder, StepHandle};
pub use grpc::{GrpcPayload, GrpcStep, Opaque};
pub use val::{ToVal, Val, Wire};
pub use via::CompensateVia;

use builder::AnswerCheck;

const MAX_SAGA_NAME: usize = 128;
const MAX_STEP_NAME: usize = 64;
const MAX_STEPS: usize = 256;

/// A saga that takes an `I` and answers with an `O`.
pub struct Saga<I, O> {
    definition: SagaDefinition,
    checks: Vec<(String, AnswerCheck)>,
    problems: Vec<String>,
    types: PhantomData<fn(I) -> O>,
}

/// Names a registered saga that takes an `I` and answers with an `O`.
pub struct SagaRef<I, O> {
    name: String,
    version: u32,
    types: PhantomData<fn(I) -> O>,
}

/// What is wrong with a saga's definition; all of it. Only a change of the
/// code helps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the saga `{saga}` is not well defined: {}", problems.join("; "))]
pub struct DefinitionError {
    /// Its name.
    pub saga: String,
    /// One line each.
    pub problems: Vec<String>,
}

impl<I, O> Saga<I, O> {
    /// Defines a saga under a stored name and version; a (name, version)
    /// never changes its content.
    ///
    /// The closure adds steps and gives back what the saga answers with: the
    /// handle of a step, a `wire!(..)`, or a plain value. It captures nothing,
    /// because a definition is a constant; where it must, for example to take
    /// addresses from a configuration, use [`define_with`](Self::define_with).
    pub fn define<R: ToVal<O>>(
        name: &str,
        version: u32,
        steps: fn(&mut SagaBuilder, Val<I>) -> R,
    ) -> Self {
        Self::define_with(name, version, steps)
    }

    /// Like [`define`](Self::define) with a closure that may capture; the
    /// type of its second argument must be written out: `|s, input: Val<PlaceOrder>|`.
    pub fn define_with<R: ToVal<O>>(
        name: &str,
        version: u32,
        steps: impl FnOnce(&mut SagaBuilder, Val<I>) -> R,
    ) -> Self {
        let mut saga = SagaBuilder::new();
        let input = saga.input();
        let answer = steps(&mut saga, input).to_val();
        let output = saga.render("the output", answer.expr());
        saga.settle_compensations();
        let mut saga = Self {
            definition: SagaDefinition {
                name: name.to_owned(),
                version,
                steps: saga.steps,
                deadline: saga.deadline.and_then(convert::duration),
                output: Some(convert::json_payload(output)),
                description: saga.description,
                cancel_message: saga.cancel_message,
            },
            checks: saga.checks,
            problems: saga.problems,
            types: PhantomData,
        };
        let problems = problems(&saga.definition);
        saga.problems.extend(problems);
        saga
    }

    /// Bounds the time from the start to turning back.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.definition.deadline = convert::duration(deadline);
        self
    }

    /// The stored name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.definition.name
    }

    /// The stored version.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.definition.version
    }

    /// The definition as it is sent and stored.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn definition(&self) -> Result<&SagaDefinition, DefinitionError> {
        if self.problems.is_empty() {
            return Ok(&self.definition);
        }
        Err(DefinitionError {
            saga: self.definition.name.clone(),
            problems: self.problems.clone(),
        })
    }

    /// The name under which it can be started once it is registered.
    #[must_use]
    pub fn reference(&self) -> SagaRef<I, O> {
        SagaRef::new(&self.definition.name, self.definition.version)
    }

    /// Checks a step's answer against the type that the saga relies on;
    /// `None` for an unknown step.
    pub(crate) fn check_answer(
        &self,
        step: &str,
        answer: &serde_json::Value,
    ) -> Option<Result<(), serde_json::Error>> {
        let found = self.checks.iter().find(|(name, _)| name == step);
        found.map(|(_, check)| check(answer))
    }
}

impl<I, O> SagaRef<I, O> {
    /// Names a registered saga; version 0 means the highest registered one.
    pub fn new(name: impl Into<String>, version: u32) -> Self {
        Self {
            name: name.into(),
            version,
            types: PhantomData,
        }
    }

    pub(crate) fn to_proto(&self) -> DefinitionRef {
        DefinitionRef {
            name: self.name.clone(),
            version: self.version,
        }
    }
}

impl<I, O> fmt::Debug for Saga<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Saga({} v{})",
            self.definition.name, self.definition.version
        )
    }
}

impl<I, O> fmt::Debug for SagaRef<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SagaRef({} v{})", self.name, self.version)
    }
}

/// What the coordinator would refuse in any case.
fn problems(saga: &SagaDefinition) -> Vec<String> {
    let mut problems = Vec::new();
    if !is_stored_name(&saga.name, MAX_SAGA_NAME) {
        problems.push(bad_name("saga", &saga.name, MAX_SAGA_NAME));
    }
    if saga.version == 0 {
        problems.push("versions count from 1".to_owned());
    }
    if saga.steps.is_empty() || saga.steps.len() > MAX_STEPS {
        problems.push(format!(
            "it has {} steps, not 1 to {MAX_STEPS}",
            saga.steps.len()
        ));
    }
    for step in &saga.steps {
        if !is_stored_name(&step.name, MAX_STEP_NAME) {
            problems.push(bad_name("step", &step.name, MAX_STEP_NAME));
        }
    }
    problems
}

fn is_stored_name(name: &str, max: usize) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    !name.is_empty() && name.len() <= max && name.chars().all(plain)
}

fn bad_name(what: &str, name: &str, max: usize) -> String {
    format!("the {what}'s name `{name}` is not 1 to {max} of `a-z`, `0-9`, `-`, `_`, `.`")
}
