//! Who calls whom, and where that one listens.

use std::collections::BTreeSet;

use amends_coordinator::config::HostPort;
use clap::ValueEnum;
use shop::invariants::Databases;
use shop::role::Role;

use super::commands::coordinator;
use super::file::{Compose, repository_file};

fn port_of(address: &str) -> u16 {
    address.parse::<HostPort>().unwrap().port()
}

#[test]
fn the_coordinator_calls_the_services_where_they_listen_and_nothing_else() {
    let compose = Compose::read();
    let allow = coordinator(&compose).participants.allow;
    for role in Role::ALL {
        let name = role.as_str();
        let service = compose.service(name);
        let read = Role::from_str(&service.command()[2], false);
        assert_eq!(read, Ok(role), "the name of the container is the role");
        let advertised: HostPort = service.flag("--advertise").parse().unwrap();
        assert_eq!(advertised.host(), name);
        assert_eq!(advertised.port(), port_of(&service.flag("--listen")));
        assert!(allow.allows(&advertised), "{advertised} is not allowed");
    }
    for other in [
        "postgres:5432",
        "rabbitmq:5672",
        "front:8080",
        "order:7442",
        "127.0.0.1:7441",
    ] {
        assert!(!allow.allows(&other.parse().unwrap()), "{other} is allowed");
    }
}

#[test]
fn everybody_finds_the_coordinator_and_the_front_finds_everybody() {
    let compose = Compose::read();
    let port = coordinator(&compose).server.listen.port();
    let front = compose.service("front");
    for service in compose.services() {
        if let Some(url) = service.environment().get("SHOP_COORDINATOR") {
            assert_eq!(
                *url,
                format!("http://coordinator:{port}"),
                "{}",
                service.name
            );
        }
    }
    for role in Role::ASKED {
        let name = role.as_str();
        let queries = port_of(&compose.service(name).flag("--queries"));
        assert_eq!(
            front.flag(&format!("--{name}")),
            format!("http://{name}:{queries}")
        );
    }
}

#[test]
fn pay_finds_the_order_service_and_the_provider_and_the_provider_finds_pay() {
    let compose = Compose::read();
    let pay = compose.service("pay");
    let queries = |name: &str| {
        let port = port_of(&compose.service(name).flag("--queries"));
        format!("http://{name}:{port}")
    };
    assert_eq!(pay.flag("--order"), queries("order"));
    assert_eq!(pay.flag("--notify"), queries("pay"));
    let provider = compose.service("provider");
    let port = port_of(&provider.flag("--listen"));
    assert_eq!(pay.flag("--provider"), format!("http://provider:{port}"));
    // Customers come from this machine.
    assert_eq!(pay.flag("--pay-at"), format!("http://127.0.0.1:{port}"));
    assert_eq!(provider.list("ports"), [format!("127.0.0.1:{port}:{port}")]);
}

#[test]
fn health_is_asked_where_it_is_answered() {
    let compose = Compose::read();
    for role in Role::ALL {
        let service = compose.service(role.as_str());
        let asked = service.health_command().pop().unwrap();
        assert_eq!(port_of(&asked), port_of(&service.flag("--queries")));
    }
    for name in ["front", "provider"] {
        let service = compose.service(name);
        let asked = service.health_command().pop().unwrap();
        assert_eq!(port_of(&asked), port_of(&service.flag("--listen")));
    }
    // `amends status` asks the default address.
    assert_eq!(coordinator(&compose).server.listen.port(), 7431);
}

#[test]
fn the_databases_are_those_that_are_created() {
    let compose = Compose::read();
    let mut named = BTreeSet::from(["amends".to_owned()]);
    let template = compose.service("samples").environment()["SHOP_DATABASES"].clone();
    for role in Role::ALL {
        let url = template.replace("{service}", role.as_str());
        let service = compose.service(role.as_str());
        assert_eq!(service.environment()["SHOP_DATABASE"], url);
        assert!(url.starts_with("postgres://shop:"), "{url}");
        named.insert(url.rsplit('/').next().unwrap().to_owned());
    }
    let provider = template.replace("{service}", Databases::PROVIDER);
    let service = compose.service(Databases::PROVIDER);
    assert_eq!(service.environment()["SHOP_DATABASE"], provider);
    named.insert(provider.rsplit('/').next().unwrap().to_owned());
    let script = repository_file("deploy/databases.sql");
    let created = script.lines().filter_map(|line| {
        let (name, owner) = line.trim().strip_prefix("('")?.split_once("', '")?;
        let owner = owner.trim_end_matches(['\'', ')', ',']);
        assert_eq!(owner, if name == "amends" { "amends" } else { "shop" });
        Some(name.to_owned())
    });
    assert_eq!(created.collect::<BTreeSet<_>>(), named);
    for variable in ["COORDINATOR_DB_PASSWORD", "SHOP_DB_PASSWORD"] {
        assert!(script.contains(&format!(" {variable}\n")), "{variable}");
        assert!(
            compose
                .service("databases")
                .environment()
                .contains_key(variable)
        );
    }
    let mounted = compose.service("databases").list("volumes");
    assert_eq!(mounted, ["./deploy/databases.sql:/databases.sql:ro"]);
    assert!(
        compose
            .service("databases")
            .command()
            .contains(&"--file=/databases.sql".to_owned())
    );
}
