//! Who waits for whom, and who is asked how they are.

use std::collections::BTreeSet;
use std::time::Duration;

use super::commands::coordinator;
use super::file::Compose;

#[test]
fn what_serves_says_how_it_is_and_comes_back() {
    let compose = Compose::read();
    for service in compose.services() {
        let asked = !service.value["healthcheck"].is_null();
        assert_eq!(asked, !service.is_task(), "{}: health check", service.name);
        if asked {
            assert!(!service.health_command().is_empty());
            assert_eq!(
                service.text("restart"),
                "unless-stopped",
                "{}",
                service.name
            );
            for field in ["interval", "timeout", "retries", "start_period"] {
                let set = !service.value["healthcheck"][field].is_null();
                assert!(set, "{}: {field}", service.name);
            }
        }
    }
}

#[test]
fn everybody_waits_for_what_they_need() {
    let compose = Compose::read();
    for service in compose.services() {
        for (name, condition) in service.depends_on() {
            let expected = if compose.service(&name).is_task() {
                "service_completed_successfully"
            } else {
                "service_healthy"
            };
            assert_eq!(condition, expected, "{} waits for {name}", service.name);
        }
    }
    let waits = |name: &str, other: &str| {
        let all = reached(&compose, name, &mut BTreeSet::new());
        assert!(all.contains(other), "{name} does not wait for {other}");
    };
    waits("databases", "postgres");
    waits("migrate", "databases");
    waits("coordinator", "migrate");
    waits("coordinator", "rabbitmq");
    for role in shop::role::Role::ALL {
        waits(role.as_str(), "coordinator");
        // Tables that two create at once can collide.
        waits(role.as_str(), "samples");
    }
    waits("provider", "samples");
    waits("pay", "order");
    waits("pay", "provider");
    for role in shop::role::Role::ASKED {
        waits("front", role.as_str());
    }
}

/// Everything that is waited for, directly or not; a circle is an error.
fn reached(compose: &Compose, name: &str, path: &mut BTreeSet<String>) -> BTreeSet<String> {
    assert!(path.insert(name.to_owned()), "{name} waits for itself");
    let mut all = BTreeSet::new();
    for next in compose.service(name).depends_on().into_keys() {
        all.extend(reached(compose, &next, path));
        all.insert(next);
    }
    path.remove(name);
    all
}

#[test]
fn an_orderly_end_is_waited_for() {
    let compose = Compose::read();
    let config = coordinator(&compose);
    for service in compose.ours() {
        let grace = service.text("stop_grace_period");
        let grace: u64 = grace.strip_suffix('s').unwrap().parse().unwrap();
        let needed = config
            .server
            .shutdown_grace
            .max(amends::participant::MAX_DRAIN);
        assert!(Duration::from_secs(grace) > needed, "{}", service.name);
    }
}
