//! The caller: what it asks for, and what it has heard.

/// What a caller knows of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Knows {
    /// Not asked for yet.
    Nothing,
    /// Asked for; the answer is not there.
    Asked,
    /// It was done.
    Yes,
    /// It was refused.
    No,
}

/// How the caller was told that its saga ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Told {
    Good,
    Bad,
}

/// The program that a caller runs: waves of steps, each wave at the same time.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) waves: Vec<Vec<usize>>,
    /// Steps whose participants keep no consumer log.
    pub(crate) unfenced: Vec<usize>,
}

impl Program {
    pub(crate) fn steps(&self) -> usize {
        self.waves.iter().map(Vec::len).sum()
    }
}

/// The code in the caller, which outlives the coordinator's crashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Caller {
    pub(crate) knows: Vec<Knows>,
    /// For each step: the steps that were known to be done when it was asked for.
    pub(crate) rests_on: Vec<Vec<usize>>,
    pub(crate) wave: usize,
    pub(crate) alive: bool,
    /// It has asked for an end, this one.
    pub(crate) wants: Option<Told>,
    pub(crate) told: Option<Told>,
}

impl Caller {
    pub(crate) fn new(steps: usize) -> Self {
        Self {
            knows: vec![Knows::Nothing; steps],
            rests_on: vec![Vec::new(); steps],
            wave: 0,
            alive: true,
            wants: None,
            told: None,
        }
    }

    /// It has something to say still.
    pub(crate) fn is_at_it(&self) -> bool {
        self.alive && self.told.is_none()
    }

    pub(crate) fn hears(&mut self, step: usize, program: &Program, knows: Knows) {
        self.knows[step] = knows;
        let wave = &program.waves[self.wave];
        let is_over = |&step: &usize| matches!(self.knows[step], Knows::Yes | Knows::No);
        if wave.iter().all(is_over) {
            self.wave += 1;
        }
    }

    pub(crate) fn asks(&mut self, step: usize) {
        if self.knows[step] == Knows::Nothing {
            let known = (0..self.knows.len()).filter(|&other| self.knows[other] == Knows::Yes);
            self.rests_on[step] = known.collect();
            self.knows[step] = Knows::Asked;
        }
    }
}
