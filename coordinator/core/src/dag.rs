//! The order of steps: who comes before whom.

use std::collections::VecDeque;

/// Position of a step in its definition.
pub type StepIx = usize;

/// A directed acyclic graph over the steps `0..len`.
#[derive(Debug, Clone)]
pub struct Dag {
    before: Vec<Vec<StepIx>>,
    after: Vec<Vec<StepIx>>,
    ancestors: Vec<Bits>,
}

/// The steps of a cycle, in order; the last one leads back to the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle(pub Vec<StepIx>);

impl Dag {
    /// Builds the graph in which each step comes after the ones listed for it.
    ///
    /// # Errors
    /// The steps of one cycle, if there is any.
    pub fn new(before: Vec<Vec<StepIx>>) -> Result<Self, Cycle> {
        let len = before.len();
        let mut after = vec![Vec::new(); len];
        let mut missing: Vec<usize> = before.iter().map(Vec::len).collect();
        for (step, earlier) in before.iter().enumerate() {
            for &e in earlier {
                after[e].push(step);
            }
        }
        let mut ready: VecDeque<StepIx> = (0..len).filter(|&s| missing[s] == 0).collect();
        let mut ancestors = vec![Bits::new(len); len];
        let mut seen = 0;
        while let Some(step) = ready.pop_front() {
            seen += 1;
            for &next in &after[step] {
                let inherited = ancestors[step].clone();
                ancestors[next].add_all(&inherited);
                ancestors[next].add(step);
                missing[next] -= 1;
                if missing[next] == 0 {
                    ready.push_back(next);
                }
            }
        }
        if seen < len {
            return Err(find_cycle(&before, &missing));
        }
        Ok(Self {
            before,
            after,
            ancestors,
        })
    }

    /// The steps that a step directly comes after.
    #[must_use]
    pub fn before(&self, step: StepIx) -> &[StepIx] {
        &self.before[step]
    }

    /// The steps that directly come after a step.
    #[must_use]
    pub fn after(&self, step: StepIx) -> &[StepIx] {
        &self.after[step]
    }

    /// Whether `earlier` comes before `later`, directly or not.
    #[must_use]
    pub fn is_ancestor(&self, earlier: StepIx, later: StepIx) -> bool {
        self.ancestors[later].has(earlier)
    }
}

/// Walks backwards from any step that never became ready: each of them has an
/// earlier one that never became ready either, so the walk closes a circle.
fn find_cycle(before: &[Vec<StepIx>], missing: &[usize]) -> Cycle {
    let mut path: Vec<StepIx> = Vec::new();
    let mut at = missing.iter().position(|&m| m > 0).unwrap_or(0);
    loop {
        if let Some(start) = path.iter().position(|&p| p == at) {
            let mut cycle = path.split_off(start);
            cycle.reverse();
            return Cycle(cycle);
        }
        path.push(at);
        match before[at].iter().find(|&&e| missing[e] > 0) {
            Some(&earlier) => at = earlier,
            None => return Cycle(path),
        }
    }
}

#[derive(Debug, Clone)]
struct Bits(Vec<u64>);

impl Bits {
    fn new(len: usize) -> Self {
        Self(vec![0; len.div_ceil(64)])
    }
    fn add(&mut self, bit: usize) {
        self.0[bit / 64] |= 1 << (bit % 64);
    }
    fn add_all(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine |= theirs;
        }
    }
    fn has(&self, bit: usize) -> bool {
        self.0[bit / 64] >> (bit % 64) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_ancestors_across_many_words() {
        let chain: Vec<Vec<StepIx>> = (0..200)
            .map(|s| if s == 0 { vec![] } else { vec![s - 1] })
            .collect();
        let dag = Dag::new(chain).unwrap();
        assert!(dag.is_ancestor(0, 199) && !dag.is_ancestor(199, 0) && !dag.is_ancestor(5, 5));
        assert_eq!(
            (dag.before(7), dag.after(7)),
            ([6].as_slice(), [8].as_slice())
        );
    }

    #[test]
    fn names_the_cycle_and_only_the_cycle() {
        let Cycle(mut found) =
            Dag::new(vec![vec![], vec![0, 3], vec![1], vec![2], vec![3]]).unwrap_err();
        found.sort_unstable();
        assert_eq!(found, [1, 2, 3]);
        assert_eq!(Dag::new(vec![vec![0]]).unwrap_err(), Cycle(vec![0]));
    }
}
