//! One saga to be explored, and how much may go wrong in a history of it.

use std::sync::Arc;

use amends_core::payload::Payload;
use amends_core::retry::RetryPolicy;
use amends_core::saga::{CompiledSaga, Fencing, SagaDefinition, StepDefinition, StepKind};
use amends_core::time::Millis;
use serde_json::{Map, Value, json};

use super::planted::Bug;

/// Bound of every call.
pub(crate) const TIMEOUT: Millis = Millis(1_000);

/// How much may go wrong in one history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Budget {
    /// Crashes of the coordinator, each with any surviving part of the log.
    pub(crate) crashes: u8,
    /// Lost answers, "in progress", failing or refused undos.
    pub(crate) faults: u8,
    /// Cancellations and operator commands.
    pub(crate) commands: u8,
}

/// One step.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) after: Vec<usize>,
    pub(crate) kind: StepKind,
    pub(crate) fencing: Fencing,
    /// Whether it is sent the outputs of the steps directly before it.
    pub(crate) consumes: bool,
    pub(crate) has_undo: bool,
}

impl Step {
    pub(crate) fn new(after: &[usize]) -> Self {
        Self {
            after: after.to_vec(),
            kind: StepKind::Compensable,
            fencing: Fencing::ConsumerLog,
            consumes: false,
            has_undo: true,
        }
    }

    pub(crate) fn of_kind(mut self, kind: StepKind) -> Self {
        self.kind = kind;
        self.has_undo = kind == StepKind::Compensable;
        self
    }

    pub(crate) fn unfenced(mut self) -> Self {
        self.fencing = Fencing::None;
        self
    }

    pub(crate) fn consuming(mut self) -> Self {
        self.consumes = true;
        self
    }

    pub(crate) fn without_undo(mut self) -> Self {
        self.has_undo = false;
        self
    }
}

/// A saga to be explored.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) steps: Vec<Step>,
    pub(crate) compiled: Arc<CompiledSaga>,
    pub(crate) budget: Budget,
    pub(crate) bug: Option<Bug>,
    ancestors: Vec<Vec<bool>>,
}

impl Case {
    /// `None` where the kinds break the rules of definitions.
    pub(crate) fn new(steps: Vec<Step>, budget: Budget) -> Option<Self> {
        Self::with_deadline(steps, budget, None)
    }

    pub(crate) fn with_deadline(
        steps: Vec<Step>,
        budget: Budget,
        deadline: Option<Millis>,
    ) -> Option<Self> {
        let compiled = CompiledSaga::compile(definition(&steps, deadline)).ok()?;
        Some(Self {
            ancestors: ancestors(&steps),
            compiled: Arc::new(compiled),
            steps,
            budget,
            bug: None,
        })
    }

    pub(crate) fn with_bug(mut self, bug: Bug) -> Self {
        if bug == Bug::NoFence {
            let mut steps = self.steps.clone();
            for step in &mut steps {
                step.fencing = Fencing::ConsumerLog;
            }
            let compiled =
                CompiledSaga::compile(definition(&steps, None)).expect("as valid as it was");
            self.compiled = Arc::new(compiled);
        }
        self.bug = Some(bug);
        self
    }

    /// Worked out here and not taken from the machine.
    pub(crate) fn is_before(&self, earlier: usize, later: usize) -> bool {
        self.ancestors[later][earlier]
    }
}

fn ancestors(steps: &[Step]) -> Vec<Vec<bool>> {
    let mut before = vec![vec![false; steps.len()]; steps.len()];
    for _ in steps {
        for (later, step) in steps.iter().enumerate() {
            for &direct in &step.after {
                before[later][direct] = true;
                let further = before[direct].clone();
                let mine = before[later].iter_mut().zip(further);
                mine.for_each(|(is_before, inherited)| *is_before |= inherited);
            }
        }
    }
    before
}

/// Steps are called `s0`, `s1` ... Waits are 0 or 1 ms, so that histories meet again.
pub(crate) fn name(step: usize) -> String {
    format!("s{step}")
}

fn definition(steps: &[Step], deadline: Option<Millis>) -> SagaDefinition {
    let retry = RetryPolicy {
        max_attempts: 2,
        initial_backoff: Millis(1),
        max_backoff: Millis(1),
        multiplier: 1.0,
    };
    let written = |(ix, step): (usize, &Step)| StepDefinition {
        name: name(ix),
        target: format!("svc/{}", name(ix)),
        compensation: step.has_undo.then(|| format!("svc/{}-undo", name(ix))),
        after: step.after.iter().map(|&before| name(before)).collect(),
        kind: step.kind,
        input: step.consumes.then(|| input(&step.after)),
        timeout: TIMEOUT,
        retry,
        undo_retry: retry,
        fencing: step.fencing,
        compensate_via: None,
    };
    SagaDefinition {
        name: "world".into(),
        version: 1,
        description: String::new(),
        steps: steps.iter().enumerate().map(written).collect(),
        deadline,
        output: None,
        cancel_message: None,
    }
}

fn input(after: &[usize]) -> Payload {
    let field = |&before: &usize| {
        let path = format!("$.steps.{}.n", name(before));
        (name(before), json!({ "$ref": path }))
    };
    Payload::json(&Value::Object(
        after.iter().map(field).collect::<Map<_, _>>(),
    ))
}

/// What a step answers.
pub(crate) fn output(step: usize) -> Payload {
    Payload::json(&json!({ "n": step }))
}
