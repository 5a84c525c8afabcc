//! Texts that must not change unnoticed. `AMENDS_UPDATE_GOLDEN=1` rewrites them.

use std::path::Path;

/// Compares with the checked-in file.
pub(crate) fn golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("AMENDS_UPDATE_GOLDEN").is_some_and(|update| update == "1") {
        std::fs::write(&path, found).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    for (line, (expected, found)) in expected.lines().zip(found.lines()).enumerate() {
        assert_eq!(expected, found, "{name}, line {}", line + 1);
    }
    let lengths = (expected.lines().count(), found.lines().count());
    assert_eq!(
        lengths.0, lengths.1,
        "{name}: other number of lines; AMENDS_UPDATE_GOLDEN=1 rewrites it"
    );
}
