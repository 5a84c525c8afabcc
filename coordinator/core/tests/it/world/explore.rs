//! Walks through every history of a case, each world once.

use std::collections::HashMap;
use std::rc::Rc;

use super::case::Case;
use super::moves::Move;
use super::rare::Rare;
use super::state::World;

/// A history that went wrong.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) problem: String,
    pub(crate) history: Vec<Move>,
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
pub(crate) fn explore(case: &Case, explored: &mut Explored) -> Result<(), Wrong> {
    let mut walk = Walk {
        seen: HashMap::new(),
        rare: std::mem::take(&mut explored.rare),
        path: Vec::new(),
    };
    let case = Rc::new(case.clone());
    let result = World::begin(&case).and_then(|world| walk.visit(&world));
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

struct Walk {
    /// Histories from each world on; `None` while the walk is below it.
    seen: HashMap<u64, Option<u128>>,
    rare: Rare,
    path: Vec<Move>,
}

impl Walk {
    /// Answers the number of histories from here on.
    fn visit(&mut self, world: &World) -> Result<u128, String> {
        let fingerprint = world.fingerprint();
        match self.seen.get(&fingerprint) {
            Some(Some(histories)) => return Ok(*histories),
            Some(None) => return Err("it goes round in circles".into()),
            None => {}
        }
        self.seen.insert(fingerprint, None);
        world.note(&mut self.rare);
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
            if world.end().is_none() {
                return Err("nothing can happen, but it has not ended".into());
            }
            world.judge_log()?;
            histories = 1;
        }
        self.seen.insert(fingerprint, Some(histories));
        Ok(histories)
    }
}
