//! Inside the coordinator a module names only modules of the layers below its own:
//! `main -> admin -> app -> {grpc, worker} -> {engine, messages} -> {store, broker, participant} -> {clock, config, cores, crash}`.
//!
//! Tests may name anything, and so may `lib.rs`, which only declares modules.

use crate::Breach;
use crate::tree::Tree;

mod paths;

pub(super) use paths::{Named, named_after, named_modules};

pub(super) const SRC: &str = "coordinator/src";

/// From the top down; modules of one layer do not name each other.
const LAYERS: [&[&str]; 7] = [
    &["main"],
    // The command line is a client of the API; `serve` and `migrate` start the app.
    &["admin"],
    &["app"],
    &["grpc", "worker"],
    &["messages", "engine"],
    &["store", "broker", "participant"],
    &["clock", "config", "cores", "crash"],
];

/// Modules that name one of their own layer or above.
pub fn check(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (path, rust) in tree.rust(SRC) {
        let own = top_module(path);
        if own == "lib" || rust.product().next().is_none() {
            continue;
        }
        let Some(own_layer) = layer(own) else {
            let message =
                format!("module {own} has no layer: give it one in the tidy rule `layers`");
            breaches.push(Breach::at(path, 1, message));
            continue;
        };
        for Named { line, module } in named_modules(path, rust) {
            let Some(other_layer) = layer(&module) else {
                continue; // A type or function of lib.rs; unknown modules are found above.
            };
            if module != own && other_layer <= own_layer {
                let below: Vec<&str> = LAYERS[own_layer + 1..].concat();
                let message = format!(
                    "{own} must not name {module}, only {below:?}: turn the call around or move the code down"
                );
                breaches.push(Breach::at(path, line, message));
            }
        }
    }
    breaches
}

/// `engine` for `coordinator/src/engine/shard.rs`.
pub(super) fn top_module(path: &str) -> &str {
    let inside = path
        .strip_prefix(SRC)
        .unwrap_or(path)
        .trim_start_matches('/');
    let first = inside.split('/').next().unwrap_or(inside);
    first.strip_suffix(".rs").unwrap_or(first)
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::assert_breaches;

    #[test]
    fn names_go_downwards() {
        let files = [
            ("coordinator/src/main.rs", "use amends_coordinator::app;\n"),
            (
                "coordinator/src/app.rs",
                "use crate::{engine, grpc::Server};\n",
            ),
            (
                "coordinator/src/engine/shard.rs",
                "use crate::store::Store;\nuse crate::engine::x;\n",
            ),
            (
                "coordinator/src/store/memory.rs",
                "use super::Store;\nuse crate::clock::Clock;\n",
            ),
        ];
        assert_breaches(check, &files, &[]);
    }

    #[test]
    fn names_upwards_and_sideways_are_found() {
        let files = [
            (
                "coordinator/src/engine/shard.rs",
                "fn a() { crate::grpc::x(); }\n",
            ),
            (
                "coordinator/src/store/memory.rs",
                "use super::super::engine;\n",
            ),
            (
                "coordinator/src/worker.rs",
                "use crate::{\n    clock,\n    admin::{a, b},\n};\n",
            ),
        ];
        let expected = [
            "coordinator/src/engine/shard.rs:1",
            "coordinator/src/store/memory.rs:1",
            "coordinator/src/worker.rs:3",
        ];
        assert_breaches(check, &files, &expected);
    }

    #[test]
    fn tests_name_what_they_like() {
        let text = "#[cfg(test)]\nmod tests {\n    use crate::app;\n}\n";
        assert_breaches(check, &[("coordinator/src/clock.rs", text)], &[]);
    }

    #[test]
    fn a_new_module_must_be_placed() {
        let files = [("coordinator/src/extra.rs", "fn a() {}\n")];
        assert_breaches(check, &files, &["coordinator/src/extra.rs:1"]);
    }
}
