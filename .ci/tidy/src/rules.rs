//! One module per rule, each with `check` and its own test that a planted breach
//! is found.

pub mod clock;
pub mod core_purity;
pub mod crate_direction;
pub mod decide;
pub mod file_length;
pub mod layers;
pub mod links;
pub mod machine_paths;
pub mod merged;
pub mod sleeps;
pub mod sql;
pub mod stores;
pub mod unfinished;

/// Checks a rule against files given as text: `expected` are the breaches as
/// `path:line`.
#[cfg(test)]
fn assert_breaches(
    rule: fn(&crate::tree::Tree) -> Vec<crate::Breach>,
    files: &[(&str, &str)],
    expected: &[&str],
) {
    let found: Vec<String> = rule(&crate::tree::Tree::of(files))
        .iter()
        .map(|breach| format!("{}:{}", breach.path, breach.line))
        .collect();
    assert_eq!(found, expected, "in {files:?}");
}
