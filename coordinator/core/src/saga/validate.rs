//! Every rule that a saga definition must keep, reported all at once.
//!
//! The shape of a saga follows Garcia-Molina and Salem ("Sagas", 1987) as
//! refined by pivot and retriable steps: compensable steps first, then at most
//! one pivot, then retriable steps. A step that cannot be undone may start
//! only when nothing that could still be refused is open.

mod via;

use std::collections::HashMap;
use std::fmt;

use crate::dag::{Cycle, Dag, StepIx};
use crate::id::{StepName, check_name};
use crate::target::Target;
use crate::time::Millis;

use super::definition::{Body, Checked, CompiledStep, SagaDefinition, StepDefinition, StepKind};

/// Most steps of a saga.
pub const MAX_STEPS: usize = 256;
/// Longest bound of one call.
pub const MAX_TIMEOUT: Millis = Millis::from_secs(24 * 3600);
/// Longest deadline of a saga.
pub const MAX_DEADLINE: Millis = Millis::from_secs(366 * 24 * 3600);
/// Longest description, in bytes.
const MAX_DESCRIPTION_BYTES: usize = 4096;

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The field at fault, for example `steps[2].after[0]`.
    pub field: String,
    /// Stable code, for example `CYCLE`.
    pub code: &'static str,
    /// What is wrong, for people.
    pub message: String,
}

impl Violation {
    pub(crate) fn new(
        field: impl Into<String>,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            field: field.into(),
            code,
            message: message.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} [{}]", self.field, self.message, self.code)
    }
}

/// Checks everything and returns what running the saga needs.
pub(super) fn check(definition: &SagaDefinition) -> Result<Checked, Vec<Violation>> {
    let mut wrong = Violations::default();
    check_head(definition, &mut wrong);
    let names = check_names(definition, &mut wrong);
    let before = check_order(definition, &names, &mut wrong);
    let steps: Vec<_> = definition
        .steps
        .iter()
        .enumerate()
        .map(|(ix, step)| check_step(ix, step, &mut wrong))
        .collect();
    let output = match &definition.output {
        Some(payload) => Body::read(Some(payload))
            .map_err(|message| wrong.add("output", "BODY_INVALID", message))
            .ok(),
        None => Some(Body::Fixed(crate::payload::Payload::null())),
    };
    let cancel = via::check_cancel_message(definition, &mut wrong);
    let dag = Dag::new(before).map_err(|Cycle(steps)| {
        let path: Vec<_> = steps
            .iter()
            .chain(steps.first())
            .map(|&s| definition.steps[s].name.as_str())
            .collect();
        wrong.add(
            "steps",
            "CYCLE",
            format!("come after each other in a circle: {}", path.join(" -> ")),
        );
    });
    let mut compiled: Vec<CompiledStep> = steps.into_iter().flatten().collect();
    if let Ok(dag) = &dag
        && compiled.len() == definition.steps.len()
    {
        check_references(dag, &names, &mut compiled, output.as_ref(), &mut wrong);
        check_point_of_no_return(dag, &compiled, &mut wrong);
    }
    match (dag, output) {
        (Ok(dag), Some(output)) if wrong.0.is_empty() => Ok(Checked {
            dag,
            steps: compiled,
            output,
            cancel,
        }),
        _ => Err(wrong.0),
    }
}

#[derive(Default)]
struct Violations(Vec<Violation>);

impl Violations {
    fn add(&mut self, field: impl Into<String>, code: &'static str, message: impl Into<String>) {
        self.0.push(Violation::new(field, code, message));
    }
}

fn check_head(definition: &SagaDefinition, wrong: &mut Violations) {
    if let Err(bad) = check_name(&definition.name) {
        wrong.add("name", "NAME_INVALID", bad.to_string());
    }
    if definition.version == 0 {
        wrong.add("version", "VERSION_INVALID", "must be 1 or more");
    }
    if definition.description.len() > MAX_DESCRIPTION_BYTES {
        wrong.add(
            "description",
            "TOO_LONG",
            format!("is over {MAX_DESCRIPTION_BYTES} bytes long"),
        );
    }
    if definition.steps.is_empty() || definition.steps.len() > MAX_STEPS {
        wrong.add(
            "steps",
            "STEP_COUNT",
            format!("are {}, must be 1 to {MAX_STEPS}", definition.steps.len()),
        );
    }
    if let Some(deadline) = definition.deadline
        && (deadline.0 == 0 || deadline > MAX_DEADLINE)
    {
        wrong.add(
            "deadline",
            "DURATION_INVALID",
            format!("is {deadline}, must be 1ms to 366 days"),
        );
    }
}

fn check_names<'d>(
    definition: &'d SagaDefinition,
    wrong: &mut Violations,
) -> HashMap<&'d str, StepIx> {
    let mut names = HashMap::new();
    for (ix, step) in definition.steps.iter().enumerate() {
        let field = format!("steps[{ix}].name");
        if let Err(bad) = StepName::new(&step.name) {
            wrong.add(field, "NAME_INVALID", bad.to_string());
            continue;
        }
        // The first keeps the name, so that nothing else looks wrong for this reason.
        let first = *names.entry(step.name.as_str()).or_insert(ix);
        if first != ix {
            let message = format!("{:?} is the name of steps[{first}] too", step.name);
            wrong.add(field, "NAME_DUPLICATE", message);
        }
    }
    names
}

fn check_order(
    definition: &SagaDefinition,
    names: &HashMap<&str, StepIx>,
    wrong: &mut Violations,
) -> Vec<Vec<StepIx>> {
    let mut before = Vec::with_capacity(definition.steps.len());
    for (ix, step) in definition.steps.iter().enumerate() {
        let mut earlier = Vec::new();
        for (n, name) in step.after.iter().enumerate() {
            match names.get(name.as_str()) {
                None => wrong.add(
                    format!("steps[{ix}].after[{n}]"),
                    "STEP_UNKNOWN",
                    format!("there is no step {name:?}"),
                ),
                Some(position) if earlier.contains(position) => {
                    wrong.add(
                        format!("steps[{ix}].after[{n}]"),
                        "NAME_DUPLICATE",
                        format!("{name:?} is listed twice"),
                    );
                }
                Some(position) => earlier.push(*position),
            }
        }
        before.push(earlier);
    }
    before
}

fn check_step(ix: StepIx, step: &StepDefinition, wrong: &mut Violations) -> Option<CompiledStep> {
    let count = wrong.0.len();
    let target = Target::parse(&step.target).map_err(|bad| {
        wrong.add(
            format!("steps[{ix}].target"),
            "TARGET_INVALID",
            bad.to_string(),
        );
    });
    let compensation = step.compensation.as_deref().map(Target::parse).transpose();
    let compensation = compensation.map_err(|bad| {
        wrong.add(
            format!("steps[{ix}].compensation"),
            "TARGET_INVALID",
            bad.to_string(),
        );
    });
    let via = via::check(ix, step, wrong);
    let input = Body::read(step.input.as_ref())
        .map_err(|message| wrong.add(format!("steps[{ix}].input"), "BODY_INVALID", message));
    if step.kind != StepKind::Compensable && step.compensation.is_some() {
        wrong.add(
            format!("steps[{ix}].compensation"),
            "COMPENSATION_NOT_ALLOWED",
            "only a compensable step can have one",
        );
    }
    if step.timeout.0 == 0 || step.timeout > MAX_TIMEOUT {
        wrong.add(
            format!("steps[{ix}].timeout"),
            "DURATION_INVALID",
            format!("is {}, must be 1ms to 24h", step.timeout),
        );
    }
    for (policy, field) in [(&step.retry, "retry"), (&step.undo_retry, "undo_retry")] {
        for (part, message) in policy.check() {
            wrong.add(
                format!("steps[{ix}].{field}.{part}"),
                "RETRY_INVALID",
                message,
            );
        }
    }
    let name = StepName::new(&step.name).ok()?;
    if wrong.0.len() > count {
        return None;
    }
    Some(CompiledStep {
        name,
        target: target.ok()?.into(),
        compensation: compensation.ok()?.map(Into::into),
        kind: step.kind,
        fencing: step.fencing,
        timeout: step.timeout,
        retry: step.retry,
        undo_retry: step.undo_retry,
        compensate_via: via,
        input: input.ok()?,
        consumes: Vec::new(),
    })
}

/// A step may be sent only what is known before it starts.
fn check_references(
    dag: &Dag,
    names: &HashMap<&str, StepIx>,
    steps: &mut [CompiledStep],
    output: Option<&Body>,
    wrong: &mut Violations,
) {
    for (ix, step) in steps.iter_mut().enumerate() {
        let mut consumes = Vec::new();
        for name in step.input.referred_steps() {
            match names.get(name) {
                None => wrong.add(
                    format!("steps[{ix}].input"),
                    "STEP_UNKNOWN",
                    format!("refers to {name:?}, but there is no such step"),
                ),
                Some(&earlier) if !dag.is_ancestor(earlier, ix) => wrong.add(
                    format!("steps[{ix}].input"),
                    "REFERENCE_NOT_BEFORE",
                    format!(
                        "refers to {name:?}, which does not come before {:?}: list it in `after`",
                        step.name.as_str()
                    ),
                ),
                Some(&earlier) => consumes.push(earlier),
            }
        }
        step.consumes = consumes;
    }
    for name in output.into_iter().flat_map(Body::referred_steps) {
        if !names.contains_key(name) {
            wrong.add(
                "output",
                "STEP_UNKNOWN",
                format!("refers to {name:?}, but there is no such step"),
            );
        }
    }
}

fn check_point_of_no_return(dag: &Dag, steps: &[CompiledStep], wrong: &mut Violations) {
    for (ix, step) in steps
        .iter()
        .enumerate()
        .filter(|(_, step)| step.kind != StepKind::Compensable)
    {
        let open = steps.iter().enumerate().find(|(other, earlier)| {
            let must_come_first = match step.kind {
                StepKind::Pivot => earlier.kind == StepKind::Compensable,
                _ => earlier.kind != StepKind::Retriable,
            };
            must_come_first && !dag.is_ancestor(*other, ix)
        });
        if let Some((_, earlier)) = open {
            let kind = if step.kind == StepKind::Pivot {
                "pivot"
            } else {
                "retriable"
            };
            wrong.add(
                format!("steps[{ix}].kind"),
                "PIVOT_TOO_EARLY",
                format!(
                    "a {kind} step cannot be undone, so {:?} must come before {:?}",
                    earlier.name.as_str(),
                    step.name.as_str()
                ),
            );
        }
    }
    let mut pivots = steps
        .iter()
        .enumerate()
        .filter(|(_, step)| step.kind == StepKind::Pivot);
    if let (Some((_, first)), Some((ix, second))) = (pivots.next(), pivots.next()) {
        wrong.add(
            format!("steps[{ix}].kind"),
            "PIVOT_DUPLICATE",
            format!(
                "{:?} and {:?} are both pivots, a saga has one",
                first.name.as_str(),
                second.name.as_str()
            ),
        );
    }
}
