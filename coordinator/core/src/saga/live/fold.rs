//! Live sagas as their records make them: the first one, a new step, a sign of life.

use std::sync::Arc;

use crate::id::{Gid, RecordNo, StepName};
use crate::payload::Payload;
use crate::time::{Millis, Timestamp};

use super::super::decide::{Decision, Draft, advance, blank};
use super::super::definition::CompiledSaga;
use super::super::effect::Effect;
use super::super::record::Event;
use super::super::state::{Direction, Saga, StepRun};
use super::super::validate::{MAX_STEPS, Violation};
use super::{Live, LiveAbout, LiveStart, LiveStep};

/// Begins a live saga.
///
/// # Errors
/// Every rule that the start breaks.
pub fn begin_live(start: LiveStart, now: Timestamp) -> Result<(Saga, Decision), Vec<Violation>> {
    let wrong = start.check();
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let LiveStart {
        gid,
        name,
        key,
        caller,
        lease,
        deadline,
    } = start;
    let deadline = deadline.map(|span| now + span);
    let about = Box::new(LiveAbout { name, key, caller });
    let mut saga = blank_live(gid.clone(), &about, lease, deadline, now);
    let began = Event::LiveBegan {
        gid,
        about,
        lease,
        deadline,
    };
    let mut draft = Draft::new(&mut saga, now);
    draft.record(began);
    draft.effects.push(Effect::Accept { after: RecordNo(1) });
    advance(&mut draft);
    let decision = draft.decided();
    Ok((saga, decision))
}

/// A live saga before its first record.
pub(in crate::saga) fn blank_live(
    gid: Gid,
    about: &LiveAbout,
    lease: Millis,
    deadline: Option<Timestamp>,
    now: Timestamp,
) -> Saga {
    let definition = Arc::new(CompiledSaga::growing(about.name.clone()));
    let mut saga = blank(gid, definition, Payload::null(), deadline, now);
    saga.live = Some(Box::new(Live {
        about: about.clone(),
        lease,
        lease_until: now + lease,
        resumed: 0,
    }));
    saga
}

/// The caller was heard, or is given the time to make itself heard.
pub(in crate::saga) fn heard(saga: &mut Saga, at: Timestamp) {
    if let Some(live) = saga.live.as_deref_mut() {
        live.lease_until = live.lease_until.max(at + live.lease);
    }
}

/// Taken up by a coordinator that could not hear the caller before.
pub(in crate::saga) fn resumed(saga: &mut Saga, at: Timestamp) {
    heard(saga, at);
    let steps = saga.steps.len();
    if let Some(live) = saga.live.as_deref_mut() {
        live.resumed = steps;
    }
}

/// Folds a new step into the saga.
pub(in crate::saga) fn add(saga: &mut Saga, name: &StepName, after: &[StepName], asked: &LiveStep) {
    let before = after.iter();
    let before = before.filter_map(|step| saga.definition.position(step.as_str()));
    let before = before.collect();
    // Nobody else holds it, as a rule: a copy is made only while somebody looks at the saga.
    let definition = Arc::make_mut(&mut saga.definition);
    definition.grow(asked.compiled(name), asked.definition(name, after), before);
    let mut run = StepRun::new();
    run.recorded = saga.last_record;
    saga.steps.push(run);
}

/// What makes a new step impossible at this place of a log.
pub(in crate::saga) fn why_not(
    saga: &Saga,
    name: &StepName,
    after: &[StepName],
    asked: &LiveStep,
) -> Option<String> {
    let unknown = |step: &&StepName| saga.definition.position(step.as_str()).is_none();
    if saga.live.is_none() || saga.direction != Direction::Forward {
        Some(format!("step {name:?}, though no step can be added here"))
    } else if saga.definition.position(name.as_str()).is_some() {
        Some(format!("step {name:?} a second time"))
    } else if saga.steps.len() >= MAX_STEPS {
        Some(format!("more than {MAX_STEPS} steps"))
    } else if let Some(step) = after.iter().find(unknown) {
        Some(format!("step {name:?} after {step:?}, which there is not"))
    } else {
        asked.check().first().map(ToString::to_string)
    }
}
