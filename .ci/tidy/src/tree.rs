//! The text files of the repository, read once.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

use crate::rust::{self, Rust};

/// Folders that hold nothing of ours.
const SKIPPED: [&str; 2] = [".git", "target"];

/// Larger files are data, not text to be read by people.
const MAX_FILE_BYTES: u64 = 2 * 1024 * 1024;

/// One text file.
#[derive(Debug)]
pub struct File {
    /// Relative to the root, with `/` between the folders.
    pub path: String,
    /// The whole content.
    pub text: String,
    /// The parsed text, for files that end in `.rs`.
    pub rust: Option<Rust>,
}

/// All text files below a root, in the order of their paths.
#[derive(Debug)]
pub struct Tree {
    files: Vec<File>,
    /// Every file and folder, those without text included.
    paths: BTreeSet<String>,
}

impl Tree {
    /// Reads the repository that this crate belongs to.
    pub fn of_this_repository() -> io::Result<Tree> {
        Tree::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
    }

    /// Reads everything below `root`.
    pub fn load(root: &Path) -> io::Result<Tree> {
        let mut texts = Vec::new();
        let mut paths = BTreeSet::new();
        walk(root, "", &mut texts, &mut paths)?;
        Ok(Tree::build(texts, paths))
    }

    /// A tree of the given paths and texts, to test rules with.
    pub fn of(files: &[(&str, &str)]) -> Tree {
        let mut texts = Vec::new();
        let mut paths = BTreeSet::new();
        for (path, text) in files {
            texts.push(((*path).to_owned(), (*text).to_owned()));
            let mut known = *path;
            paths.insert(known.to_owned());
            while let Some((parent, _)) = known.rsplit_once('/') {
                paths.insert(parent.to_owned());
                known = parent;
            }
        }
        Tree::build(texts, paths)
    }

    /// All text files.
    pub fn files(&self) -> impl Iterator<Item = &File> {
        self.files.iter()
    }

    /// The Rust files below `folder`; the empty text stands for the root.
    pub fn rust(&self, folder: &str) -> impl Iterator<Item = (&str, &Rust)> {
        self.files
            .iter()
            .filter(move |file| is_below(&file.path, folder))
            .filter_map(|file| Some((file.path.as_str(), file.rust.as_ref()?)))
    }

    /// The text file with this path.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether there is a file or folder with this path.
    pub fn exists(&self, path: &str) -> bool {
        path.is_empty() || self.paths.contains(path)
    }

    fn build(mut texts: Vec<(String, String)>, paths: BTreeSet<String>) -> Tree {
        texts.sort();
        let mut files: Vec<File> = texts
            .into_iter()
            .map(|(path, text)| File {
                rust: path.ends_with(".rs").then(|| Rust::parse(&path, &text)),
                path,
                text,
            })
            .collect();
        // `#[cfg(test)] mod probe;` makes a test of another file.
        let test_modules: Vec<String> = files
            .iter()
            .filter_map(|file| Some((file, file.rust.as_ref()?)))
            .flat_map(|(file, rust)| {
                let folder = rust::module_folder(&file.path);
                rust.test_modules
                    .iter()
                    .map(move |name| format!("{folder}/{name}"))
            })
            .collect();
        for file in &mut files {
            let is_test = test_modules.iter().any(|module| {
                file.path
                    .strip_prefix(module.as_str())
                    .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
            });
            if let (true, Some(rust)) = (is_test, &mut file.rust) {
                rust.mark_all_as_test();
            }
        }
        Tree { files, paths }
    }
}

/// Whether `path` is `folder` or lies in it.
pub fn is_below(path: &str, folder: &str) -> bool {
    folder.is_empty()
        || path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn walk(
    folder: &Path,
    prefix: &str,
    texts: &mut Vec<(String, String)>,
    paths: &mut BTreeSet<String>,
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        if SKIPPED.contains(&name.as_str()) {
            continue;
        }
        if kind.is_dir() {
            walk(&entry.path(), &format!("{path}/"), texts, paths)?;
        } else if kind.is_file() && entry.metadata()?.len() <= MAX_FILE_BYTES {
            // What is not UTF-8 is not text, and no rule speaks of it.
            if let Ok(text) = fs::read_to_string(entry.path()) {
                texts.push((path.clone(), text));
            }
        }
        paths.insert(path);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_below_its_own_folder_only() {
        assert!(is_below("a/b.rs", "a"));
        assert!(is_below("a/b.rs", ""));
        assert!(is_below("a", "a"));
        assert!(!is_below("ab/c.rs", "a"));
    }

    #[test]
    fn a_module_declared_for_tests_is_test_code() {
        let tree = Tree::of(&[
            ("x/src/lib.rs", "#[cfg(test)]\nmod probe;\nmod real;\n"),
            ("x/src/probe.rs", "fn a() {}\n"),
            ("x/src/probe/deep.rs", "fn a() {}\n"),
            ("x/src/real.rs", "fn a() {}\n"),
        ]);
        let tests: Vec<&str> = tree
            .rust("x")
            .filter(|(_, rust)| rust.lines[0].is_test)
            .map(|(path, _)| path)
            .collect();
        assert_eq!(
            tests,
            ["x/src/lib.rs", "x/src/probe.rs", "x/src/probe/deep.rs"]
        );
    }
}
