//! Which store and which broker are in use is known to `app` alone; everything else sees the trait.

use super::layers::{Named, SRC, named_after, top_module};
use crate::Breach;
use crate::tree::Tree;

/// The module of each trait, with its implementations.
const CONCRETE: [(&str, &[&str]); 2] = [
    ("store", &["sqlite", "postgres", "mysql", "memory"]),
    ("broker", &["rabbitmq"]),
];
const MAY_NAME_THEM: &str = "app";

/// Concrete stores and brokers named outside `app`, their own module and tests.
pub fn check(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (path, rust) in tree.rust(SRC) {
        for (home, concrete) in CONCRETE {
            if [MAY_NAME_THEM, home].contains(&top_module(path)) {
                continue;
            }
            for prefix in ["crate::", "amends_coordinator::", ""] {
                for Named { line, module } in named_after(rust, &format!("{prefix}{home}::")) {
                    if concrete.contains(&module.as_str()) {
                        let message = format!(
                            "{home}::{module} is named outside app: take the {home} as a trait object or type parameter"
                        );
                        breaches.push(Breach::at(path, line, message));
                    }
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
            (
                "coordinator/src/messages/relay.rs",
                "use crate::broker::rabbitmq::RabbitMq;\n",
            ),
            ("coordinator/src/store/mod.rs", text),
            (
                "coordinator/src/worker.rs",
                "#[cfg(test)]\nuse crate::store::memory;\n",
            ),
        ];
        let expected = [
            "coordinator/src/engine.rs:1",
            "coordinator/src/grpc/x.rs:1",
            "coordinator/src/messages/relay.rs:1",
        ];
        assert_breaches(check, &files, &expected);
    }
}
