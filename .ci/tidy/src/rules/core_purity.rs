//! The core computes: no async, no clock, no randomness, no input or output, no logs.

use crate::Breach;
use crate::rust::has_word;
use crate::tree::Tree;

const FORBIDDEN: [&str; 20] = [
    "async",
    "await",
    "tokio",
    "futures_util",
    "Instant::now",
    "SystemTime::now",
    "rand",
    "uuid",
    "getrandom",
    "print!",
    "println!",
    "eprint!",
    "eprintln!",
    "dbg!",
    "tracing",
    "std::fs",
    "std::net",
    "std::env",
    "std::io",
    "std::thread",
];

/// Impure code in the core; its tests may print.
pub fn check(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (path, rust) in tree.rust("coordinator/core/src") {
        for line in rust.product() {
            for word in FORBIDDEN
                .into_iter()
                .filter(|word| has_word(&line.code, word))
            {
                let message = format!(
                    "`{word}` in the core: pass the value in, or return an effect that asks for it"
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
    fn the_core_only_computes() {
        let text = "// async\nasync fn a() {}\nlet t = std::time::Instant::now();\nprintln!(\"\");\n\
                    let operand = brand;\nconst A: &str = \"tokio\";\n#[cfg(test)]\nfn b() { println!(\"\"); }\n";
        let expected = [
            "coordinator/core/src/saga.rs:2",
            "coordinator/core/src/saga.rs:3",
            "coordinator/core/src/saga.rs:4",
        ];
        assert_breaches(check, &[("coordinator/core/src/saga.rs", text)], &expected);
        assert_breaches(check, &[("coordinator/src/engine.rs", text)], &[]);
    }
}
