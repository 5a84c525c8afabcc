//! What really happened at the participant of one branch, which keeps a consumer log.

pub(crate) use crate::world::participant::Verdict;

/// The row of the try in the consumer log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Row {
    None,
    Stored(Verdict),
    /// Written by the cancel: the try may never run.
    Fenced,
}

/// The participant of one branch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Participant {
    row: Row,
    confirmed: bool,
    cancelled: bool,
    /// Something is held now.
    held: bool,
    /// How often each effect took place: hold, take, let go.
    times: [u8; 3],
}

impl Participant {
    pub(crate) fn new() -> Self {
        Self {
            row: Row::None,
            confirmed: false,
            cancelled: false,
            held: false,
            times: [0; 3],
        }
    }

    /// Its verdict is still open.
    pub(crate) fn is_open(&self) -> bool {
        self.row == Row::None
    }
    pub(crate) fn was_confirmed(&self) -> bool {
        self.confirmed
    }
    pub(crate) fn was_cancelled(&self) -> bool {
        self.cancelled
    }
    /// The cancel came before the try, which is refused from now on.
    pub(crate) fn is_fenced_off(&self) -> bool {
        self.row == Row::Fenced
    }

    /// Runs the try. `verdict` counts only where it is open.
    pub(crate) fn run_try(&mut self, verdict: Verdict) -> Verdict {
        match self.row {
            Row::Fenced => Verdict::No,
            Row::Stored(first) => first,
            Row::None => {
                self.row = Row::Stored(verdict);
                if verdict == Verdict::Yes {
                    self.held = true;
                    self.times[0] += 1;
                }
                verdict
            }
        }
    }

    /// Runs the confirm; a second time changes nothing.
    pub(crate) fn run_confirm(&mut self) -> Result<(), String> {
        if self.confirmed {
            return Ok(());
        }
        if self.cancelled {
            return Err("confirmed after it was cancelled".into());
        }
        if !self.held {
            return Err(format!("confirmed, but nothing is held: {self:?}"));
        }
        self.confirmed = true;
        self.held = false;
        self.times[1] += 1;
        Ok(())
    }

    /// Runs the cancel; a second time changes nothing.
    pub(crate) fn run_cancel(&mut self) -> Result<(), String> {
        if self.cancelled {
            return Ok(());
        }
        if self.confirmed {
            return Err("cancelled after it was confirmed".into());
        }
        self.cancelled = true;
        if self.row == Row::None {
            self.row = Row::Fenced;
        }
        if self.held {
            self.held = false;
            self.times[2] += 1;
        }
        Ok(())
    }

    /// Taken, once, and nothing else.
    pub(crate) fn is_taken(&self) -> bool {
        !self.held && self.times == [1, 1, 0]
    }

    /// Nothing is held and nothing was taken.
    pub(crate) fn is_as_before(&self) -> bool {
        !self.held && self.times[1] == 0 && self.times[0] == self.times[2] && self.times[0] <= 1
    }
}
