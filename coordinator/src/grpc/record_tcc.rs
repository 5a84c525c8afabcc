//! Durable records of TCCs as lines for people.

use amends_core::tcc::{Event, Phase, Settlement, Work};
use amends_core::time::Timestamp;

use super::record::because;

/// What the event was that was recorded then.
pub(super) fn text(event: &Event, at: Timestamp) -> String {
    match event {
        Event::TccBegan {
            deadline, parent, ..
        } => {
            let under = parent.as_ref().map(|parent| {
                let (gid, branch) = (&parent.gid, &parent.branch);
                format!(", as branch {branch} of {gid}")
            });
            let (within, under) = (deadline.since(at), under.unwrap_or_default());
            format!("accepted{under}; cancelled unless confirmed within {within}")
        }
        Event::Resumed { generation } => {
            format!("taken up after a restart (generation {})", generation.0)
        }
        Event::Registered(registration) => {
            let name = &registration.name;
            match &registration.work {
                Work::Nested { gid } => format!("{name} registered: it is the TCC {gid}"),
                Work::Participant { .. } => format!("{name} registered"),
            }
        }
        Event::TrySucceeded { branch, .. } => format!("try {branch} succeeded"),
        Event::TryRefused {
            branch, failure, ..
        } => format!("try {branch} was refused: {}", because(failure)),
        Event::Prepared => "prepared: everything is held, and the parent decides".into(),
        Event::ConfirmDecided => "confirming".into(),
        Event::CancelDecided { cause } => format!("cancelling: {}", because(cause)),
        Event::Settled {
            branch, settlement, ..
        } => match settlement {
            Settlement::Called => format!("{branch} done"),
            Settlement::ByHand { operator, reason } => {
                format!("{branch} declared done by {operator}: {reason}")
            }
        },
        Event::RetryRequested => "an operator asked for attempts now".into(),
        Event::Succeeded => "succeeded: everything is confirmed".into(),
        Event::Compensated => "compensated: everything is cancelled".into(),
        Event::Forced { operator, reason } => format!("ended by {operator}: {reason}"),
        event => attempt_text(event, at),
    }
}

/// What became of single calls.
fn attempt_text(event: &Event, at: Timestamp) -> String {
    match event {
        Event::AttemptFailed {
            branch,
            phase,
            attempt,
            failure,
            retry_at,
            stuck,
        } => {
            let (verb, why) = (verb(*phase), because(failure));
            let next = match (retry_at, phase) {
                (Some(retry_at), _) => format!("again in {}", retry_at.since(at)),
                (None, Phase::Try) => "giving up; it may have run".into(),
                (None, _) => "not called again until an operator asks for it".into(),
            };
            let stuck = if *stuck {
                "; stuck, needs a person"
            } else {
                ""
            };
            format!("{verb} {branch}, attempt {attempt} failed: {why} ({next}{stuck})")
        }
        Event::Postponed {
            branch,
            phase,
            until,
            ..
        } => {
            let (verb, after) = (verb(*phase), until.since(at));
            format!("{verb} {branch} is in progress; asking again in {after}")
        }
        other => other.kind().into(),
    }
}

fn verb(phase: Phase) -> &'static str {
    match phase {
        Phase::Try => "try",
        Phase::Confirm => "confirm",
        Phase::Cancel => "cancel",
    }
}
