//! A file is read in one go: at most 500 lines.

use crate::Breach;
use crate::tree::Tree;

/// The limit, in lines.
pub const MAX_LINES: usize = 500;

/// Rust files that are too long.
pub fn check(tree: &Tree) -> Vec<Breach> {
    tree.rust("")
        .filter(|(_, rust)| rust.lines.len() > MAX_LINES)
        .map(|(path, rust)| {
            let length = rust.lines.len();
            Breach::at(
                path,
                MAX_LINES + 1,
                format!("{length} lines, the limit is {MAX_LINES}: split it by job or by layer"),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::assert_breaches;

    #[test]
    fn the_limit_itself_is_fine() {
        let fits = "// x\n".repeat(MAX_LINES);
        let long = "// x\n".repeat(MAX_LINES + 1);
        let files = [("a.rs", fits.as_str()), ("b.rs", &long), ("c.md", &long)];
        assert_breaches(check, &files, &["b.rs:501"]);
    }
}
