//! How a TCC begins.

use crate::answer::Failure;
use crate::id::{Generation, Gid, RecordNo, check_name};
use crate::saga::{MAX_DEADLINE, Violation};
use crate::time::{Millis, Timestamp};

use super::decide::{Decision, Draft, advance};
use super::effect::Effect;
use super::record::{Event, Parent};
use super::state::{Stage, Tcc};

/// A TCC to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// Its id.
    pub gid: Gid,
    /// What it is for, as in lists.
    pub name: String,
    /// Time until it is cancelled unless it was confirmed.
    pub deadline: Millis,
    /// Who decides, if not its caller. The branch is registered there first.
    pub parent: Option<Parent>,
}

/// Begins a TCC.
///
/// # Errors
/// Every rule that the start breaks.
pub fn begin(start: Start, now: Timestamp) -> Result<(Tcc, Decision), Vec<Violation>> {
    let wrong = start.check();
    if wrong.is_empty() {
        Ok(began(start, now, |_| {}))
    } else {
        Err(wrong)
    }
}

/// Puts a child in place that its parent cancelled before it began, so that it cannot begin later.
#[must_use]
pub fn begin_cancelled(gid: Gid, parent: Parent, now: Timestamp) -> (Tcc, Decision) {
    let start = Start {
        gid,
        name: parent.branch.to_string(),
        deadline: Millis(0),
        parent: Some(parent),
    };
    began(start, now, |draft| {
        draft.cancel(Failure::new(
            "CANCELLED_BEFORE_BEGIN",
            "its parent was cancelled before it began",
        ));
    })
}

/// What differs between a TCC and a start with the same id.
#[must_use]
pub fn difference(tcc: &Tcc, start: &Start) -> Option<&'static str> {
    // No start has such a deadline: it holds the place of one that comes too late.
    let stands_in = tcc.deadline == tcc.began_at;
    if stands_in && tcc.parent == start.parent {
        None
    } else if tcc.name() != start.name {
        Some("name")
    } else if tcc.parent != start.parent {
        Some("parent")
    } else if tcc.deadline.since(tcc.began_at) != start.deadline {
        Some("deadline")
    } else {
        None
    }
}

impl Start {
    /// Every rule that it breaks.
    #[must_use]
    pub fn check(&self) -> Vec<Violation> {
        check_start(self)
    }
}

fn check_start(start: &Start) -> Vec<Violation> {
    let mut wrong = Vec::new();
    let mut add = |field: &str, code, message| {
        let field = field.to_owned();
        wrong.push(Violation {
            field,
            code,
            message,
        });
    };
    if let Err(bad) = check_name(&start.name) {
        add("name", "NAME_INVALID", bad.to_string());
    }
    if start.deadline.0 == 0 || start.deadline > MAX_DEADLINE {
        let message = format!("is {}, must be 1ms to 366 days", start.deadline);
        add("deadline", "DURATION_INVALID", message);
    }
    if start
        .parent
        .as_ref()
        .is_some_and(|parent| parent.gid == start.gid)
    {
        let message = "is the transaction itself".to_owned();
        add("parent.gid", "PARENT_IS_ITSELF", message);
    }
    wrong
}

/// `then` comes before everything that is due at once.
fn began(start: Start, now: Timestamp, then: impl FnOnce(&mut Draft<'_>)) -> (Tcc, Decision) {
    let Start {
        gid,
        name,
        deadline,
        parent,
    } = start;
    let deadline = now + deadline;
    let mut tcc = blank(gid.clone(), &name, deadline, parent.clone(), now);
    let mut draft = Draft::new(&mut tcc, now);
    draft.record(Event::TccBegan {
        gid,
        name,
        deadline,
        parent,
    });
    draft.effects.push(Effect::Accept { after: RecordNo(1) });
    then(&mut draft);
    advance(&mut draft);
    let decision = draft.decided();
    (tcc, decision)
}

/// A TCC before its first record.
pub(super) fn blank(
    gid: Gid,
    name: &str,
    deadline: Timestamp,
    parent: Option<Parent>,
    now: Timestamp,
) -> Tcc {
    Tcc {
        gid,
        name: name.into(),
        parent,
        began_at: now,
        updated_at: now,
        deadline,
        generation: Generation::FIRST,
        last_record: RecordNo(0),
        stage: Stage::Trying,
        branches: Vec::new(),
    }
}
