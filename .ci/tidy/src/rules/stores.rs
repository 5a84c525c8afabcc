//! Which store is in use is known to `app` alone; everything else sees the trait.

use super::layers::{Named, SRC, named_after, top_module};
use crate::Breach;
use crate::tree::Tree;

const CONCRETE: [&str; 4] = ["sqlite", "postgres", "mysql", "memory"];
const MAY_NAME_THEM: [&str; 2] = ["app", "store"];

/// Concrete stores named outside `app`, `store` and tests.
pub fn check(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (path, rust) in tree.rust(SRC) {
        if MAY_NAME_THEM.contains(&top_module(path)) {
            continue;
        }
        for prefix in ["crate::store::", "amends_coordinator::store::", "store::"] {
            for Named { line, module } in named_after(rust, prefix) {
                if CONCRETE.contains(&module.as_str()) {
                    let message = format!(
                        "store::{module} is named outside app: take the store as a trait object or type parameter"
                    );
                    breaches.push(Breach::at(path, line, message));
                }
            }
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::assert_breaches;

    #[test]
    fn only_app_chooses_a_store() {
        let text = "use crate::store::sqlite::Sqlite;\nuse crate::store::Store;\n";
        let files = [
            ("coordinator/src/app.rs", text),
            ("coordinator/src/engine.rs", text),
            (
                "coordinator/src/grpc/x.rs",
                "use crate::store::{Store, memory};\n",
            ),
            ("coordinator/src/store/mod.rs", text),
            (
                "coordinator/src/worker.rs",
                "#[cfg(test)]\nuse crate::store::memory;\n",
            ),
        ];
        let expected = ["coordinator/src/engine.rs:1", "coordinator/src/grpc/x.rs:1"];
        assert_breaches(check, &files, &expected);
    }
}
