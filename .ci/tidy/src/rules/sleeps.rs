//! A test waits for what it needs, never for a time: a sleep is too short on a
//! slow day and too long on all others.

use crate::Breach;
use crate::rust::has_call;
use crate::tree::Tree;

/// Sleeps in tests. A method of that name belongs to a simulation, which moves
/// its own clock.
pub fn check(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (path, rust) in tree.rust("") {
        for line in rust.tests().filter(|line| is_sleep(&line.code)) {
            let message =
                "a test sleeps: await the event itself (a channel, a watch, a state of the API)";
            breaches.push(Breach::at(path, line.number, message));
        }
    }
    breaches
}

fn is_sleep(code: &str) -> bool {
    let code = code.replace(".sleep", "").replace("fn sleep", "");
    has_call(&code, "sleep")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::assert_breaches;

    #[test]
    fn tests_do_not_sleep() {
        let text = "fn a() { tokio::time::sleep(d); }\n#[cfg(test)]\nmod tests {\n    fn b() { sleep(d); }\n}\n";
        let files = [
            ("a/src/lib.rs", text),
            (
                "a/tests/it/main.rs",
                "fn a() {\n    sleep (d);\n    world.sleep(d);\n}\n",
            ),
        ];
        assert_breaches(check, &files, &["a/src/lib.rs:4", "a/tests/it/main.rs:2"]);
    }
}
