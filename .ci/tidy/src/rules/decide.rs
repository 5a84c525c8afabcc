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
            let calls = rust.product().filter(|line| calls_decide(&line.code));
            calls.map(move |line| {
                let message = "only the engine calls decide: send it a command instead";
                Breach::at(path, line.number, message)
            })
        })
        .collect()
}

fn calls_decide(code: &str) -> bool {
    has_call(code, "decide") || has_call(code, "decide_in_place")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::assert_breaches;

    #[test]
    fn decide_belongs_to_the_engine() {
        let text =
            "fn a() { core::decide(&t, c, now); }\nfn b() { decide_in_place(&mut t, c, now); }\n";
        let files = [
            ("coordinator/core/src/saga.rs", text),
            ("coordinator/src/engine/shard.rs", text),
            ("coordinator/src/grpc.rs", text),
        ];
        let expected = ["coordinator/src/grpc.rs:1", "coordinator/src/grpc.rs:2"];
        assert_breaches(check, &files, &expected);
    }
}
