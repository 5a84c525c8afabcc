//! `?` becomes `$1`, `$2` .. for PostgreSQL.

/// Rewrites each `?` outside literals, quoted names and comments. `??` stands
/// for a question mark that is none of ours (a JSON operator).
#[cfg_attr(not(feature = "postgres"), allow(dead_code))]
pub(crate) fn numbered(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 8);
    let mut number = 0_usize;
    let mut rest = sql;
    while let Some(at) = rest.find(['?', '\'', '"', '-', '/']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let taken = if rest.starts_with("??") {
            out.push('?');
            2
        } else if rest.starts_with('?') {
            number += 1;
            out.push_str(&format!("${number}"));
            1
        } else {
            let length = opaque_length(rest);
            out.push_str(&rest[..length]);
            length
        };
        rest = &rest[taken..];
    }
    out.push_str(rest);
    out
}

/// How much of the text, which begins with a quote, `-` or `/`, is passed on
/// as it is. A doubled quote inside a literal ends one and opens the next,
/// which comes to the same.
fn opaque_length(text: &str) -> usize {
    let end = |from: usize, close: &str| {
        text[from..]
            .find(close)
            .map_or(text.len(), |at| from + at + close.len())
    };
    if text.starts_with('\'') {
        end(1, "'")
    } else if text.starts_with('"') {
        end(1, "\"")
    } else if text.starts_with("--") {
        end(2, "\n")
    } else if text.starts_with("/*") {
        end(2, "*/")
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::numbered;

    #[test]
    fn question_marks_become_numbers_outside_literals_and_comments() {
        let check = |sql: &str, expected: &str| assert_eq!(numbered(sql), expected, "{sql}");
        check("", "");
        check("select 1", "select 1");
        check("select ?", "select $1");
        check(
            "n = n - ? and id = ? or n / ? > 2-1",
            "n = n - $1 and id = $2 or n / $3 > 2-1",
        );
        check("'?' || ?", "'?' || $1");
        check("'it''s ?' || ?", "'it''s ?' || $1");
        check(r#""a?" = ?"#, r#""a?" = $1"#);
        check("? -- why?\n, ?", "$1 -- why?\n, $2");
        check("? /* why? */ , ?", "$1 /* why? */ , $2");
        check("a ?? 'b' and c = ?", "a ? 'b' and c = $1");
        check("'open ?", "'open ?");
        check("ü ? ü", "ü $1 ü");
    }
}
