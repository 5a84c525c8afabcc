//! Durable records as lines for people.

use amends_core::answer::Failure;
use amends_core::saga::{Event, Phase, Record, Settlement};
use amends_core::time::Timestamp;
use amends_proto::v1;

use super::{show, times};

/// One record; `number` counts from 1.
pub(super) fn line(number: u64, record: &Record) -> v1::TransactionRecord {
    v1::TransactionRecord {
        number,
        time: Some(show::timestamp(record.at)),
        kind: record.event.kind().to_ascii_uppercase(),
        step: record
            .event
            .step()
            .map(ToString::to_string)
            .unwrap_or_default(),
        text: text(record),
        json: serde_json::to_string(record).unwrap_or_default(),
        took: record.took.map(times::took),
    }
}

fn text(record: &Record) -> String {
    match &record.event {
        Event::Began { .. } => "accepted".into(),
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
        event => attempt_text(event, record.at),
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

fn because(failure: &Failure) -> String {
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
