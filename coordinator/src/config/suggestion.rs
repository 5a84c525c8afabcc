//! "Did you mean ...?"

/// Below this similarity (Jaro-Winkler, 0 to 1) nothing is suggested.
const MIN_SIMILARITY: f64 = 0.8;

/// The candidate most like `word`, if any is alike enough.
///
/// Dotted words are compared whole; a word without a section is compared with
/// the last parts, so that `listen` finds `server.listen`. Of equals the first.
pub(crate) fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_lowercase();
    let likeness = |candidate: &'a str| {
        let last = candidate.rsplit('.').next().unwrap_or(candidate);
        let compared = if word.contains('.') { candidate } else { last };
        strsim::jaro_winkler(&word, compared)
    };
    candidates
        .into_iter()
        .map(|candidate| (candidate, likeness(candidate)))
        .filter(|(_, likeness)| *likeness >= MIN_SIMILARITY)
        .reduce(|best, other| if other.1 > best.1 { other } else { best })
        .map(|(candidate, _)| candidate)
}

/// `; did you mean X?`, or nothing.
pub(crate) fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    closest(word, candidates).map_or_else(String::new, |found| format!("; did you mean {found}?"))
}
