//! [`SagaBuilder`]: what the closure of [`Saga::define`](super::Saga::define)
//! says about its steps.
#![allow(
    clippy::needless_pass_by_value,
    reason = "inputs and handles are made where they are passed"
)]

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use amends_proto::v1::{CancelMessage, CompensateVia as Via, Fencing, StepDefinition, StepKind};
use serde::de::DeserializeOwned;

use super::convert;
use super::expr::{BuilderId, Expr, Reference, Root};
use super::grpc::{GrpcPayload, GrpcStep};
use super::val::{ToVal, Val};
use super::via::CompensateVia;
use crate::step_ref::{Compensation, Retry, StepRef};

/// Checks that a step's answer has the type that the saga relies on.
pub(crate) type AnswerCheck = fn(&serde_json::Value) -> Result<(), serde_json::Error>;

/// Collects the steps of one saga.
///
/// Steps that nothing links run at the same time. A step that refers to the
/// output of another comes after it; [`after`](Self::after) says so where no
/// data flows.
#[derive(Debug)]
pub struct SagaBuilder {
    id: BuilderId,
    pub(crate) steps: Vec<StepDefinition>,
    pub(crate) checks: Vec<(String, AnswerCheck)>,
    pub(crate) problems: Vec<String>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) description: String,
    pub(crate) cancel_message: Option<CancelMessage>,
}

/// A step of the saga under construction, and what it will answer.
///
/// Use it like a [`Val`] of the answer. It exists only after its step, so
/// neither a cycle nor the use of later data compiles.
#[derive(Clone, Debug)]
pub struct StepHandle<O> {
    reference: Reference,
    answer: Val<O>,
}

/// What is already said about the next step.
#[derive(Debug)]
#[must_use = "say which step: `.step(..)`, `.pivot(..)`, `.retriable(..)` or `.grpc_step(..)`"]
pub struct NextStep<'s> {
    pub(crate) saga: &'s mut SagaBuilder,
    pub(crate) after: Vec<Reference>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Option<Retry>,
    pub(crate) undo_retry: Option<Retry>,
    pub(crate) via: Option<CompensateVia>,
}

impl SagaBuilder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: BuilderId(NEXT.fetch_add(1, Ordering::Relaxed)),
            steps: Vec::new(),
            checks: Vec::new(),
            problems: Vec::new(),
            deadline: None,
            description: String::new(),
            cancel_message: None,
        }
    }

    /// Adds a step. It is undone with its compensation when the saga turns back.
    pub fn step<I, O: DeserializeOwned>(
        &mut self,
        name: &str,
        step: StepRef<I, O>,
        input: impl ToVal<I>,
    ) -> StepHandle<O> {
        self.with().step(name, step, input)
    }

    /// Adds the point of no return: once it succeeded, the saga only goes forward.
    pub fn pivot<I, O: DeserializeOwned>(
        &mut self,
        name: &str,
        step: StepRef<I, O>,
        input: impl ToVal<I>,
    ) -> StepHandle<O> {
        self.with().pivot(name, step, input)
    }

    /// Adds a step behind the point of no return: retried without end, never undone.
    pub fn retriable<I, O: DeserializeOwned>(
        &mut self,
        name: &str,
        step: StepRef<I, O>,
        input: impl ToVal<I>,
    ) -> StepHandle<O> {
        self.with().retriable(name, step, input)
    }

    /// Adds a plain unary gRPC method as a step; no SDK is needed there.
    /// `target` is `grpc://host:port/package.Service/Method`. Say next how it
    /// is undone: `.compensate_with(..)`, `.no_compensation()`, `.pivot()` or
    /// `.retriable()`.
    pub fn grpc_step(
        &mut self,
        name: &str,
        target: &str,
        payload: impl Into<GrpcPayload>,
    ) -> GrpcStep<'_> {
        self.with().grpc_step(name, target, payload)
    }

    /// The next step waits until these have succeeded: a handle, or a tuple
    /// or array of handles.
    pub fn after(&mut self, steps: impl Predecessors) -> NextStep<'_> {
        self.with().after(steps)
    }

    /// Begins a step, to say more about it than its name and input.
    pub fn with(&mut self) -> NextStep<'_> {
        NextStep {
            saga: self,
            after: Vec::new(),
            timeout: None,
            retry: None,
            undo_retry: None,
            via: None,
        }
    }

    /// The id of the running transaction.
    #[must_use]
    pub fn gid(&self) -> Val<String> {
        Val::new(Expr::Ref(self.reference(Root::Gid)))
    }

    /// Bounds the time from the start to turning back.
    pub fn deadline(&mut self, deadline: Duration) {
        self.deadline = Some(deadline);
    }

    /// Says what the saga is for, to people.
    pub fn description(&mut self, text: impl Into<String>) {
        self.description = text.into();
    }

    pub(crate) fn input<I>(&self) -> Val<I> {
        Val::new(Expr::Ref(self.reference(Root::Input)))
    }

    /// Writes `expr` for `place`; what is wrong with it becomes a problem.
    pub(crate) fn render(&mut self, place: &str, expr: &Expr) -> Vec<u8> {
        let mut foreign = Vec::new();
        expr.references(&mut |reference| {
            if reference.builder != self.id {
                foreign.push(format!("{place} refers to `{reference}` of another saga"));
            }
        });
        self.problems.append(&mut foreign);
        match expr.render() {
            Ok(value) => value.to_string().into_bytes(),
            Err(why) => {
                self.problems.push(format!("{place}: {why}"));
                Vec::new()
            }
        }
    }

    pub(crate) fn add<O: DeserializeOwned>(&mut self, step: StepDefinition) -> StepHandle<O> {
        let name = step.name.clone();
        if self.steps.iter().any(|other| other.name == name) {
            self.problems.push(format!("two steps are named `{name}`"));
        }
        self.steps.push(step);
        let check: AnswerCheck = |answer| O::deserialize(answer).map(drop);
        self.checks.push((name.clone(), check));
        let reference = self.reference(Root::Step(name));
        let answer = Val::new(Expr::Ref(reference.clone()));
        StepHandle { reference, answer }
    }

    fn reference(&self, root: Root) -> Reference {
        Reference {
            builder: self.id,
            root,
            path: Vec::new(),
        }
    }
}

impl<'s> NextStep<'s> {
    /// It waits until these have succeeded as well.
    pub fn after(mut self, steps: impl Predecessors) -> Self {
        steps.add_to(&mut sealed::Collected(&mut self.after));
        self
    }

    /// Bounds one call, in place of what the step's service says.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How calls are retried, in place of what the step's service says.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = Some(retry);
        self
    }

    /// How often its undo is retried before the branch counts as stuck.
    pub fn undo_retry(mut self, retry: Retry) -> Self {
        self.undo_retry = Some(retry);
        self
    }

    /// How its undo reaches its service, in place of what is usual: the saga's
    /// cancel message if it has one, else a message to the service.
    pub fn compensate_via(mut self, via: CompensateVia) -> Self {
        self.via = Some(via);
        self
    }

    /// See [`SagaBuilder::step`].
    pub fn step<I, O: DeserializeOwned>(
        self,
        name: &str,
        step: StepRef<I, O>,
        input: impl ToVal<I>,
    ) -> StepHandle<O> {
        self.add(name, step, input.to_val().expr(), StepKind::Compensable)
    }

    /// See [`SagaBuilder::pivot`].
    pub fn pivot<I, O: DeserializeOwned>(
        self,
        name: &str,
        step: StepRef<I, O>,
        input: impl ToVal<I>,
    ) -> StepHandle<O> {
        self.add(name, step, input.to_val().expr(), StepKind::Pivot)
    }

    /// See [`SagaBuilder::retriable`].
    pub fn retriable<I, O: DeserializeOwned>(
        self,
        name: &str,
        step: StepRef<I, O>,
        input: impl ToVal<I>,
    ) -> StepHandle<O> {
        self.add(name, step, input.to_val().expr(), StepKind::Retriable)
    }

    /// See [`SagaBuilder::grpc_step`].
    pub fn grpc_step(
        self,
        name: &str,
        target: &str,
        payload: impl Into<GrpcPayload>,
    ) -> GrpcStep<'s> {
        GrpcStep::new(self, name, target, payload.into())
    }

    fn add<I, O: DeserializeOwned>(
        mut self,
        name: &str,
        step: StepRef<I, O>,
        input: &Expr,
        kind: StepKind,
    ) -> StepHandle<O> {
        self.timeout = self.timeout.or(step.timeout());
        self.retry = self.retry.or(step.retry());
        let target = step.target();
        let undone = kind == StepKind::Compensable && step.compensation() == Compensation::Undo;
        let data = self
            .saga
            .render(&format!("the input of step `{name}`"), input);
        let after = self.predecessors(input);
        let definition = StepDefinition {
            name: name.to_owned(),
            compensation: if undone {
                target.clone()
            } else {
                String::new()
            },
            target,
            after,
            kind: kind.into(),
            input: Some(convert::json_payload(data)),
            timeout: self.timeout.and_then(convert::duration),
            retry: self.retry.map(convert::retry),
            undo_retry: self.undo_retry.map(convert::retry),
            fencing: Fencing::ConsumerLog.into(),
            compensate_via: self
                .via
                .map_or(Via::Unspecified, CompensateVia::to_proto)
                .into(),
        };
        self.saga.add(definition)
    }

    /// The steps named by `after`, and those whose output `input` uses, in
    /// the order of the definition.
    pub(crate) fn predecessors(&mut self, input: &Expr) -> Vec<String> {
        let mut all = std::mem::take(&mut self.after);
        for foreign in all
            .iter()
            .filter(|reference| reference.builder != self.saga.id)
        {
            let text = format!("a step comes after `{foreign}`, which belongs to another saga");
            self.saga.problems.push(text);
        }
        input.references(&mut |reference| all.push(reference.clone()));
        let is_named = |name: &String| {
            all.iter()
                .any(|reference| matches!(&reference.root, Root::Step(step) if step == name))
        };
        let names = self.saga.steps.iter().map(|step| step.name.clone());
        names.filter(is_named).collect()
    }
}

impl<O> Deref for StepHandle<O> {
    type Target = Val<O>;

    fn deref(&self) -> &Val<O> {
        &self.answer
    }
}

#[diagnostic::do_not_recommend]
impl<O> ToVal<O> for StepHandle<O> {
    fn to_val(&self) -> Val<O> {
        self.answer.clone()
    }
}

#[diagnostic::do_not_recommend]
impl<O> ToVal<O> for &StepHandle<O> {
    fn to_val(&self) -> Val<O> {
        self.answer.clone()
    }
}

/// Steps that come before another: a handle, or a tuple or array of handles.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no step that another could come after",
    label = "expected `&handle` or a tuple of them"
)]
pub trait Predecessors: sealed::Predecessors {}

impl<P: sealed::Predecessors> Predecessors for P {}

mod sealed {
    use super::{Reference, StepHandle};

    /// What the handles are added to.
    #[derive(Debug)]
    pub struct Collected<'a>(pub(super) &'a mut Vec<Reference>);

    pub trait Predecessors {
        fn add_to(&self, all: &mut Collected<'_>);
    }

    impl<O> Predecessors for &StepHandle<O> {
        fn add_to(&self, all: &mut Collected<'_>) {
            all.0.push(self.reference.clone());
        }
    }

    impl<P: Predecessors, const N: usize> Predecessors for [P; N] {
        fn add_to(&self, all: &mut Collected<'_>) {
            self.iter().for_each(|step| step.add_to(all));
        }
    }

    macro_rules! tuples {
        ($(($($name:ident)+))+) => {$(
            #[allow(non_snake_case, reason = "type parameters double as bindings")]
            impl<$($name: Predecessors),+> Predecessors for ($($name,)+) {
                fn add_to(&self, all: &mut Collected<'_>) {
                    let ($($name,)+) = self;
                    $($name.add_to(all);)+
                }
            }
        )+};
    }

    tuples! { (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) }
}
