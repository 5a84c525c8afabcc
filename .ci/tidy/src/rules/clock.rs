//! In the coordinator time comes from its clock, so that tests can move it.

use super::layers::SRC;
use crate::Breach;
use crate::rust::has_word;
use crate::tree::Tree;

const NOW: [&str; 3] = ["SystemTime::now", "Instant::now", "Utc::now"];

/// The clock itself, and measuring, which is about the real time.
const MAY_ASK: [&str; 3] = [
    "coordinator/src/clock.rs",
    "coordinator/src/clock/",
    "coordinator/src/admin/bench",
];

/// Reads of the system's clocks in the coordinator.
pub fn check(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (path, rust) in tree.rust(SRC) {
        if MAY_ASK.iter().any(|start| path.starts_with(start)) {
            continue;
        }
        for line in rust.product() {
            if let Some(call) = NOW.iter().find(|call| has_word(&line.code, call)) {
                let message = format!(
                    "{call} outside clock: take `now` as a parameter, or ask the Clock you were given"
                );
                breaches.push(Breach::at(path, line.number, message));
            }
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::assert_breaches;

    #[test]
    fn time_comes_from_the_clock() {
        let text = "let a = Instant::now();\nlet b = std::time::SystemTime::now();\nlet c = clock.now();\n";
        let files = [
            ("coordinator/src/admin/bench_saga.rs", text),
            ("coordinator/src/clock.rs", text),
            ("coordinator/src/engine/shard.rs", text),
            ("sdk/src/client.rs", text),
        ];
        let expected = [
            "coordinator/src/engine/shard.rs:1",
            "coordinator/src/engine/shard.rs:2",
        ];
        assert_breaches(check, &files, &expected);
    }
}
