//! Which crate may depend on which:
//! `examples -> sdk -> {proto, macros}` and `coordinator -> {core, proto}`.
//!
//! The SDK never sees the coordinator or its core. The shop starts a coordinator,
//! so it may depend on it, but only the part that starts things may name it.

use crate::Breach;
use crate::rust::has_word;
use crate::tree::{Tree, is_below};

/// Each crate of the house with those it may depend on, tests included.
const ALLOWED: [(&str, &[&str]); 7] = [
    ("amends-proto", &[]),
    ("amends-core", &[]),
    ("amends-macros", &[]),
    ("amends", &["amends-proto", "amends-macros"]),
    ("amends-coordinator", &["amends-core", "amends-proto"]),
    ("shop", &["amends", "amends-coordinator"]),
    ("amends-tidy", &[]),
];

/// Where the shop may name the coordinator: where it starts one, and where it
/// checks the file by which containers do.
const SHOP_STARTERS: [&str; 4] = [
    "examples/shop/src/main.rs",
    "examples/shop/src/runner.rs",
    "examples/shop/src/runner",
    "examples/shop/tests/it/compose",
];

/// Dependencies in a forbidden direction.
pub fn check(tree: &Tree) -> Vec<Breach> {
    let manifests = tree
        .files()
        .filter(|file| file.path.rsplit('/').next() == Some("Cargo.toml"));
    let mut breaches: Vec<Breach> = manifests
        .flat_map(|file| check_manifest(&file.path, &file.text))
        .collect();
    for (path, rust) in tree.rust("examples/shop") {
        if SHOP_STARTERS.iter().any(|starter| is_below(path, starter)) {
            continue;
        }
        for line in rust
            .lines
            .iter()
            .filter(|line| has_word(&line.code, "amends_coordinator"))
        {
            let message = "only what starts the shop may name the coordinator: use the SDK";
            breaches.push(Breach::at(path, line.number, message));
        }
    }
    breaches
}

fn check_manifest(path: &str, text: &str) -> Vec<Breach> {
    let Some(name) = package_name(text) else {
        return Vec::new(); // The workspace's own manifest.
    };
    let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == name) else {
        let message = format!("unknown crate {name}: say in ALLOWED what it may depend on");
        return vec![Breach::at(path, 1, message)];
    };
    dependencies(text)
        .into_iter()
        .filter(|(_, dependency)| {
            let is_ours = ALLOWED.iter().any(|(known, _)| known == dependency);
            is_ours && *dependency != name && !allowed.contains(dependency)
        })
        .map(|(line, dependency)| {
            let message = format!("{name} must not depend on {dependency}; it may use {allowed:?}");
            Breach::at(path, line, message)
        })
        .collect()
}

fn package_name(text: &str) -> Option<&str> {
    let (_, package) = text.split_once("[package]")?;
    let line = package.lines().find(|line| line.starts_with("name"))?;
    line.split('"').nth(1)
}

/// The names in all dependency sections, with their lines.
fn dependencies(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_section = false;
    for (index, line) in text.lines().enumerate() {
        if let Some(header) = line.trim().strip_prefix('[') {
            let header = header.trim_end_matches(']');
            in_section = header.ends_with("dependencies");
            if let Some((_, name)) = header.rsplit_once("dependencies.") {
                found.push((index + 1, name));
            }
        } else if in_section {
            let end = line.find([' ', '.', '=']).unwrap_or(line.len());
            if end > 0 && !line.starts_with('#') {
                found.push((index + 1, &line[..end]));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::assert_breaches;

    #[test]
    fn the_sdk_does_not_see_the_coordinator() {
        let manifest = "[package]\nname = \"amends\"\n[dependencies]\namends-proto.workspace = true\n\
                        amends-core = { path = \"x\" }\n[dev-dependencies]\namends-coordinator.workspace = true\n\
                        [build-dependencies.amends-core]\npath = \"x\"\n[features]\namends-core = []\n";
        let expected = ["sdk/Cargo.toml:5", "sdk/Cargo.toml:7", "sdk/Cargo.toml:8"];
        assert_breaches(check, &[("sdk/Cargo.toml", manifest)], &expected);
    }

    #[test]
    fn a_new_crate_must_be_placed() {
        let manifest = "[package]\nname = \"amends-extra\"\n";
        assert_breaches(
            check,
            &[("extra/Cargo.toml", manifest)],
            &["extra/Cargo.toml:1"],
        );
    }

    #[test]
    fn only_the_runner_of_the_shop_starts_a_coordinator() {
        let text = "// amends_coordinator\nuse amends_coordinator::app;\n";
        let files = [
            ("examples/shop/src/main.rs", text),
            ("examples/shop/src/order.rs", text),
            ("examples/shop/src/runner/start.rs", text),
        ];
        assert_breaches(check, &files, &["examples/shop/src/order.rs:2"]);
    }
}
