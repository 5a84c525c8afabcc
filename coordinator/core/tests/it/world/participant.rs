//! What really happened at the participant of one step.

use amends_core::saga::Fencing;

/// The participant's own decision about a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Verdict {
    Yes,
    No,
}

/// The row of the step in the consumer log, or what an idempotent service
/// without one remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Row {
    None,
    Stored(Verdict),
    /// Written by the undo: the step may never run.
    Fenced,
}

/// The participant of one step.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Participant {
    fencing: Fencing,
    row: Row,
    undone: bool,
    in_effect: bool,
    times: u8,
}

impl Participant {
    pub(crate) fn new(fencing: Fencing) -> Self {
        Self {
            fencing,
            row: Row::None,
            undone: false,
            in_effect: false,
            times: 0,
        }
    }

    /// Its verdict is still open.
    pub(crate) fn is_open(&self) -> bool {
        self.row == Row::None
    }

    pub(crate) fn is_in_effect(&self) -> bool {
        self.in_effect
    }

    /// How often the step took effect.
    pub(crate) fn times(&self) -> u8 {
        self.times
    }

    pub(crate) fn was_undone(&self) -> bool {
        self.undone
    }

    /// The undo came before the step, which is refused from now on.
    pub(crate) fn is_fenced_off(&self) -> bool {
        self.row == Row::Fenced
    }

    /// Another call of this kind changes nothing any more.
    pub(crate) fn ignores_do(&self) -> bool {
        self.fencing == Fencing::ConsumerLog && self.row != Row::None
    }

    /// Runs the step. `verdict` counts only where it is open.
    pub(crate) fn run_do(&mut self, verdict: Verdict) -> Result<Verdict, String> {
        match self.row {
            Row::Fenced => return Ok(Verdict::No),
            Row::Stored(Verdict::No) => return Ok(Verdict::No),
            Row::Stored(Verdict::Yes) if self.fencing == Fencing::ConsumerLog => {
                return Ok(Verdict::Yes);
            }
            Row::Stored(Verdict::Yes) if self.in_effect => return Ok(Verdict::Yes),
            Row::Stored(Verdict::Yes) | Row::None => {}
        }
        if self.undone {
            return Err("a step without a consumer log ran again after its undo".into());
        }
        self.row = Row::Stored(verdict);
        if verdict == Verdict::Yes {
            self.in_effect = true;
            self.times += 1;
        }
        Ok(verdict)
    }

    /// Runs the undo; doing it twice does nothing.
    pub(crate) fn run_undo(&mut self) {
        if self.fencing == Fencing::ConsumerLog && self.row == Row::None {
            self.row = Row::Fenced;
        }
        self.in_effect = false;
        self.undone = true;
    }
}
