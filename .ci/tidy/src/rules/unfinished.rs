//! What is committed works: nothing to be done later, no test that never runs.

use crate::Breach;
use crate::rust::has_word;
use crate::tree::Tree;

/// Placeholders and ignored tests.
pub fn check(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (path, rust) in tree.rust("") {
        for line in &rust.lines {
            for placeholder in ["todo!", "unimplemented!"] {
                if has_word(&line.code, placeholder) {
                    let message = format!(
                        "{placeholder} is not to be committed: finish it or return an error"
                    );
                    breaches.push(Breach::at(path, line.number, message));
                }
            }
            if line.code.contains("#[ignore") {
                let message =
                    "an ignored test proves nothing: choose slow tests by an environment variable";
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
    fn placeholders_are_found() {
        let text = "// todo!()\ntodo!();\nlet s = \"todo!\";\nunimplemented!(\"x\");\n#[ignore = \"slow\"]\nfn todo() {}\n";
        assert_breaches(check, &[("a.rs", text)], &["a.rs:2", "a.rs:4", "a.rs:5"]);
    }
}
