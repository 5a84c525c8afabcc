//! From a stored log back to a saga. Nonsense is an error, never a panic.

use std::sync::Arc;

use crate::log::{self, CorruptLog};

use super::apply::apply;
use super::decide::blank;
use super::definition::{CompiledSaga, DefinitionHash};
use super::live;
use super::record::{Event, Phase, Record};
use super::state::{Direction, Forward, Saga, StepRun};

/// Reads the rows of a log, oldest first.
///
/// # Errors
/// Names the first record that cannot be read.
pub fn read_log<'r>(rows: impl IntoIterator<Item = &'r str>) -> Result<Vec<Record>, CorruptLog> {
    log::read_log(rows)
}

/// The definition that a log belongs to.
///
/// # Errors
/// The log does not begin with a beginning.
pub fn definition_of(records: &[Record]) -> Result<&DefinitionHash, CorruptLog> {
    match records.first().map(|record| &record.event) {
        None => Err(CorruptLog::Empty),
        Some(Event::Began { definition, .. }) => Ok(definition),
        Some(other) => Err(CorruptLog::Misplaced {
            number: 1,
            kind: other.kind(),
        }),
    }
}

/// Folds the log of a live saga.
///
/// # Errors
/// Says what is wrong with the log.
pub fn replay_live(records: &[Record]) -> Result<Saga, CorruptLog> {
    let first = records.first().ok_or(CorruptLog::Empty)?;
    let Event::LiveBegan {
        gid,
        about,
        lease,
        deadline,
    } = &first.event
    else {
        return Err(CorruptLog::Misplaced {
            number: 1,
            kind: first.event.kind(),
        });
    };
    let saga = live::blank_live(gid.clone(), about, *lease, *deadline, first.at);
    fold(saga, records)
}

/// Folds a log into a saga.
///
/// # Errors
/// Says what is wrong with the log.
pub fn replay(definition: &Arc<CompiledSaga>, records: &[Record]) -> Result<Saga, CorruptLog> {
    let expected = definition_of(records)?;
    if expected != definition.hash() {
        return Err(CorruptLog::Definition {
            expected: expected.0.to_string(),
            found: definition.hash().0.to_string(),
        });
    }
    let Some(Record {
        at,
        event:
            Event::Began {
                gid,
                input,
                deadline,
                ..
            },
        ..
    }) = records.first()
    else {
        return Err(CorruptLog::Empty);
    };
    let definition = definition.clone();
    let saga = blank(gid.clone(), definition, input.clone(), *deadline, *at);
    fold(saga, records)
}

/// Folds all records, of which the first one began the saga.
fn fold(mut saga: Saga, records: &[Record]) -> Result<Saga, CorruptLog> {
    for (ix, record) in records.iter().enumerate() {
        if ix > 0 {
            check(&saga, ix + 1, record)?;
        }
        apply(&mut saga, record);
    }
    Ok(saga)
}

/// Every step named must exist, and nothing happens after the end.
fn check(saga: &Saga, number: usize, record: &Record) -> Result<(), CorruptLog> {
    let kind = record.event.kind();
    if let Event::StepAdded { step, after, asked } = &record.event {
        let problem = live::why_not(saga, step, after, asked);
        return problem.map_or(Ok(()), |problem| {
            Err(CorruptLog::Invalid { number, problem })
        });
    }
    let in_doubt = match &record.event {
        Event::TurnedBack { in_doubt, .. } => in_doubt.as_slice(),
        _ => &[],
    };
    let named = record.event.step().into_iter().chain(in_doubt);
    match named
        .into_iter()
        .find(|step| saga.definition.position(step.as_str()).is_none())
    {
        Some(step) => Err(CorruptLog::UnknownStep {
            number,
            step: step.to_string(),
        }),
        None if saga.is_ended() || !record.is_stored() || !fits(saga, &record.event) => {
            Err(CorruptLog::Misplaced { number, kind })
        }
        None => Ok(()),
    }
}

/// Whether the machine could have recorded this here: a log that was written
/// by it always passes, and what would leave the saga in a state that it
/// cannot be in does not.
fn fits(saga: &Saga, event: &Event) -> bool {
    let forward = saga.direction == Direction::Forward;
    let mut steps = saga.steps.iter();
    let run = event.step().and_then(|name| {
        let ix = saga.definition.position(name.as_str())?;
        saga.steps.get(ix)
    });
    match event {
        Event::Began { .. }
        | Event::LiveBegan { .. }
        | Event::StepAdded { .. }
        | Event::Called { .. }
        | Event::Heard => false,
        Event::Resumed { generation } => *generation > saga.generation,
        Event::RetryRequested | Event::Forced { .. } => true,
        Event::TurnedBack { .. } => forward,
        Event::Succeeded { .. } => {
            let is_done = |run: &StepRun| match run.forward {
                Forward::Succeeded { .. } => true,
                Forward::Refused => saga.live.is_some(),
                _ => false,
            };
            forward && steps.all(is_done)
        }
        Event::Compensated => !forward && steps.all(StepRun::is_settled),
        Event::StepSucceeded { .. } | Event::StepRefused { .. } => run.is_some_and(is_open),
        Event::AttemptFailed { phase, .. }
        | Event::Postponed { phase, .. }
        | Event::BranchStuck { phase, .. } => match phase {
            Phase::Do => run.is_some_and(is_open),
            Phase::Undo => !forward && run.is_some_and(|run| !run.is_settled()),
        },
        Event::Undone { .. } => !forward && run.is_some_and(|run| !run.is_settled()),
    }
}

/// The outcome of the step is not known yet.
fn is_open(run: &StepRun) -> bool {
    !matches!(
        run.forward,
        Forward::Succeeded { .. } | Forward::Refused | Forward::Skipped
    )
}
