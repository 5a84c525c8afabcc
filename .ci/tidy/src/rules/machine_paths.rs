//! Nothing in the repository knows on which machine, or in whose home, it was written.

use crate::Breach;
use crate::tree::Tree;

/// Written in two parts, so that this file keeps its own rule.
const HOMES: [&str; 3] = [
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
];

/// Paths of home folders, in any text file.
pub fn check(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in tree.files() {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(home) = HOMES.iter().find(|home| names_folder(line, home)) {
                let message = format!("{home} is a folder of one machine: use a relative path");
                breaches.push(Breach::at(&file.path, index + 1, message));
            }
        }
    }
    breaches
}

/// The folder at the start of a path; inside an address it is none.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder)
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "-_.}".contains(c)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::assert_breaches;

    #[test]
    fn homes_are_found_and_addresses_are_not() {
        let home = HOMES[1];
        let text = format!("a\ncd {home}me\nhttps://example.org{home}page\n");
        assert_breaches(check, &[("docs/a.md", &text)], &["docs/a.md:2"]);
    }
}
