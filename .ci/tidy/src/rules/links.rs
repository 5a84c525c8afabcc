//! Every relative link in a Markdown file leads somewhere, its `#heading` included.

mod markdown;

use crate::Breach;
use crate::tree::Tree;

/// Links without a target.
pub fn check(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in tree.files().filter(|file| file.path.ends_with(".md")) {
        for link in markdown::links(&file.text) {
            if let Err(message) = resolve(tree, &file.path, &link.target) {
                breaches.push(Breach::at(&file.path, link.line, message));
            }
        }
    }
    breaches
}

fn resolve(tree: &Tree, from: &str, target: &str) -> Result<(), String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return Ok(());
    }
    if target.starts_with('/') {
        return Err(format!("{target}: link relative to this file"));
    }
    let (relative, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if relative.is_empty() {
        from.to_owned()
    } else {
        join(from, relative).ok_or_else(|| format!("{target} leads out of the repository"))?
    };
    if !tree.exists(&path) {
        return Err(format!("{target}: there is no {path}"));
    }
    let page = tree.file(&path).filter(|file| file.path.ends_with(".md"));
    let has_anchor = |text: &str| markdown::anchors(text).iter().any(|known| known == anchor);
    if !anchor.is_empty() && page.is_some_and(|page| !has_anchor(&page.text)) {
        return Err(format!("{target}: {path} has no heading #{anchor}"));
    }
    Ok(())
}

/// `docs/b.md` for `../docs/b.md` in `a/x.md`.
fn join(from: &str, relative: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::assert_breaches;

    #[test]
    fn links_are_followed() {
        let text = "# Top `code`\n[a](docs/b.md) [b](docs/b.md#second-part) [c](#top-code) [d](docs)\n\
                    [gone](docs/c.md)\n[no heading](docs/b.md#third)\n[out](../x.md)\n[web](https://x.org/y)\n\
                    ```\n[in code](nowhere)\n```\n`[in code](nowhere)`\n[ref]: nowhere.md\n";
        let files = [
            ("README.md", text),
            ("docs/b.md", "## Second part\n[up](../README.md)\n"),
        ];
        let expected = ["README.md:3", "README.md:4", "README.md:5", "README.md:11"];
        assert_breaches(check, &files, &expected);
    }
}
