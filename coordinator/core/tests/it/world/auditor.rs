//! What may never happen, judged from the records and the participants alone.

use amends_core::saga::{Call, Event, Phase, StepKind};

use super::case::{Case, name};
use super::participant::Participant;

/// How the log says that the saga ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum End {
    Succeeded,
    Compensated,
    Forced,
}

/// What the auditor has noted: the numbers of the records that matter.
#[derive(Debug, Clone)]
pub(crate) struct Audit {
    turned_back: Option<u64>,
    succeeded: Vec<Option<u64>>,
    end: Option<(End, u64)>,
}

impl Audit {
    pub(crate) fn new(steps: usize) -> Self {
        Self {
            turned_back: None,
            succeeded: vec![None; steps],
            end: None,
        }
    }

    /// Notes a stored record.
    pub(crate) fn saw(&mut self, number: u64, event: &Event) -> Result<(), String> {
        if self.end.is_some() {
            return Err(format!("{} was recorded after the end", event.kind()));
        }
        match event {
            Event::TurnedBack { .. } if self.turned_back.is_some() => {
                return Err("it turned back twice".into());
            }
            Event::TurnedBack { .. } => self.turned_back = Some(number),
            Event::StepSucceeded { step, .. } => {
                let at = (0..self.succeeded.len()).find(|&ix| name(ix) == step.as_str());
                self.succeeded[at.ok_or("an unknown step")?] = Some(number);
            }
            Event::Succeeded { .. } => self.end = Some((End::Succeeded, number)),
            Event::Compensated => self.end = Some((End::Compensated, number)),
            Event::Forced { .. } => self.end = Some((End::Forced, number)),
            _ => {}
        }
        Ok(())
    }

    /// The log was cut behind this record.
    pub(crate) fn forget_after(&mut self, last: u64) {
        let kept = |number: &u64| *number <= last;
        self.turned_back = self.turned_back.filter(kept);
        for number in &mut self.succeeded {
            *number = number.filter(kept);
        }
        self.end = self.end.filter(|(_, number)| *number <= last);
    }

    pub(crate) fn end(&self) -> Option<End> {
        self.end.map(|(end, _)| end)
    }

    pub(crate) fn has_turned_back(&self) -> bool {
        self.turned_back.is_some()
    }

    /// The numbers that later judgements rest on, for telling worlds apart.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = Option<u64>> + '_ {
        let end = self.end.map(|(_, number)| number);
        self.succeeded
            .iter()
            .copied()
            .chain([self.turned_back, end])
    }

    /// Judges a call that the machine asks for, durable up to `after` first.
    pub(crate) fn may_call(
        &self,
        case: &Case,
        all: &[Participant],
        call: &Call,
        after: u64,
    ) -> Result<(), String> {
        if after < 1 {
            return Err(format!(
                "{} is called before the saga is durable",
                call.name
            ));
        }
        match call.phase {
            Phase::Do => self.may_do(case, all, call.step, after),
            Phase::Undo => self.may_ask_undo(case, call.step, after),
        }
    }

    fn may_do(
        &self,
        case: &Case,
        all: &[Participant],
        ix: usize,
        after: u64,
    ) -> Result<(), String> {
        let step = &case.steps[ix];
        if self.turned_back.is_some() {
            return Err(format!("s{ix} is called after the saga turned back"));
        }
        for earlier in (0..all.len()).filter(|&earlier| case.is_before(earlier, ix)) {
            if !all[earlier].is_in_effect() {
                return Err(format!("s{ix} is called, but s{earlier} is not in effect"));
            }
            let must_be_durable = step.kind != StepKind::Compensable
                || step.consumes && step.after.contains(&earlier);
            if must_be_durable && self.succeeded[earlier].is_none_or(|number| number > after) {
                return Err(format!("s{ix} rests on s{earlier}, which may be forgotten"));
            }
        }
        Ok(())
    }

    fn may_ask_undo(&self, case: &Case, ix: usize, after: u64) -> Result<(), String> {
        if case.steps[ix].kind != StepKind::Compensable {
            return Err(format!("s{ix} cannot be undone, but is"));
        }
        if self.turned_back.is_none_or(|number| number > after) {
            return Err(format!("s{ix} is undone before turning back is durable"));
        }
        Ok(())
    }
}

/// Judges a step that takes effect now.
pub(crate) fn may_take_effect(case: &Case, all: &[Participant], ix: usize) -> Result<(), String> {
    let undone = (0..all.len()).find(|&earlier| {
        case.is_before(earlier, ix) && all[earlier].was_undone() && case.steps[ix].has_undo
    });
    match undone {
        Some(earlier) => Err(format!(
            "s{ix} took effect after s{earlier}, which comes before it, was undone"
        )),
        None => Ok(()),
    }
}

/// Judges an undo that runs now.
pub(crate) fn may_run_undo(case: &Case, all: &[Participant], ix: usize) -> Result<(), String> {
    let open = (0..all.len()).find(|&later| {
        case.is_before(ix, later) && all[later].is_in_effect() && case.steps[later].has_undo
    });
    match open {
        Some(later) => Err(format!(
            "s{ix} was undone before s{later}, which comes after it"
        )),
        None => Ok(()),
    }
}

/// Judges what is in effect after the end.
pub(crate) fn at_the_end(case: &Case, all: &[Participant], end: End) -> Result<(), String> {
    for (ix, participant) in all.iter().enumerate() {
        let step = &case.steps[ix];
        let leftover_is_fine = step.kind == StepKind::Compensable && !step.has_undo;
        let fine = match end {
            End::Succeeded => participant.is_in_effect() && participant.times() == 1,
            End::Compensated => !participant.is_in_effect() || leftover_is_fine,
            End::Forced => true,
        };
        if !fine {
            return Err(format!("ended as {end:?}, but s{ix} is {participant:?}"));
        }
    }
    Ok(())
}
