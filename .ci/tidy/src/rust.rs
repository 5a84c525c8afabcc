//! Just enough of Rust's grammar to tell code from comments, literals and tests.

mod lexer;

pub use lexer::Literal;

/// One Rust file.
#[derive(Debug)]
pub struct Rust {
    /// Every line of the file.
    pub lines: Vec<Line>,
    /// Every string literal.
    pub literals: Vec<Literal>,
    /// The names of modules declared as `#[cfg(test)] mod name;`.
    pub test_modules: Vec<String>,
}

/// One line without its comments, and with its string literals emptied.
#[derive(Debug)]
pub struct Line {
    /// Counted from 1.
    pub number: usize,
    /// What is left of the line.
    pub code: String,
    /// Whether the line is compiled for tests only.
    pub is_test: bool,
}

impl Rust {
    /// Parses the file at `path`; broken code gives a useless result, no error.
    pub fn parse(path: &str, text: &str) -> Rust {
        let lexed = lexer::lex(text);
        let (marks, test_modules) = find_tests(&lexed.code);
        let whole_file = is_test_path(path);
        let lines = lexed
            .code
            .into_iter()
            .zip(marks)
            .enumerate()
            .map(|(index, (code, is_test))| Line {
                number: index + 1,
                code,
                is_test: is_test || whole_file,
            })
            .collect();
        Rust {
            lines,
            literals: lexed.literals,
            test_modules,
        }
    }

    /// The lines that are compiled into the product.
    pub fn product(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| !line.is_test)
    }

    /// The lines that are compiled for tests only.
    pub fn tests(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.is_test)
    }

    /// The string literals in the product.
    pub fn product_literals(&self) -> impl Iterator<Item = &Literal> {
        self.literals.iter().filter(|literal| {
            self.lines
                .get(literal.line - 1)
                .is_some_and(|line| !line.is_test)
        })
    }

    /// Says that the whole file is compiled for tests only.
    pub fn mark_all_as_test(&mut self) {
        for line in &mut self.lines {
            line.is_test = true;
        }
    }
}

/// Whether `code` has `word` as a whole word, `::` and `!` being no part of it.
pub fn has_word(code: &str, word: &str) -> bool {
    find_word(code, word).is_some()
}

/// Whether `code` calls (or defines) a function of this very name.
pub fn has_call(code: &str, name: &str) -> bool {
    let mut rest = code;
    while let Some(at) = find_word(rest, name) {
        rest = &rest[at + name.len()..];
        if rest.trim_start().starts_with('(') {
            return true;
        }
    }
    false
}

/// The folder in which the submodules of the file at `path` live.
pub fn module_folder(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    match name.strip_suffix(".rs") {
        Some("lib" | "main" | "mod") | None => folder.to_owned(),
        Some(stem) => format!("{folder}/{stem}"),
    }
}

fn find_word(code: &str, word: &str) -> Option<usize> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word)
        .find(|(at, _)| {
            !code[..*at].ends_with(is_part) && !code[at + word.len()..].starts_with(is_part)
        })
        .map(|(at, _)| at)
}

/// Whole files of tests, by where they lie and how they are called.
fn is_test_path(path: &str) -> bool {
    let mut parts: Vec<&str> = path.split('/').collect();
    let name = parts.pop().unwrap_or_default();
    parts
        .iter()
        .any(|folder| *folder == "tests" || *folder == "benches")
        || name == "tests.rs"
        || name.ends_with("_tests.rs")
}

/// For each line whether it belongs to an item under `#[cfg(test)]`; and the
/// modules so declared whose text is in another file.
fn find_tests(code: &[String]) -> (Vec<bool>, Vec<String>) {
    let mut marks = vec![false; code.len()];
    let mut modules = Vec::new();
    let mut index = 0;
    while index < code.len() {
        if !(code[index].contains("#[cfg(test)]") || code[index].contains("#[cfg(all(test")) {
            index += 1;
            continue;
        }
        let end = item_end(code, index);
        let item = code[index..=end].join(" ");
        if let Some(name) = item.trim_end().strip_suffix(';').and_then(module_name) {
            modules.push(name);
        }
        marks[index..=end].fill(true);
        index = end + 1;
    }
    (marks, modules)
}

/// The last line of the item that starts at line `start`: where its braces are
/// closed, or where a semicolon ends it before any was opened.
fn item_end(code: &[String], start: usize) -> usize {
    let mut depth = 0_usize;
    for (index, line) in code.iter().enumerate().skip(start) {
        for c in line.chars() {
            match c {
                '{' | '[' | '(' => depth += 1,
                '}' | ']' | ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 && (c == '}' || c == ';') {
                return index;
            }
        }
    }
    code.len() - 1
}

fn module_name(item: &str) -> Option<String> {
    let (before, name) = item.rsplit_once(' ')?;
    before.ends_with("mod").then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole() {
        assert!(has_call("core::decide(&t)", "decide"));
        assert!(has_call("x.decide (t)", "decide"));
        assert!(!has_call(
            "undecide(t); decided(t); let decide = 1;",
            "decide"
        ));
        assert!(has_call("decided(); decide()", "decide"));
        assert!(has_word("use tokio::time", "tokio"));
        assert!(!has_word("tokio_like", "tokio"));
    }

    #[test]
    fn test_items_are_marked_to_their_end() {
        let rust = Rust::parse(
            "a/src/lib.rs",
            "fn real() {}\n#[cfg(test)]\nmod tests {\n    fn a() { '{'; }\n}\nfn more() {}\n\
             #[cfg(test)]\nuse x::{y, z};\nfn last() {}\n#[cfg(test)] mod far;\n",
        );
        let marked: Vec<usize> = rust.tests().map(|line| line.number).collect();
        assert_eq!(marked, [2, 3, 4, 5, 7, 8, 10]);
        assert_eq!(rust.test_modules, ["far"]);
    }

    #[test]
    fn test_files_are_known_by_path() {
        for path in [
            "sdk/tests/it/main.rs",
            "a/src/saga/tests.rs",
            "a/src/b/tests/c.rs",
        ] {
            assert!(is_test_path(path), "{path}");
        }
        for path in ["sdk/src/testing/fence.rs", "a/src/contests.rs"] {
            assert!(!is_test_path(path), "{path}");
        }
    }
}
