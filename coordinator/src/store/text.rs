//! Texts between the coordinator and a database: what all of them can keep, and
//! how a prefix becomes a range.

/// PostgreSQL keeps no NUL in a text; what a participant sends as a reason may
/// contain one. Ids and JSON never do.
pub(super) fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

/// The least text above all that begin with `prefix`, by code points; none when
/// there is no such text. A range, unlike `LIKE`, has no special characters.
pub(super) fn above_prefix(prefix: &str) -> Option<String> {
    let mut above = prefix.to_owned();
    while let Some(last) = above.pop() {
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            above.push(next);
            return Some(above);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_becomes_a_range() {
        let check = |prefix: &str, expected: Option<&str>| {
            assert_eq!(above_prefix(prefix).as_deref(), expected, "{prefix:?}");
        };
        check("", None);
        check("a", Some("b"));
        check("order-1%", Some("order-1&"));
        check("a~", Some("a\u{7f}"));
        check("\u{D7FF}", Some("\u{E000}"));
        check("a\u{10FFFF}", Some("b"));
        check("\u{10FFFF}", None);
    }
}
