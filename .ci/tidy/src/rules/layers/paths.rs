//! Finds which modules a file names, in `use` trees and in paths.

use crate::rust::Rust;

/// A module named on a line.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::rules) struct Named {
    pub(in crate::rules) line: usize,
    pub(in crate::rules) module: String,
}

/// The top modules of the coordinator that the product code of a file names.
pub(in crate::rules) fn named_modules(path: &str, rust: &Rust) -> Vec<Named> {
    let mut named = named_after(rust, "crate::");
    named.extend(named_after(rust, "amends_coordinator::"));
    let depth = module_depth(path);
    if depth > 0 {
        // As many `super` as there are modules above lead to the root as well.
        named.extend(named_after(rust, &"super::".repeat(depth)));
    }
    named.sort_by_key(|name| name.line);
    named
}

/// The first segment behind each `prefix`, those of a `{group}` one by one.
pub(in crate::rules) fn named_after(rust: &Rust, prefix: &str) -> Vec<Named> {
    let mut text = String::new();
    let mut starts = Vec::new();
    for line in rust.product() {
        starts.push((text.len(), line.number));
        text.push_str(&line.code);
        text.push('\n');
    }
    let line_at = |at: usize| {
        let index = starts.partition_point(|(start, _)| *start <= at);
        starts
            .get(index.saturating_sub(1))
            .map_or(1, |(_, number)| *number)
    };

    let mut named = Vec::new();
    for (at, _) in text.match_indices(prefix) {
        if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let begin = at + prefix.len();
        for (offset, module) in first_segments(&text[begin..]) {
            named.push(Named {
                line: line_at(begin + offset),
                module: module.to_owned(),
            });
        }
    }
    named
}

/// `a` of `a::b`; `a` and `b` of `{a::x, b::{y, z}}`; each with its position.
fn first_segments(text: &str) -> Vec<(usize, &str)> {
    let identifier = |from: usize| {
        let rest = &text[from..];
        let end = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        (end > 0).then(|| (from, &rest[..end]))
    };
    if !text.starts_with('{') {
        return identifier(0).into_iter().collect();
    }
    let mut segments = Vec::new();
    let mut depth = 0_usize;
    let mut expects_segment = false;
    for (at, c) in text.char_indices() {
        match c {
            '{' => {
                depth += 1;
                expects_segment = depth == 1;
            }
            '}' => {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
            ',' => expects_segment = depth == 1,
            c if c.is_whitespace() => {}
            _ if expects_segment => {
                expects_segment = false;
                segments.extend(identifier(at));
            }
            _ => {}
        }
    }
    segments
}

/// How many modules lead from the crate's root to the file's own.
fn module_depth(path: &str) -> usize {
    let inside = path.strip_prefix(super::SRC).unwrap_or(path);
    let parts: Vec<&str> = inside.trim_start_matches('/').split('/').collect();
    match parts.last() {
        Some(&("mod.rs" | "lib.rs" | "main.rs")) => parts.len() - 1,
        _ => parts.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_taken_apart() {
        let check = |text: &str, expected: &[&str]| {
            let found: Vec<&str> = first_segments(text)
                .into_iter()
                .map(|(_, name)| name)
                .collect();
            assert_eq!(found, expected, "{text}");
        };
        check("a::b", &["a"]);
        check("{a::{b, c}, d::e, f}; {g}", &["a", "d", "f"]);
        check("{\n    a,\n    b::c,\n}", &["a", "b"]);
        check("*", &[]);
    }

    #[test]
    fn depth_counts_modules() {
        assert_eq!(module_depth("coordinator/src/store.rs"), 1);
        assert_eq!(module_depth("coordinator/src/store/mod.rs"), 1);
        assert_eq!(module_depth("coordinator/src/store/memory.rs"), 2);
        assert_eq!(module_depth("coordinator/src/main.rs"), 0);
    }
}
