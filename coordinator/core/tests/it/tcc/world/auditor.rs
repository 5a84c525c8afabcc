//! What may never happen, judged from the records and the participants alone.

use amends_core::tcc::{Event, Phase};

use super::case::name;

/// How a log says that a TCC ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum End {
    Succeeded,
    Compensated,
    Forced,
}

/// What the auditor has noted of one TCC: the numbers of the records that matter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Audit {
    pub(crate) registered: Vec<Option<u64>>,
    succeeded: Vec<Option<u64>>,
    refused: Vec<Option<u64>>,
    pub(crate) prepared: Option<u64>,
    pub(crate) confirmed: Option<u64>,
    pub(crate) cancelled: Option<u64>,
    end: Option<(End, u64)>,
    /// Confirm or cancel was refused, and no operator has asked for another call.
    pub(crate) said_no: Vec<bool>,
}

impl Audit {
    pub(crate) fn new(branches: usize) -> Self {
        Self {
            registered: vec![None; branches],
            succeeded: vec![None; branches],
            refused: vec![None; branches],
            said_no: vec![false; branches],
            ..Self::default()
        }
    }

    /// Notes a stored record.
    pub(crate) fn saw(&mut self, number: u64, event: &Event) -> Result<(), String> {
        if self.end.is_some() {
            return Err(format!("{} was recorded after the end", event.kind()));
        }
        let at = |branch: &amends_core::id::StepName| {
            let mut all = 0..self.registered.len();
            all.find(|&ix| name(ix) == *branch)
                .ok_or("an unknown branch")
        };
        match event {
            Event::Registered(_) if self.is_decided() || self.prepared.is_some() => {
                return Err("a branch was registered after the decision".into());
            }
            Event::Registered(registration) => {
                let ix = at(&registration.name)?;
                if self.registered[ix].replace(number).is_some() {
                    return Err(format!("b{ix} was registered twice"));
                }
            }
            Event::TrySucceeded { branch, .. } => {
                let ix = at(branch)?;
                self.succeeded[ix] = Some(number);
            }
            Event::TryRefused { branch, .. } => {
                let ix = at(branch)?;
                self.refused[ix] = Some(number);
            }
            Event::Prepared => {
                self.all_tried()?;
                self.prepared = Some(number);
            }
            Event::ConfirmDecided | Event::CancelDecided { .. } if self.is_decided() => {
                return Err("it decided twice".into());
            }
            Event::ConfirmDecided => {
                self.all_tried()?;
                self.confirmed = Some(number);
            }
            Event::CancelDecided { .. } => self.cancelled = Some(number),
            Event::Succeeded => self.end = Some((End::Succeeded, number)),
            Event::Compensated => self.end = Some((End::Compensated, number)),
            Event::Forced { .. } => self.end = Some((End::Forced, number)),
            _ => {}
        }
        Ok(())
    }

    fn all_tried(&self) -> Result<(), String> {
        let mut all = self.registered.iter().zip(&self.succeeded);
        match all.position(|(registered, tried)| registered.is_some() && tried.is_none()) {
            Some(ix) => Err(format!("it confirms, but the try of b{ix} did not succeed")),
            None => Ok(()),
        }
    }

    /// The log was cut behind this record.
    pub(crate) fn forget_after(&mut self, last: u64) {
        let kept = |number: &u64| *number <= last;
        for numbers in [&mut self.registered, &mut self.succeeded, &mut self.refused] {
            for number in numbers {
                *number = number.filter(kept);
            }
        }
        for number in [&mut self.prepared, &mut self.confirmed, &mut self.cancelled] {
            *number = number.filter(kept);
        }
        self.end = self.end.filter(|(_, number)| *number <= last);
        // Whoever takes over may not know of the refusal.
        self.said_no.fill(false);
    }

    pub(crate) fn end(&self) -> Option<End> {
        self.end.map(|(end, _)| end)
    }

    pub(crate) fn is_decided(&self) -> bool {
        self.confirmed.is_some() || self.cancelled.is_some()
    }

    pub(crate) fn is_all_tried(&self) -> bool {
        self.all_tried().is_ok()
    }

    pub(crate) fn is_try_known(&self, branch: usize) -> bool {
        self.succeeded[branch].is_some() || self.refused[branch].is_some()
    }

    pub(crate) fn has_tried(&self, branch: usize) -> bool {
        self.succeeded[branch].is_some()
    }

    /// The numbers that later judgements rest on, for telling worlds apart.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = Option<u64>> + '_ {
        let end = self.end.map(|(_, number)| number);
        let branches = self.registered.iter().chain(&self.succeeded);
        let branches = branches.chain(&self.refused).copied();
        branches.chain([self.prepared, self.confirmed, self.cancelled, end])
    }

    /// Judges a call that the machine asks for, durable up to `after` first.
    pub(crate) fn may_call(&self, ix: usize, phase: Phase, after: u64) -> Result<(), String> {
        let durable = |number: Option<u64>| number.is_some_and(|number| number <= after);
        match phase {
            Phase::Try if self.is_decided() || self.prepared.is_some() => {
                Err(format!("b{ix} is tried after the decision"))
            }
            Phase::Try if !durable(self.registered[ix]) => {
                Err(format!("b{ix} is tried before its registration is durable"))
            }
            Phase::Confirm if !durable(self.confirmed) => Err(format!(
                "b{ix} is confirmed before that decision is durable"
            )),
            Phase::Cancel if !durable(self.cancelled) => Err(format!(
                "b{ix} is cancelled before that decision is durable"
            )),
            Phase::Cancel if self.refused[ix].is_some() => {
                Err(format!("b{ix} is cancelled although its try was refused"))
            }
            Phase::Confirm | Phase::Cancel if self.said_no[ix] => {
                Err(format!("b{ix} is called again after it had refused"))
            }
            _ => Ok(()),
        }
    }
}
