//! All ways in which a few steps can come after each other.

/// Every acyclic order of `len` steps, one of each kind up to renaming: for
/// each step the steps directly before it.
pub(crate) fn shapes(len: usize) -> Vec<Vec<Vec<usize>>> {
    let pairs: Vec<(usize, usize)> = (0..len)
        .flat_map(|later| (0..later).map(move |earlier| (earlier, later)))
        .collect();
    let orders = permutations(len);
    let mut seen = std::collections::HashSet::new();
    let mut found = Vec::new();
    for chosen in 0..1_u32 << pairs.len() {
        let edges: Vec<_> = pairs
            .iter()
            .enumerate()
            .filter(|(bit, _)| chosen >> bit & 1 == 1)
            .map(|(_, pair)| *pair)
            .collect();
        let smallest = orders.iter().map(|order| {
            let mut renamed: Vec<_> = edges.iter().map(|&(a, b)| (order[a], order[b])).collect();
            renamed.sort_unstable();
            renamed
        });
        if seen.insert(smallest.min()) {
            let before = |later| {
                let mine = edges.iter().filter(move |(_, to)| *to == later);
                mine.map(|(from, _)| *from).collect()
            };
            found.push((0..len).map(before).collect());
        }
    }
    found
}

fn permutations(len: usize) -> Vec<Vec<usize>> {
    if len == 0 {
        return vec![Vec::new()];
    }
    let longer = |order: Vec<usize>| {
        (0..len).map(move |at| {
            let mut order = order.clone();
            order.insert(at, len - 1);
            order
        })
    };
    permutations(len - 1).into_iter().flat_map(longer).collect()
}

/// Every list of `len` items out of `choices`.
pub(crate) fn lists<T: Copy>(choices: &[T], len: usize) -> Vec<Vec<T>> {
    (0..len).fold(vec![Vec::new()], |lists, _| {
        let longer = |list: Vec<T>| {
            choices.iter().map(move |&choice| {
                let mut list = list.clone();
                list.push(choice);
                list
            })
        };
        lists.into_iter().flat_map(longer).collect()
    })
}

#[test]
fn there_are_as_many_shapes_as_the_books_say() {
    // OEIS A003087: acyclic digraphs with n unlabelled nodes.
    assert_eq!([1, 2, 3, 4].map(|len| shapes(len).len()), [1, 2, 6, 31]);
}
