//! A merge is finished before it is committed.

use crate::Breach;
use crate::tree::Tree;

/// What git writes around both sides of a conflict; a space follows.
const SIGN_WIDTH: usize = 7;

/// The signs of a conflict that nobody decided.
pub fn check(tree: &Tree) -> Vec<Breach> {
    let begins = ['<', '>', '|'].map(|sign| format!("{} ", String::from(sign).repeat(SIGN_WIDTH)));
    let mut breaches = Vec::new();
    for file in tree.files() {
        for (number, line) in (1..).zip(file.text.lines()) {
            if begins.iter().any(|begin| line.starts_with(begin)) {
                let message = "the sign of an unfinished merge: decide, and remove it";
                breaches.push(Breach::at(&file.path, number, message));
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
    fn conflicts_are_found() {
        let [ours, theirs] = ["<", ">"].map(|sign| sign.repeat(SIGN_WIDTH));
        let text = format!("a\n{ours} HEAD\nb\n=======\nc\n{theirs} 1234 (why)\n");
        let title = format!("Title\n=======\n {ours} quoted\n");
        let files = [("a.md", text.as_str()), ("b.md", title.as_str())];
        assert_breaches(check, &files, &["a.md:2", "a.md:6"]);
    }
}
