//! What may never happen, judged from what the caller heard, from the records and
//! from the participants.

use amends_core::saga::{Call, Event, Phase};

use super::caller::{Knows, Told};
use super::state::World;

/// The numbers of the records that matter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Audit {
    pub(crate) added: Vec<(String, u64)>,
    pub(crate) turned_back: Option<u64>,
    pub(crate) end: Option<(&'static str, u64)>,
}

impl Audit {
    pub(crate) fn saw(&mut self, number: u64, event: &Event) -> Result<(), String> {
        if self.end.is_some() {
            return Err(format!("{} was recorded after the end", event.kind()));
        }
        match event {
            Event::StepAdded { step, .. } if self.turned_back.is_some() => {
                return Err(format!("{step} was added after turning back"));
            }
            Event::StepAdded { step, .. } => self.added.push((step.to_string(), number)),
            Event::TurnedBack { .. } if self.turned_back.is_some() => {
                return Err("it turned back twice".into());
            }
            Event::TurnedBack { .. } => self.turned_back = Some(number),
            Event::Succeeded { .. } | Event::Compensated => {
                self.end = Some((event.kind(), number));
            }
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn forget_after(&mut self, last: u64) {
        self.added.retain(|(_, number)| *number <= last);
        self.turned_back = self.turned_back.filter(|number| *number <= last);
        self.end = self.end.filter(|(_, number)| *number <= last);
    }

    /// Judges a call that the machine asks for, durable up to `after` first.
    pub(crate) fn may_call(&self, call: &Call, after: u64) -> Result<(), String> {
        let name = call.name.as_str();
        let added = self.added.iter().find(|(step, _)| step == name);
        let added = added.map(|(_, number)| *number);
        match call.phase {
            Phase::Do if self.turned_back.is_some() => {
                Err(format!("{name} is called after the saga turned back"))
            }
            Phase::Do if added.is_none_or(|number| number > after) => {
                Err(format!("{name} is called before it is durable"))
            }
            Phase::Undo if self.turned_back.is_none_or(|number| number > after) => {
                Err(format!("{name} is undone before turning back is durable"))
            }
            _ => Ok(()),
        }
    }
}

impl World {
    /// Judges an undo that runs now.
    pub(crate) fn may_run_undo(&self, step: usize) -> Result<(), String> {
        let rests = |&later: &usize| self.caller.rests_on[later].contains(&step);
        let mut later = (0..self.participants.len()).filter(rests);
        match later.find(|&later| self.participants[later].is_in_effect()) {
            Some(later) => Err(format!(
                "s{step} was undone before s{later}, which was asked for after it"
            )),
            None => Ok(()),
        }
    }

    /// Judges a step that takes effect now.
    pub(crate) fn may_take_effect(&self, step: usize) -> Result<(), String> {
        let mut earlier = self.caller.rests_on[step].iter();
        match earlier.find(|&&earlier| self.participants[earlier].was_undone()) {
            Some(earlier) => Err(format!(
                "s{step} took effect after s{earlier}, which it rests on, was undone"
            )),
            None => Ok(()),
        }
    }

    /// Judges what is in effect after the end, and what the caller was told.
    pub(crate) fn judge_end(&self) -> Result<(), String> {
        let Some((end, number)) = self.audit.end else {
            return Ok(());
        };
        let good = end == "succeeded";
        for (step, participant) in self.participants.iter().enumerate() {
            let wanted = good && self.caller.knows[step] == Knows::Yes;
            let times = participant.times();
            if participant.is_in_effect() != wanted || times > 1 {
                return Err(format!("it {end}, but s{step} is {participant:?}"));
            }
        }
        match self.caller.told {
            Some(Told::Good) if !good => Err("told that it is well, but it is undone".into()),
            Some(Told::Bad) if good => Err("told that it is undone, but it is not".into()),
            Some(Told::Good) if number > self.durable => Err("told before it is durable".into()),
            _ => Ok(()),
        }
    }
}
