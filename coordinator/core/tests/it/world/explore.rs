//! Walks through every history of a case, each world once.

use std::collections::HashMap;
use std::rc::Rc;

use super::case::Case;
use super::rare::Rare;
use super::state::World;

/// No history is longer: what may go wrong is bounded by the budget.
const MAX_MOVES: usize = 500;

/// A world that can be walked through, of sagas or of anything else.
pub(crate) trait Explorable: Clone {
    /// One thing that happens.
    type Move: Copy;

    /// Every move that is possible now.
    fn moves(&self) -> Vec<Self::Move>;
    /// Lets a move happen. `Ok(false)`: nothing came of it.
    fn make(&mut self, what: Self::Move, rare: &mut Rare) -> Result<bool, String>;
    /// The same number for worlds with the same future.
    fn fingerprint(&self) -> u64;
    /// Notes what is rare about this world, and judges it.
    fn note(&self, rare: &mut Rare) -> Result<(), String>;
    /// Judges a world in which nothing can happen any more.
    fn judge_last(&self) -> Result<(), String>;
}

/// A history that went wrong.
#[derive(Debug)]
pub(crate) struct Wrong<M> {
    pub(crate) problem: String,
    pub(crate) history: Vec<M>,
}

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Explored {
    /// Different worlds.
    pub(crate) worlds: u64,
    /// Histories from beginning to end, counted one by one.
    pub(crate) histories: u128,
    pub(crate) rare: Rare,
}

/// Walks through every history of the case; the first one that goes wrong ends the walk.
pub(crate) fn explore(
    case: &Case,
    explored: &mut Explored,
) -> Result<(), Wrong<super::moves::Move>> {
    walk_from(World::begin(&Rc::new(case.clone())), explored)
}

/// Walks through every history from a world on.
pub(crate) fn walk_from<W: Explorable>(
    first: Result<W, String>,
    explored: &mut Explored,
) -> Result<(), Wrong<W::Move>> {
    let mut walk = Walk::<W> {
        seen: HashMap::new(),
        rare: std::mem::take(&mut explored.rare),
        path: Vec::new(),
    };
    let result = first.and_then(|world| walk.visit(&world));
    explored.worlds += walk.seen.len() as u64;
    explored.rare = walk.rare;
    match result {
        Ok(histories) => {
            explored.histories = explored.histories.saturating_add(histories);
            Ok(())
        }
        Err(problem) => Err(Wrong {
            problem,
            history: walk.path,
        }),
    }
}

struct Walk<W: Explorable> {
    /// Histories from each world on; `None` while the walk is below it.
    seen: HashMap<u64, Option<u128>>,
    rare: Rare,
    path: Vec<W::Move>,
}

impl<W: Explorable> Walk<W> {
    /// Answers the number of histories from here on.
    fn visit(&mut self, world: &W) -> Result<u128, String> {
        let fingerprint = world.fingerprint();
        match self.seen.get(&fingerprint) {
            Some(Some(histories)) => return Ok(*histories),
            Some(None) => return Err("it goes round in circles".into()),
            None => {}
        }
        if self.path.len() > MAX_MOVES {
            return Err("it goes on without end".into());
        }
        self.seen.insert(fingerprint, None);
        world.note(&mut self.rare)?;
        let mut histories = 0_u128;
        for what in world.moves() {
            let mut next = world.clone();
            self.path.push(what);
            if next.make(what, &mut self.rare)? {
                histories = histories.saturating_add(self.visit(&next)?);
            }
            self.path.pop();
        }
        if histories == 0 {
            world.judge_last()?;
            histories = 1;
        }
        self.seen.insert(fingerprint, Some(histories));
        Ok(histories)
    }
}

impl Explorable for World {
    type Move = super::moves::Move;

    fn moves(&self) -> Vec<Self::Move> {
        World::moves(self)
    }
    fn make(&mut self, what: Self::Move, rare: &mut Rare) -> Result<bool, String> {
        World::make(self, what, rare)
    }
    fn fingerprint(&self) -> u64 {
        World::fingerprint(self)
    }
    fn note(&self, rare: &mut Rare) -> Result<(), String> {
        World::note(self, rare);
        Ok(())
    }
    fn judge_last(&self) -> Result<(), String> {
        if self.end().is_none() {
            return Err("nothing can happen, but it has not ended".into());
        }
        self.judge_log()
    }
}
