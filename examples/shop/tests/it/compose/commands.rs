//! Command lines and variables, read by the programs that they are for.

use std::collections::{BTreeMap, BTreeSet};

use amends_coordinator::config::{self, BrokerUrl, Config, Loaded, Migrate, Sources};
use clap::{ArgMatches, Command, CommandFactory};
use shop::cli::Cli;

use super::file::{Compose, SECRET, Service};

/// Reads a command line as its program does. Returns what it found, and the
/// variables that it would have looked at.
fn parse(
    line: &[String],
    environment: &BTreeMap<String, String>,
) -> (ArgMatches, BTreeSet<String>) {
    let mut program = match line[0].as_str() {
        "amends" => amends_coordinator::admin::command_line(),
        "shop" => Cli::command(),
        other => panic!("{other} is not in the image"),
    };
    program.build();
    let arguments = arguments_of(&program, &line[1..]);
    let mut line = line.to_vec();
    let mut seen = BTreeSet::new();
    for (variable, flag) in arguments {
        if let Some(value) = environment.get(&variable) {
            line.extend([format!("--{flag}"), value.clone()]);
            seen.insert(variable);
        }
    }
    let matches = program.try_get_matches_from(&line);
    (
        matches.unwrap_or_else(|error| panic!("{line:?}\n{error}")),
        seen,
    )
}

/// The arguments of the subcommand that can come from variables: variable and flag.
fn arguments_of(program: &Command, words: &[String]) -> Vec<(String, String)> {
    let mut command = program;
    for word in words {
        match command.find_subcommand(word) {
            Some(subcommand) => command = subcommand,
            None => break,
        }
    }
    let variable = |argument: &clap::Arg| {
        let variable = argument.get_env()?.to_str()?;
        Some((variable.to_owned(), argument.get_long()?.to_owned()))
    };
    command.get_arguments().filter_map(variable).collect()
}

/// The configuration of a service that runs `amends`.
pub(super) fn config_of(service: &Service<'_>) -> Loaded {
    let sources = Sources {
        environment: service.environment().into_iter().collect(),
        ..Sources::default()
    };
    config::load(&sources).unwrap_or_else(|error| panic!("{}: {error}", service.name))
}

pub(super) fn coordinator(compose: &Compose) -> Config {
    let service = compose.service("coordinator");
    // No flag says something else than the variables.
    assert_eq!(service.command(), ["amends", "serve"]);
    config_of(&service).config
}

#[test]
fn each_command_line_is_understood_and_each_variable_is_known() {
    let compose = Compose::read();
    for service in compose.ours() {
        let environment = service.environment();
        let (_, mut known) = parse(&service.command(), &environment);
        if !service.is_task() {
            known.extend(parse(&service.health_command(), &environment).1);
        }
        if service.command()[0] == "amends" {
            let rows = config_of(&service).rows();
            let sources = rows.into_iter().map(|row| row.source.to_string());
            known.extend(
                sources.filter_map(|source| Some(source.strip_prefix("environment ")?.to_owned())),
            );
        }
        let unknown: Vec<_> = environment
            .keys()
            .filter(|name| !known.contains(*name))
            .collect();
        assert!(
            unknown.is_empty(),
            "{}: nobody reads {unknown:?}",
            service.name
        );
    }
}

#[test]
fn the_reader_tells_right_from_wrong() {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let variables = BTreeMap::from([("SHOP_DATABASE".to_owned(), "sqlite:a.db".to_owned())]);
    let wrong = |line: &str| {
        let line = words(line);
        let variables = variables.clone();
        std::panic::catch_unwind(move || parse(&line, &variables)).is_err()
    };
    assert!(wrong("shop service order"), "no coordinator");
    assert!(wrong("shop service stock --coordinator http://c:1"));
    assert!(wrong("amends sreve"));
    let (_, seen) = parse(
        &words("shop service order --coordinator http://c:1"),
        &variables,
    );
    assert_eq!(seen, BTreeSet::from(["SHOP_DATABASE".to_owned()]));
    let (_, seen) = parse(&words("amends serve"), &variables);
    assert!(seen.is_empty());
}

#[test]
fn the_coordinator_is_set_up_for_production() {
    let compose = Compose::read();
    let config = coordinator(&compose);
    let migration = config_of(&compose.service("migrate")).config;
    assert_eq!(
        config.store, migration.store,
        "one migrates what the other uses"
    );
    assert_eq!(config.store.migrate, Migrate::Check);
    assert_eq!(
        config.store.url.to_string(),
        "postgres://amends:***@postgres:5432/amends"
    );
    let BrokerUrl::RabbitMq { url } = &config.broker.url else {
        panic!("the broker is RabbitMQ");
    };
    let rabbitmq = compose.service("rabbitmq").environment();
    let user = &rabbitmq["RABBITMQ_DEFAULT_USER"];
    assert_eq!(rabbitmq["RABBITMQ_DEFAULT_PASS"], SECRET);
    assert_eq!(
        url.expose(),
        format!("amqp://{user}:{SECRET}@rabbitmq:5672/%2f")
    );
    assert!(config.server.token_file.is_some(), "callers need a token");
}
