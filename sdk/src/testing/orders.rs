//! All orders of calls up to a length.

use std::fmt;

/// Something that happens, and consists of calls.
pub(super) trait Calls: Copy {
    /// How many.
    fn calls(self) -> usize;
}

/// One thing that happens to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    Do,
    FailingDo,
    Undo,
    DoAndDo,
    DoAndUndo,
    UndoAndUndo,
}

impl Move {
    /// What can happen to a step that has an undo.
    pub(super) const ALL: [Self; 6] = [
        Self::Do,
        Self::FailingDo,
        Self::Undo,
        Self::DoAndDo,
        Self::DoAndUndo,
        Self::UndoAndUndo,
    ];

    /// What can happen to a step that has none.
    pub(super) const FORWARD: [Self; 3] = [Self::Do, Self::FailingDo, Self::DoAndDo];
}

impl Calls for Move {
    fn calls(self) -> usize {
        match self {
            Self::Do | Self::FailingDo | Self::Undo => 1,
            Self::DoAndDo | Self::DoAndUndo | Self::UndoAndUndo => 2,
        }
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Do => "do",
            Self::FailingDo => "do, made to fail after the work",
            Self::Undo => "undo",
            Self::DoAndDo => "do and do at the same time",
            Self::DoAndUndo => "do and undo at the same time",
            Self::UndoAndUndo => "undo and undo at the same time",
        })
    }
}

/// Every sequence of these moves with 1 to `calls` calls, short ones first,
/// so that the first failure is a smallest one.
pub(super) fn orders<M: Calls>(moves: &[M], calls: usize) -> Vec<Vec<M>> {
    let mut by_length: Vec<Vec<Vec<M>>> = vec![vec![Vec::new()]];
    for length in 1..=calls {
        let mut here = Vec::new();
        for last in moves {
            let Some(before) = length.checked_sub(last.calls()) else {
                continue;
            };
            here.extend(
                by_length[before]
                    .iter()
                    .map(|order| [order.as_slice(), &[*last]].concat()),
            );
        }
        by_length.push(here);
    }
    by_length.into_iter().skip(1).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_all_there_once_and_short_ones_first() {
        let count = |calls| orders(&Move::ALL, calls).len();
        assert_eq!(
            [count(1), count(2), count(5)],
            [3, 3 + 12, 3 + 12 + 45 + 171 + 648]
        );
        let all = orders(&Move::ALL, 3);
        let length = |order: &Vec<Move>| order.iter().map(|m| m.calls()).sum::<usize>();
        assert!(all.is_sorted_by_key(length));
        assert!(
            all.iter()
                .enumerate()
                .all(|(at, order)| !all[..at].contains(order))
        );
    }
}
