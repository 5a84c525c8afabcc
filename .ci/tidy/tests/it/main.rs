//! Every house rule, applied to this repository.

#![allow(clippy::expect_used)]

use std::sync::LazyLock;

use amends_tidy::tree::Tree;
use amends_tidy::{Breach, rules};

static REPOSITORY: LazyLock<Tree> =
    LazyLock::new(|| Tree::of_this_repository().expect("the repository is readable"));

fn assert_kept(rule: fn(&Tree) -> Vec<Breach>) {
    let breaches: Vec<String> = rule(&REPOSITORY).iter().map(Breach::to_string).collect();
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

macro_rules! keep {
    ($($rule:ident),+ $(,)?) => {
        $(
            #[test]
            fn $rule() {
                assert_kept(rules::$rule::check);
            }
        )+
    };
}

keep!(
    clock,
    core_purity,
    crate_direction,
    decide,
    file_length,
    layers,
    links,
    machine_paths,
    merged,
    sleeps,
    sql,
    stores,
    unfinished,
);

/// A rule that sees no files would be kept for ever.
#[test]
fn the_repository_is_seen() {
    let paths: Vec<&str> = REPOSITORY.files().map(|file| file.path.as_str()).collect();
    for path in [
        "Cargo.toml",
        "coordinator/core/src/lib.rs",
        "sdk/Cargo.toml",
        "test",
    ] {
        assert!(
            paths.contains(&path),
            "{path} is not among {} files",
            paths.len()
        );
    }
}
