//! SQL lives beside its tables: in the coordinator's store, in the SDK's database
//! files and in the shop's services. Tests may look into any database.

use crate::Breach;
use crate::tree::{Tree, is_below};

/// The last is this crate, which must know the words to look for them.
const MAY_SPEAK_SQL: [&str; 7] = [
    "coordinator/src/store",
    "coordinator/src/broker/embedded",
    "examples/shop/src",
    "sdk/src/consumer_log",
    "sdk/src/outbox",
    "sdk/src/testing",
    ".ci/tidy",
];

/// SQL in string literals where there should be none.
pub fn check(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (path, rust) in tree.rust("") {
        if may_speak_sql(path) {
            continue;
        }
        for literal in rust
            .product_literals()
            .filter(|literal| is_sql(&literal.text))
        {
            let message = "SQL outside the store and the SDK's database files: give this statement a function there";
            breaches.push(Breach::at(path, literal.line, message));
        }
    }
    breaches
}

fn may_speak_sql(path: &str) -> bool {
    let module = path.strip_suffix(".rs").unwrap_or(path);
    let of_a_connection = path
        .strip_prefix("sdk/src/conn")
        .is_some_and(|rest| !rest.is_empty());
    of_a_connection || MAY_SPEAK_SQL.iter().any(|place| is_below(module, place))
}

fn is_sql(text: &str) -> bool {
    let after = |keyword: &str| text.find(keyword).map(|at| &text[at + keyword.len()..]);
    after("SELECT ").is_some()
        || after("INSERT INTO").is_some()
        || after("DELETE FROM").is_some()
        || after("UPDATE ").is_some_and(|rest| rest.contains(" SET") || rest.contains("\nSET"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::assert_breaches;

    #[test]
    fn sql_is_found_outside_its_places() {
        let text = "// SELECT 1\nf(\"SELECT 1\");\ng(\"UPDATE t\n SET a = 1\");\nh(\"UPDATE of a set\");\n\
                    i(\"INSERT INTO t\");\nj(\"DELETE FROM t\");\n#[cfg(test)]\nfn t() { \"SELECT 1\"; }\n";
        let files = [
            ("coordinator/src/grpc.rs", text),
            ("coordinator/src/store/sqlite.rs", text),
            ("coordinator/tests/it/main.rs", text),
            ("examples/shop/src/stock.rs", text),
            ("sdk/src/connection.rs", text),
            ("sdk/src/consumer_log.rs", text),
            ("sdk/src/consumer_log/mysql.rs", text),
        ];
        let expected = ["2", "3", "6", "7"].map(|line| format!("coordinator/src/grpc.rs:{line}"));
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        assert_breaches(check, &files, &expected);
    }
}
