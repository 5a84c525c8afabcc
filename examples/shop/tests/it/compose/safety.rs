//! Secrets, ports, rights and what is kept.

use std::collections::BTreeSet;

use serde_json::Value;

use super::commands::coordinator;
use super::file::{Compose, SECRET, repository_file};

#[test]
fn images_have_a_version() {
    let compose = Compose::read();
    for service in compose.services() {
        let image = service.text("image");
        let (name, tag) = image.split_once(':').unwrap_or((image, ""));
        if service.value["build"].is_null() {
            // A name such as 17 moves: two numbers at least.
            let version = tag.split('-').next().unwrap_or_default();
            let numbers = version
                .split('.')
                .filter(|part| part.parse::<u32>().is_ok());
            assert!(numbers.count() >= 2, "{image}");
        } else {
            assert_eq!((name, tag), ("amends", env!("CARGO_PKG_VERSION")));
        }
    }
}

/// In the file as it is written: no value of a secret, and no default.
#[test]
fn secrets_come_from_outside() {
    let compose = Compose::read();
    let services = compose.raw["services"].as_object().unwrap();
    let mut found = 0;
    for (name, service) in services {
        let none = serde_json::Map::new();
        for (variable, value) in service["environment"].as_object().unwrap_or(&none) {
            let value = value.as_str().unwrap();
            if variable.contains("PASS") {
                let whole = value.starts_with("${") && value.ends_with('}') && value.contains(":?");
                assert!(whole, "{name}: {variable}");
                found += 1;
            } else if let Some((_, rest)) = value.split_once("://")
                && let Some((credentials, _)) = rest.split_once('@')
            {
                let (_, password) = credentials.split_once(':').unwrap();
                assert!(password.starts_with("${"), "{name}: {variable}");
                found += 1;
            }
        }
    }
    assert!(
        found >= 10,
        "{found} secrets: the test looks in the wrong place"
    );
    let tokens = compose.section("secrets").map(|(name, secret)| {
        let Value::String(variable) = &secret["environment"] else {
            panic!("{name}: not from a variable");
        };
        variable.clone()
    });
    let mut wanted: BTreeSet<String> = tokens.collect();
    wanted.extend(compose.required.iter().cloned());
    let example = repository_file(".env.example");
    let lines = example.lines().filter(|line| !line.starts_with('#'));
    let offered = lines.map(|line| line.strip_suffix('=').expect("no value in the example"));
    assert_eq!(offered.map(str::to_owned).collect::<BTreeSet<_>>(), wanted);
    for ignored in [".gitignore", ".dockerignore"] {
        let is_there = repository_file(ignored).lines().any(|line| line == ".env");
        assert!(is_there, "{ignored}");
    }
    assert!(!repository_file("docker-compose.yml").contains(SECRET));
}

#[test]
fn the_token_is_where_it_is_read() {
    let compose = Compose::read();
    let declared: BTreeSet<&str> = compose.section("secrets").map(|(name, _)| name).collect();
    for service in compose.services() {
        let given = service.list("secrets");
        assert!(given.iter().all(|name| declared.contains(name.as_str())));
        for (variable, path) in service.environment() {
            if variable.ends_with("_FILE") {
                let name = path.strip_prefix("/run/secrets/").unwrap();
                assert!(given.iter().any(|given| given == name), "{}", service.name);
            }
        }
        if service.environment().contains_key("SHOP_COORDINATOR") {
            assert!(
                service.environment().contains_key("SHOP_TOKEN_FILE"),
                "{}",
                service.name
            );
        }
    }
}

#[test]
fn only_this_machine_gets_in_and_only_to_what_is_for_people() {
    let compose = Compose::read();
    let mut published = Vec::new();
    for service in compose.services() {
        for port in service.list("ports") {
            assert!(port.starts_with("127.0.0.1:"), "{}: {port}", service.name);
            published.push(service.name);
        }
        let networks = service.list("networks");
        let is_private = networks == ["private"];
        assert!(
            is_private == service.list("ports").is_empty(),
            "{}: {networks:?}",
            service.name
        );
    }
    published.sort_unstable();
    assert_eq!(published, ["front", "provider", "rabbitmq"]);
    let (_, private) = compose
        .section("networks")
        .find(|(name, _)| *name == "private")
        .unwrap();
    assert_eq!(private["internal"], Value::Bool(true));
    // Without TLS only because of that.
    assert!(coordinator(&compose).server.insecure);
    let front = compose.service("front");
    let listen = front.flag("--listen");
    let (_, port) = listen.split_once(':').unwrap();
    assert_eq!(front.list("ports"), [format!("127.0.0.1:{port}:{port}")]);
}

#[test]
fn our_containers_may_do_nothing_that_they_need_not() {
    for service in Compose::read().ours() {
        assert_eq!(service.list("cap_drop"), ["ALL"], "{}", service.name);
        assert_eq!(service.list("security_opt"), ["no-new-privileges:true"]);
        assert_eq!(
            service.text("user"),
            "",
            "{}: the image says who",
            service.name
        );
        assert!(service.value["privileged"].is_null());
    }
}

#[test]
fn what_must_last_is_in_volumes_with_a_name() {
    let compose = Compose::read();
    let declared: BTreeSet<&str> = compose.section("volumes").map(|(name, _)| name).collect();
    for (name, folder) in [
        ("postgres", "/var/lib/postgresql/data"),
        ("rabbitmq", "/var/lib/rabbitmq"),
    ] {
        let service = compose.service(name);
        let [volume] = &service.list("volumes")[..] else {
            panic!("{name}: one volume");
        };
        let (volume, target) = volume.split_once(':').unwrap();
        assert_eq!(target, folder);
        assert!(declared.contains(volume), "{volume}");
    }
    assert_eq!(compose.service("rabbitmq").text("hostname"), "rabbitmq");
}
