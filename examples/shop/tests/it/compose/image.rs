//! The Dockerfile.

use super::file::repository_file;

/// Its instructions: word and rest, with continued lines put together.
fn instructions() -> Vec<(String, String)> {
    let text = repository_file("Dockerfile");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let instruction = |line: &str| {
        let (word, rest) = line.trim().split_once(' ')?;
        let rest: Vec<&str> = rest.split_whitespace().collect();
        Some((word.to_owned(), rest.join(" ")))
    };
    joined.lines().filter_map(instruction).collect()
}

fn all(word: &str) -> Vec<String> {
    let found = instructions().into_iter().filter(|(is, _)| is == word);
    found.map(|(_, rest)| rest).collect()
}

/// The numbers of a version.
fn version(text: &str) -> Vec<u32> {
    text.split('.').map(|part| part.parse().unwrap()).collect()
}

#[test]
fn it_is_built_in_two_stages_from_images_with_a_version() {
    let [build, run] = &all("FROM")[..] else {
        panic!("two stages");
    };
    let (rust, system) = build
        .strip_prefix("rust:")
        .unwrap()
        .split_once("-slim-")
        .unwrap();
    assert!(
        version(rust) >= version(env!("CARGO_PKG_RUST_VERSION")),
        "{rust}"
    );
    assert_eq!(version(rust).len(), 3, "{rust}: exactly which");
    let debian = run
        .strip_prefix("debian:")
        .unwrap()
        .strip_suffix("-slim")
        .unwrap();
    let debian = version(debian);
    assert_eq!(debian.len(), 2, "exactly which");
    // The same C library in both.
    assert_eq!((system, debian[0]), ("bookworm AS build", 12));
}

#[test]
fn it_is_built_as_the_lock_file_says_and_has_both_programs() {
    let builds: Vec<_> = all("RUN")
        .into_iter()
        .filter(|run| run.contains("cargo build"))
        .collect();
    let [build] = &builds[..] else {
        panic!("one build");
    };
    for wanted in ["--locked", "--release", "-p amends-coordinator", "-p shop"] {
        assert!(build.contains(wanted), "{wanted}");
    }
    let copied = all("COPY");
    for program in ["amends", "shop"] {
        assert!(build.contains(&format!("target/release/{program}")));
        let copied = copied.iter().any(|copy| {
            copy.starts_with("--from=build ") && copy.contains(&format!("/out/{program} "))
        });
        assert!(copied, "{program}");
    }
}

#[test]
fn it_does_not_run_as_root() {
    let instructions = instructions();
    let last = instructions
        .iter()
        .rposition(|(word, _)| word == "FROM")
        .unwrap();
    let mut users = instructions[last..].iter().rev();
    let (_, user) = users.find(|(word, _)| word == "USER").unwrap();
    let number: u32 = user
        .parse()
        .expect("a number, which shows that it is not root");
    assert!(number >= 10_000);
    let made = format!("--uid {number} ");
    assert!(
        instructions
            .iter()
            .any(|(word, rest)| word == "RUN" && rest.contains(&made))
    );
}

/// What the build reads must reach it; what it must not see, not.
#[test]
fn the_build_sees_what_it_needs() {
    let ignored = repository_file(".dockerignore");
    let ignored: Vec<&str> = ignored
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert!(
        [".env", ".git", "target"]
            .iter()
            .all(|path| ignored.contains(path))
    );
    for needed in [
        "Cargo.lock",
        "migrations",
        "proto",
        "sdk",
        "coordinator",
        "examples",
        ".ci",
    ] {
        assert!(!ignored.contains(&needed), "{needed}");
    }
}
