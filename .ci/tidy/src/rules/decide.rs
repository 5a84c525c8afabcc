//! Only the engine decides: everybody else sends it a command.

use super::layers::{SRC, top_module};
use crate::Breach;
use crate::rust::has_call;
use crate::tree::Tree;

/// Calls of `decide` in the coordinator outside its engine.
pub fn check(tree: &Tree) -> Vec<Breach> {
    let outside = tree
        .rust(SRC)
        .filter(|(path, _)| top_module(path) != "engine");
    outside
        .flat_map(|(path, rust)| {
            let calls = rust.product().filter(|line| has_call(&line.code, "decide"));
            calls.map(move |line| {
                let message = "only the engine calls decide: send it a command instead";
                Breach::at(path, line.number, message)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::assert_breaches;

    #[test]
    fn decide_belongs_to_the_engine() {
        let text = "fn a() { core::decide(&t, c, now); }\n";
        let files = [
            ("coordinator/core/src/saga.rs", text),
            ("coordinator/src/engine/shard.rs", text),
            ("coordinator/src/grpc.rs", text),
        ];
        assert_breaches(check, &files, &["coordinator/src/grpc.rs:1"]);
    }
}
