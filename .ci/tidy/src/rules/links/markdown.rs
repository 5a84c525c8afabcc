//! The little of Markdown that links need.

/// A link as written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// Counted from 1.
    pub(super) line: usize,
    /// The address, without title.
    pub(super) target: String,
}

/// All links and images, inline and by reference.
pub(super) fn links(text: &str) -> Vec<Link> {
    let mut found = Vec::new();
    for (line, content) in prose(text) {
        let content = without_code(content);
        let mut targets: Vec<&str> = content
            .match_indices("](")
            .filter_map(|(at, _)| content[at + 2..].split(')').next())
            .collect();
        if let Some((label, target)) = content.trim_start().split_once("]: ")
            && label.starts_with('[')
        {
            targets.push(target);
        }
        for target in targets {
            let address = target.split_whitespace().next().unwrap_or_default();
            found.push(Link {
                line,
                target: address.trim_matches(['<', '>']).to_owned(),
            });
        }
    }
    found
}

/// The anchors that headings get on the usual hosts, and those set by hand.
pub(super) fn anchors(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (_, content) in prose(text) {
        let title = content.trim_start_matches('#');
        if title.len() < content.len() && title.starts_with(' ') {
            let base = slug(title.trim());
            let mut anchor = base.clone();
            let mut copy = 0;
            while found.contains(&anchor) {
                copy += 1;
                anchor = format!("{base}-{copy}");
            }
            found.push(anchor);
        }
        for attribute in ["id=\"", "name=\""] {
            for (at, _) in content.match_indices(attribute) {
                let rest = &content[at + attribute.len()..];
                found.extend(rest.split('"').next().map(str::to_owned));
            }
        }
    }
    found
}

/// The numbered lines outside of code blocks.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence: Option<&str> = None;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let trimmed = line.trim_start();
        let mark = ["```", "~~~"]
            .into_iter()
            .find(|mark| trimmed.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, None) => return Some((index + 1, line)),
            _ => {}
        }
        None
    })
}

/// The line without its `code`.
fn without_code(line: &str) -> String {
    let pieces: Vec<&str> = line.split('`').collect();
    if pieces.len().is_multiple_of(2) {
        return line.to_owned(); // An odd backtick opens nothing.
    }
    pieces.into_iter().step_by(2).collect()
}

/// Lower case, words joined by hyphens, punctuation and link targets left out.
fn slug(title: &str) -> String {
    let mut plain = String::new();
    let mut rest = title;
    while let Some((before, after)) = rest.split_once("](") {
        plain.push_str(before);
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    plain.push_str(rest);
    plain
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_become_anchors() {
        let text = "# One: two, `three`!\n## A [link](x.md) here\n## Same\n## Same\n```\n# no\n```\n#no\n<a id=\"own\">\n";
        let expected = ["one-two-three", "a-link-here", "same", "same-1", "own"];
        assert_eq!(anchors(text), expected);
    }

    #[test]
    fn targets_come_without_titles() {
        let targets: Vec<String> = links("[a](b.md \"title\") ![c](<d.png>)\n")
            .into_iter()
            .map(|link| link.target)
            .collect();
        assert_eq!(targets, ["b.md", "d.png"]);
    }
}
