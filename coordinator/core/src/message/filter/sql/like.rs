//! LIKE: `%` is any text, `_` any one character.

use super::MAX_SQL_PATTERN_CHARS;

/// A pattern, its escapes resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Piece>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Exactly(char),
    One,
    Any,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadPattern {
    TooLong,
    /// The escape character stands before something that needs none.
    Escape,
}

impl Pattern {
    pub(super) fn new(text: &str, escape: Option<char>) -> Result<Self, BadPattern> {
        if text.chars().count() > MAX_SQL_PATTERN_CHARS {
            return Err(BadPattern::TooLong);
        }
        let mut pieces = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            pieces.push(match c {
                c if Some(c) == escape => match chars.next() {
                    Some(c) if matches!(c, '%' | '_') || Some(c) == escape => Piece::Exactly(c),
                    _ => return Err(BadPattern::Escape),
                },
                '%' => Piece::Any,
                '_' => Piece::One,
                c => Piece::Exactly(c),
            });
        }
        Ok(Self(pieces))
    }

    /// Whether the whole text fits. Time: at most the product of both lengths.
    pub(super) fn matches(&self, text: &str) -> bool {
        let pieces = &self.0;
        let mut rest = text.chars();
        let mut next = 0;
        // The last `%`: what follows it, and the text that it has not swallowed yet.
        let mut back = None;
        loop {
            if let Some(Piece::Any) = pieces.get(next) {
                next += 1;
                back = Some((next, rest.clone()));
                continue;
            }
            let fits = match (pieces.get(next), rest.next()) {
                (None, None) => return true,
                (Some(Piece::Exactly(wanted)), Some(c)) => *wanted == c,
                (Some(Piece::One), Some(_)) => true,
                _ => false,
            };
            if fits {
                next += 1;
                continue;
            }
            // Let the last `%` swallow one more.
            let Some((after, from)) = &mut back else {
                return false;
            };
            if from.next().is_none() {
                return false;
            }
            next = *after;
            rest = from.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By definition: tries every split.
    fn matches_slowly(pieces: &[Piece], text: &[char]) -> bool {
        match pieces.split_first() {
            None => text.is_empty(),
            Some((Piece::Any, rest)) => {
                (0..=text.len()).any(|taken| matches_slowly(rest, &text[taken..]))
            }
            Some((piece, rest)) => text.split_first().is_some_and(|(c, after)| {
                (*piece == Piece::One || *piece == Piece::Exactly(*c))
                    && matches_slowly(rest, after)
            }),
        }
    }

    /// All texts of up to so many of these characters.
    fn all(alphabet: &[char], most: usize) -> Vec<String> {
        let mut texts = vec![String::new()];
        let mut from = 0;
        for _ in 0..most {
            let longest = texts[from..].to_vec();
            from = texts.len();
            for text in longest {
                texts.extend(alphabet.iter().map(|c| format!("{text}{c}")));
            }
        }
        texts
    }

    #[test]
    fn every_short_pattern_agrees_with_the_definition() {
        let texts = all(&['a', 'ä'], 5);
        for pattern in all(&['a', 'ä', '%', '_'], 5) {
            let pattern = Pattern::new(&pattern, None).expect("a pattern");
            for text in &texts {
                let chars: Vec<char> = text.chars().collect();
                let expected = matches_slowly(&pattern.0, &chars);
                assert_eq!(pattern.matches(text), expected, "{pattern:?} {text:?}");
            }
        }
    }

    #[test]
    fn escapes() {
        let pattern = |text| Pattern::new(text, Some('!'));
        assert!(pattern("100!%").is_ok_and(|p| p.matches("100%") && !p.matches("1000")));
        assert!(pattern("a!_b!!%").is_ok_and(|p| p.matches("a_b!c") && !p.matches("axb!c")));
        assert_eq!(pattern("a!b"), Err(BadPattern::Escape));
        assert_eq!(pattern("a!"), Err(BadPattern::Escape));
        let long = "a".repeat(MAX_SQL_PATTERN_CHARS + 1);
        assert_eq!(pattern(&long), Err(BadPattern::TooLong));
    }
}
