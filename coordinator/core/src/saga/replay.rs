//! From a stored log back to a saga. Nonsense is an error, never a panic.

use std::sync::Arc;

use super::apply::apply;
use super::decide::blank;
use super::definition::{CompiledSaga, DefinitionHash};
use super::record::{Event, Phase, RECORD_VERSION, Record};
use super::state::{Direction, Forward, Saga, StepRun};

/// Why a log cannot be replayed. The transaction is parked; the process goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CorruptLog {
    /// There is no record at all.
    #[error("the log is empty")]
    Empty,
    /// The text is not a list of records.
    #[error("record {number} cannot be read: {problem}")]
    Unreadable {
        /// Its number.
        number: usize,
        /// Why.
        problem: String,
    },
    /// Written by a later version of Amends, or garbage.
    #[error("record {number} has version {version}, known is up to {RECORD_VERSION}")]
    Version {
        /// Its number.
        number: usize,
        /// The version found.
        version: u32,
    },
    /// It does not fit what came before: a log that begins twice, goes on after
    /// its end, or undoes before it turned back.
    #[error("record {number} is {kind:?}, which cannot stand there")]
    Misplaced {
        /// Its number.
        number: usize,
        /// What it is.
        kind: &'static str,
    },
    /// It belongs to another definition.
    #[error("the log belongs to definition {expected}, given was {found}")]
    Definition {
        /// What the log says.
        expected: String,
        /// What was given.
        found: String,
    },
    /// It names a step that the definition does not have.
    #[error("record {number} is about step {step:?}, which the definition does not have")]
    UnknownStep {
        /// Its number.
        number: usize,
        /// The step.
        step: String,
    },
}

/// Writes records as one stored text, leaving out what does not belong in the log.
#[must_use]
pub fn write_records(records: &[Record]) -> String {
    let stored: Vec<&Record> = records.iter().filter(|record| record.is_stored()).collect();
    // Records hold texts, numbers and JSON that was read before: writing them cannot fail.
    serde_json::to_string(&stored).unwrap_or_default()
}

/// Reads the rows of a log, oldest first.
///
/// # Errors
/// Names the first record that cannot be read.
pub fn read_log<'r>(rows: impl IntoIterator<Item = &'r str>) -> Result<Vec<Record>, CorruptLog> {
    let mut records: Vec<Record> = Vec::new();
    for row in rows {
        let number = records.len() + 1;
        let unreadable = |error: serde_json::Error| CorruptLog::Unreadable {
            number,
            problem: error.to_string(),
        };
        let versions: Vec<Version> = serde_json::from_str(row).map_err(unreadable)?;
        if let Some((offset, bad)) = versions
            .iter()
            .enumerate()
            .find(|(_, v)| v.v != RECORD_VERSION)
        {
            return Err(CorruptLog::Version {
                number: number + offset,
                version: bad.v,
            });
        }
        let more: Vec<Record> = serde_json::from_str(row).map_err(unreadable)?;
        records.extend(more);
    }
    Ok(records)
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
    let mut saga = None;
    for (ix, record) in records.iter().enumerate() {
        let number = ix + 1;
        if let Event::Began {
            gid,
            input,
            deadline,
            ..
        } = &record.event
        {
            if ix > 0 {
                return Err(CorruptLog::Misplaced {
                    number,
                    kind: record.event.kind(),
                });
            }
            let mut first = blank(
                gid.clone(),
                definition.clone(),
                input.clone(),
                *deadline,
                record.at,
            );
            apply(&mut first, record);
            saga = Some(first);
            continue;
        }
        let Some(saga) = saga.as_mut() else {
            return Err(CorruptLog::Empty);
        };
        check(saga, number, record)?;
        apply(saga, record);
    }
    saga.ok_or(CorruptLog::Empty)
}

/// Every step named must exist, and nothing happens after the end.
fn check(saga: &Saga, number: usize, record: &Record) -> Result<(), CorruptLog> {
    let kind = record.event.kind();
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
        Event::Began { .. } | Event::Called { .. } => false,
        Event::Resumed { generation } => *generation > saga.generation,
        Event::RetryRequested | Event::Forced { .. } => true,
        Event::TurnedBack { .. } => forward,
        Event::Succeeded { .. } => {
            forward && steps.all(|run| matches!(run.forward, Forward::Succeeded { .. }))
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

#[derive(serde::Deserialize)]
struct Version {
    v: u32,
}
