//! Splits Rust text into code and string literals and drops the comments.

/// One string literal, of any kind.
#[derive(Debug, PartialEq, Eq)]
pub struct Literal {
    /// The line on which it begins, counted from 1.
    pub line: usize,
    /// What stands between the quotes, escapes as written.
    pub text: String,
}

/// The parts of one file.
#[derive(Debug, Default)]
pub(super) struct Lexed {
    /// One entry per line: no comments, `""` for every literal.
    pub(super) code: Vec<String>,
    pub(super) literals: Vec<Literal>,
}

pub(super) fn lex(text: &str) -> Lexed {
    let mut lexer = Lexer {
        chars: text.chars().collect(),
        at: 0,
        out: Lexed {
            code: vec![String::new()],
            literals: Vec::new(),
        },
    };
    while lexer.at < lexer.chars.len() {
        lexer.step();
    }
    if lexer.out.code.last().is_some_and(String::is_empty) {
        lexer.out.code.pop();
    }
    lexer.out
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    out: Lexed,
}

impl Lexer {
    fn step(&mut self) {
        match (self.peek(0), self.peek(1)) {
            (Some('/'), Some('/')) => self.line_comment(),
            (Some('/'), Some('*')) => self.block_comment(),
            (Some('"'), _) => {
                self.at += 1;
                self.string(None);
            }
            (Some('r'), _) if !self.follows_a_word() && self.raw_hashes().is_some() => {
                let hashes = self.raw_hashes().unwrap_or(0);
                self.at += hashes + 2;
                self.string(Some(hashes));
            }
            (Some('\''), _) => self.quote(),
            (Some(c), _) => {
                self.at += 1;
                self.emit(c);
            }
            (None, _) => {}
        }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn emit(&mut self, c: char) {
        if c == '\n' {
            self.out.code.push(String::new());
        } else if let Some(line) = self.out.code.last_mut() {
            line.push(c);
        }
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|c| c != '\n') {
            self.at += 1;
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => {
                    depth += 1;
                    self.at += 2;
                }
                (Some('*'), Some('/')) => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return;
                    }
                }
                (Some(c), _) => {
                    self.at += 1;
                    if c == '\n' {
                        self.emit(c);
                    }
                }
                (None, _) => return,
            }
        }
    }

    /// Reads up to the closing quote; `hashes` is given for raw strings.
    fn string(&mut self, hashes: Option<usize>) {
        let line = self.out.code.len();
        let mut text = String::new();
        self.emit('"');
        self.emit('"');
        while let Some(c) = self.peek(0) {
            self.at += 1;
            match (c, hashes) {
                ('\\', None) => {
                    text.push(c);
                    if let Some(escaped) = self.peek(0) {
                        text.push(escaped);
                        self.at += 1;
                        if escaped == '\n' {
                            self.emit('\n');
                        }
                    }
                }
                ('"', None) => break,
                ('"', Some(count)) if (0..count).all(|n| self.peek(n) == Some('#')) => {
                    self.at += count;
                    break;
                }
                _ => {
                    text.push(c);
                    if c == '\n' {
                        self.emit('\n');
                    }
                }
            }
        }
        self.out.literals.push(Literal { line, text });
    }

    /// The number of `#` of the raw string that begins here, if one does.
    fn raw_hashes(&self) -> Option<usize> {
        let mut count = 0;
        while self.peek(1 + count) == Some('#') {
            count += 1;
        }
        (self.peek(1 + count) == Some('"')).then_some(count)
    }

    /// `b` and `c` may stand before the `r` of a raw string.
    fn follows_a_word(&self) -> bool {
        let before = |n: usize| self.at.checked_sub(n).map(|at| self.chars[at]);
        let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        match before(1) {
            Some('b' | 'c') => is_part(before(2)),
            c => is_part(c),
        }
    }

    /// A character literal, or the quote of a lifetime.
    fn quote(&mut self) {
        let length = match (self.peek(1), self.peek(2)) {
            (Some('\\'), _) => (3..12).find(|n| self.peek(*n) == Some('\'')),
            (Some(_), Some('\'')) => Some(2),
            _ => None,
        };
        match length {
            Some(length) => {
                self.at += length + 1;
                self.emit('\'');
                self.emit('\'');
            }
            None => {
                self.at += 1;
                self.emit('\'');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, code: &[&str], literals: &[(usize, &str)]) {
        let lexed = lex(text);
        assert_eq!(lexed.code, code, "code of {text:?}");
        let found: Vec<(usize, &str)> = lexed
            .literals
            .iter()
            .map(|literal| (literal.line, literal.text.as_str()))
            .collect();
        assert_eq!(found, literals, "literals of {text:?}");
    }

    #[test]
    fn comments_go_and_literals_are_taken_out() {
        check("a // b\nc", &["a ", "c"], &[]);
        check("a /* b /* c\n */ d */ e", &["a ", " e"], &[]);
        check("f(\"a // b\", x)", &["f(\"\", x)"], &[(1, "a // b")]);
        check("\"a\\\"b\" c", &["\"\" c"], &[(1, "a\\\"b")]);
        check("a\n\"b\nc\" d", &["a", "\"\"", " d"], &[(2, "b\nc")]);
        check("r#\"a\"b\"# c", &["\"\" c"], &[(1, "a\"b")]);
        check("br\"a\\\" c", &["b\"\" c"], &[(1, "a\\")]);
        check("for\"a\"", &["for\"\""], &[(1, "a")]);
    }

    #[test]
    fn characters_are_not_lifetimes() {
        check("'\"' x", &["'' x"], &[]);
        check("'\\'' x", &["'' x"], &[]);
        check("'\\u{1F600}' x", &["'' x"], &[]);
        check("&'a str \"s\"", &["&'a str \"\""], &[(1, "s")]);
        check("'{' {", &["'' {"], &[]);
    }
}
