//! From a stored log back to a TCC. Nonsense is an error, never a panic.

use crate::log::{self, CorruptLog};

use super::apply::apply;
use super::begin::blank;
use super::record::{Event, Phase, Record, Verdict};
use super::registration::MAX_BRANCHES;
use super::state::{Branch, Stage, Tcc};
use super::trying::problem_of;

/// Reads the rows of a log, oldest first.
///
/// # Errors
/// Names the first record that cannot be read.
pub fn read_log<'r>(rows: impl IntoIterator<Item = &'r str>) -> Result<Vec<Record>, CorruptLog> {
    log::read_log(rows)
}

/// Folds a log into a TCC.
///
/// # Errors
/// Says what is wrong with the log.
pub fn replay(records: &[Record]) -> Result<Tcc, CorruptLog> {
    let (first, rest) = records.split_first().ok_or(CorruptLog::Empty)?;
    let Event::TccBegan {
        gid,
        name,
        deadline,
        parent,
    } = &first.event
    else {
        let kind = first.event.kind();
        return Err(CorruptLog::Misplaced { number: 1, kind });
    };
    let mut tcc = blank(gid.clone(), name, *deadline, parent.clone(), first.at);
    apply(&mut tcc, first);
    for (ix, record) in rest.iter().enumerate() {
        check(&tcc, ix + 2, record)?;
        apply(&mut tcc, record);
    }
    Ok(tcc)
}

/// Every branch named must be registered, and nothing happens after the end.
fn check(tcc: &Tcc, number: usize, record: &Record) -> Result<(), CorruptLog> {
    let kind = record.event.kind();
    if tcc.is_ended() || !record.is_stored() {
        return Err(CorruptLog::Misplaced { number, kind });
    }
    if let Event::Registered(registration) = &record.event {
        if let Some(problem) = problem_of(tcc, registration) {
            return Err(CorruptLog::Invalid { number, problem });
        }
    } else if let Some(branch) = record.event.branch()
        && tcc.position(branch.as_str()).is_none()
    {
        let branch = branch.to_string();
        return Err(CorruptLog::UnknownBranch { number, branch });
    }
    if fits(tcc, &record.event) {
        Ok(())
    } else {
        Err(CorruptLog::Misplaced { number, kind })
    }
}

/// Whether the machine could have recorded this here: a log that was written
/// by it always passes, and what would leave the TCC in a state that it
/// cannot be in does not.
fn fits(tcc: &Tcc, event: &Event) -> bool {
    let trying = tcc.stage == Stage::Trying;
    let prepared = matches!(tcc.stage, Stage::Prepared { .. });
    let nested = tcc.parent.is_some();
    let all_tried = tcc.branches.iter().all(Branch::is_tried);
    let all_settled = tcc.branches.iter().all(Branch::is_settled);
    let settling = match &tcc.stage {
        Stage::Settling(decided) => Some(decided.verdict),
        _ => None,
    };
    let branch = event
        .branch()
        .and_then(|name| tcc.position(name.as_str()))
        .map(|ix| &tcc.branches[ix]);
    match event {
        Event::TccBegan { .. }
        | Event::Called { .. }
        | Event::ParentAsked { .. }
        | Event::ParentUndecided { .. } => false,
        Event::Resumed { generation } => *generation > tcc.generation,
        Event::RetryRequested | Event::Forced { .. } => true,
        Event::Registered(_) => trying && branch.is_none() && tcc.branches.len() < MAX_BRANCHES,
        Event::TrySucceeded { .. } | Event::TryRefused { .. } => {
            trying && branch.is_some_and(Branch::is_open)
        }
        Event::AttemptFailed { phase, .. } | Event::Postponed { phase, .. } => match phase {
            Phase::Try => trying && branch.is_some_and(Branch::is_open),
            Phase::Confirm | Phase::Cancel => {
                settling.map(Verdict::phase) == Some(*phase)
                    && branch.is_some_and(|branch| !branch.is_settled())
            }
        },
        Event::Prepared => trying && nested && all_tried,
        Event::ConfirmDecided => all_tried && if nested { prepared } else { trying },
        Event::CancelDecided { .. } => trying || prepared,
        Event::Settled { .. } => {
            settling.is_some() && branch.is_some_and(|branch| !branch.is_settled())
        }
        Event::Succeeded => settling == Some(Verdict::Confirm) && all_settled,
        Event::Compensated => settling == Some(Verdict::Cancel) && all_settled,
    }
}
