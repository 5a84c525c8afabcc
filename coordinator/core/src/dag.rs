//! The order of steps: who comes before whom.

use std::collections::VecDeque;

/// Position of a step in its definition.
pub type StepIx = usize;

/// A directed acyclic graph over the steps `0..len`.
#[derive(Debug, Clone, Default)]
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

    /// Appends a step that comes after these, which are there already.
    pub fn push(&mut self, before: Vec<StepIx>) {
        let step = self.before.len();
        let mut ancestors = Bits::new(step + 1);
        for &earlier in &before {
            ancestors.add_all(&self.ancestors[earlier]);
            ancestors.add(earlier);
            self.after[earlier].push(step);
        }
        self.before.push(before);
        self.after.push(Vec::new());
        self.ancestors.push(ancestors);
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
        // Steps that were appended later are none of its ancestors.
        let word = self.0.get(bit / 64).copied().unwrap_or(0);
        word >> (bit % 64) & 1 == 1
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
    fn a_graph_that_grew_is_as_one_that_was_built() {
        let steps: Vec<Vec<StepIx>> = (0..200)
            .map(|s| if s < 3 { vec![] } else { vec![s - 1, s / 2] })
            .collect();
        let built = Dag::new(steps.clone()).unwrap();
        let mut grown = Dag::default();
        steps.iter().for_each(|before| grown.push(before.clone()));
        for step in 0..200 {
            assert_eq!(built.before(step), grown.before(step));
            assert_eq!(built.after(step), grown.after(step));
            for other in 0..200 {
                let both = (
                    built.is_ancestor(step, other),
                    grown.is_ancestor(step, other),
                );
                assert_eq!(both.0, both.1, "{step} before {other}");
            }
        }
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
