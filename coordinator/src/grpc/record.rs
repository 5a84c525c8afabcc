//! Durable records as lines for people.

use amends_core::answer::Failure;
use amends_core::id::StepName;
use amends_core::log::{Logged, Record, read_log};
use amends_core::public_state::Kind;
use amends_core::saga::{Event, Phase, Settlement};
use amends_core::tcc;
use amends_core::time::Timestamp;
use amends_proto::v1;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::engine::EngineError;
use crate::store::Stored;

use super::{record_tcc, show, times};

/// The records of a log after the one with this number, at most so many; and
/// how many there are in all.
///
/// # Errors
/// [`EngineError::Parked`] when the log cannot be read.
pub(super) fn lines(
    stored: &Stored,
    after: u64,
    most: usize,
) -> Result<(Vec<v1::TransactionRecord>, u64), EngineError> {
    match stored.summary.kind {
        Kind::Saga | Kind::Live => page(stored, after, most, |record: &Record<Event>| {
            let (event, at) = (&record.event, record.at);
            (event.kind(), event.step(), text(event, at))
        }),
        Kind::Tcc => page(stored, after, most, |record: &tcc::Record| {
            let (event, at) = (&record.event, record.at);
            (event.kind(), event.branch(), record_tcc::text(event, at))
        }),
    }
}

/// `tell` says of a record what kind it is, which step or branch it is about, and what its line is.
fn page<E: Logged + Serialize + DeserializeOwned>(
    stored: &Stored,
    after: u64,
    most: usize,
    tell: impl Fn(&Record<E>) -> (&'static str, Option<&StepName>, String),
) -> Result<(Vec<v1::TransactionRecord>, u64), EngineError> {
    let rows = stored.log.iter().map(|(_, row)| row.as_str());
    let records: Vec<Record<E>> = read_log(rows).map_err(|error| EngineError::Parked {
        gid: stored.gid.to_string(),
        reason: error.to_string(),
    })?;
    let numbered = records.iter().zip(1..);
    let wanted = numbered.skip_while(|(_, number)| *number <= after);
    let lines = wanted.take(most).map(|(record, number)| {
        let (kind, step, text) = tell(record);
        v1::TransactionRecord {
            number,
            time: Some(show::timestamp(record.at)),
            kind: kind.to_ascii_uppercase(),
            step: step.map(ToString::to_string).unwrap_or_default(),
            text,
            json: serde_json::to_string(record).unwrap_or_default(),
            took: record.took.map(times::took),
        }
    });
    Ok((lines.collect(), records.len() as u64))
}

fn text(event: &Event, at: Timestamp) -> String {
    match event {
        Event::Began { .. } => "accepted".into(),
        Event::LiveBegan { .. } | Event::StepAdded { .. } | Event::Heard => live_text(event),
        Event::Resumed { generation } => {
            format!("taken up after a restart (generation {})", generation.0)
        }
        Event::StepSucceeded { step, .. } => format!("{step} succeeded"),
        Event::StepRefused { step, failure, .. } => {
            format!("{step} was refused: {}", because(failure))
        }
        Event::TurnedBack { cause, in_doubt } => {
            let names: Vec<_> = in_doubt.iter().map(ToString::to_string).collect();
            let doubt = if names.is_empty() {
                ""
            } else {
                "; may have run: "
            };
            format!(
                "turning back: {}{doubt}{}",
                because(&cause.failure),
                names.join(", ")
            )
        }
        Event::Undone {
            step,
            settlement: Settlement::Called,
            ..
        } => format!("{step} undone"),
        Event::Undone {
            step,
            settlement: Settlement::ByHand { operator, reason },
            ..
        } => {
            format!("{step} declared undone by {operator}: {reason}")
        }
        Event::RetryRequested => "an operator asked for attempts now".into(),
        Event::Succeeded { .. } => "succeeded".into(),
        Event::Compensated => "compensated: everything that had happened was made good".into(),
        Event::Forced { operator, reason } => format!("ended by {operator}: {reason}"),
        event => attempt_text(event, at),
    }
}

/// What only a live saga records.
fn live_text(event: &Event) -> String {
    match event {
        Event::LiveBegan { about, lease, .. } => {
            let key = &about.key;
            let of = if key.is_empty() { "" } else { " for " };
            format!("accepted{of}{key}; its caller may be silent for {lease}")
        }
        Event::StepAdded { step, after, asked } => {
            let names: Vec<_> = after.iter().map(ToString::to_string).collect();
            let after = if names.is_empty() { "" } else { " after " };
            format!(
                "{step} is to be called at {}{after}{}",
                asked.target,
                names.join(", ")
            )
        }
        other => other.kind().into(),
    }
}

/// What became of single calls.
fn attempt_text(event: &Event, at: Timestamp) -> String {
    match event {
        Event::Called {
            step,
            phase,
            attempt,
        } => {
            format!("{} {step}, attempt {attempt}", verb(*phase))
        }
        Event::AttemptFailed {
            step,
            phase,
            attempt,
            failure,
            retry_at,
        } => {
            let next = match retry_at {
                Some(retry_at) => format!("again in {}", retry_at.since(at)),
                None => "giving up; it may have run".into(),
            };
            let (verb, why) = (verb(*phase), because(failure));
            format!("{verb} {step}, attempt {attempt} proved nothing: {why} ({next})")
        }
        Event::Postponed {
            step, phase, until, ..
        } => {
            format!(
                "{} {step} is in progress; asking again in {}",
                verb(*phase),
                until.since(at)
            )
        }
        Event::BranchStuck {
            step,
            phase,
            failure,
        } => {
            format!(
                "{} {step} is stuck and needs a person: {}",
                verb(*phase),
                because(failure)
            )
        }
        other => other.kind().into(),
    }
}

pub(super) fn because(failure: &Failure) -> String {
    format!("{} {}", failure.code, failure.message)
        .trim_end()
        .to_owned()
}

fn verb(phase: Phase) -> &'static str {
    match phase {
        Phase::Do => "do",
        Phase::Undo => "undo",
    }
}
