//! From characters to words, values and signs.

use super::error::BadSql;
use super::value::Number;

/// A token and where it begins, counted in characters from 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spotted {
    pub(super) at: usize,
    pub(super) token: Token,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A plain word: a keyword or a name.
    Word(String),
    /// A name in double quotes.
    Quoted(String),
    /// A text in single quotes.
    Text(String),
    Number(Number),
    Sign(Sign),
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Open,
    Close,
    Comma,
    Plus,
    Minus,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Token {
    /// For messages.
    pub(super) fn show(&self) -> String {
        match self {
            Self::Word(word) => word.clone(),
            Self::Quoted(name) => format!("\"{name}\""),
            Self::Text(text) => format!("'{text}'"),
            Self::Number(number) => number.to_string(),
            Self::Sign(sign) => sign.as_str().to_owned(),
            Self::End => "the end".to_owned(),
        }
    }
}

impl Sign {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "(",
            Self::Close => ")",
            Self::Comma => ",",
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// All tokens; the last one is [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Spotted>, BadSql> {
    let mut scanner = Scanner {
        chars: text.chars().collect(),
        next: 0,
    };
    let mut found = Vec::new();
    loop {
        scanner.skip_while(char::is_whitespace);
        let at = scanner.next + 1;
        let token = scanner.token(at)?;
        let is_end = token == Token::End;
        found.push(Spotted { at, token });
        if is_end {
            return Ok(found);
        }
    }
}

struct Scanner {
    chars: Vec<char>,
    next: usize,
}

impl Scanner {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.next + ahead).copied()
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek(0).is_some_and(&wanted) {
            self.next += 1;
        }
    }

    fn since(&self, start: usize) -> String {
        self.chars[start..self.next].iter().collect()
    }

    fn token(&mut self, at: usize) -> Result<Token, BadSql> {
        let Some(first) = self.peek(0) else {
            return Ok(Token::End);
        };
        let second = self.peek(1);
        if is_word_start(first) {
            let start = self.next;
            self.skip_while(|c| is_word_start(c) || c.is_numeric() || c == '.');
            return Ok(Token::Word(self.since(start)));
        }
        if first.is_ascii_digit() || (first == '.' && second.is_some_and(|c| c.is_ascii_digit())) {
            return self.number(at);
        }
        match first {
            '\'' => Ok(Token::Text(self.quoted(at, first)?)),
            '"' => Ok(Token::Quoted(self.quoted(at, first)?)),
            _ => self.sign(at, first, second).map(Token::Sign),
        }
    }

    /// Digits, with a fraction and an exponent where there are such.
    fn number(&mut self, at: usize) -> Result<Token, BadSql> {
        let start = self.next;
        self.skip_while(|c| c.is_ascii_digit());
        if self.peek(0) == Some('.') {
            self.next += 1;
            self.skip_while(|c| c.is_ascii_digit());
        }
        if matches!(self.peek(0), Some('e' | 'E')) {
            let signed = matches!(self.peek(1), Some('+' | '-'));
            self.next += 1 + usize::from(signed);
            self.skip_while(|c| c.is_ascii_digit());
        }
        // `5x` is neither a number nor a name.
        self.skip_while(|c| is_word_start(c) || c.is_numeric() || c == '.');
        let text = self.since(start);
        let number = Number::parse(&text).map(Token::Number);
        number.ok_or(BadSql::Number { at, text })
    }

    /// Up to the closing quote; a doubled one stands for itself.
    fn quoted(&mut self, at: usize, quote: char) -> Result<String, BadSql> {
        let mut content = String::new();
        self.next += 1;
        loop {
            match (self.peek(0), self.peek(1)) {
                (None, _) => return Err(BadSql::Unterminated { at, quote }),
                (Some(c), Some(again)) if c == quote && again == quote => {
                    content.push(quote);
                    self.next += 2;
                }
                (Some(c), _) if c == quote => {
                    self.next += 1;
                    return Ok(content);
                }
                (Some(c), _) => {
                    content.push(c);
                    self.next += 1;
                }
            }
        }
    }

    fn sign(&mut self, at: usize, first: char, second: Option<char>) -> Result<Sign, BadSql> {
        let (sign, length) = match (first, second) {
            ('<', Some('>')) | ('!', Some('=')) => (Sign::NotEqual, 2),
            ('<', Some('=')) => (Sign::LessOrEqual, 2),
            ('>', Some('=')) => (Sign::GreaterOrEqual, 2),
            ('<', _) => (Sign::Less, 1),
            ('>', _) => (Sign::Greater, 1),
            ('=', _) => (Sign::Equal, 1),
            ('(', _) => (Sign::Open, 1),
            (')', _) => (Sign::Close, 1),
            (',', _) => (Sign::Comma, 1),
            ('+', _) => (Sign::Plus, 1),
            ('-', _) => (Sign::Minus, 1),
            (found, _) => {
                let hint = match found {
                    '|' | '&' => "; write OR and AND, tags are another kind of filter",
                    '*' | '/' | '%' => "; there is no arithmetic",
                    _ => "",
                };
                return Err(BadSql::Character { at, found, hint });
            }
        };
        self.next += length;
        Ok(sign)
    }
}

fn is_word_start(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '_' | '$')
}
