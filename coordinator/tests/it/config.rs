//! Layers, precedence, and the texts people get when something is wrong.

use std::path::PathBuf;

use amends_coordinator::config::{Loaded, Setting, Sources, StoreUrl, defaults_toml, load};

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn set(key: &str, value: &str) -> Setting {
    Setting {
        flag: "--set".to_owned(),
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

fn row(loaded: &Loaded, key: &str) -> String {
    let row = loaded
        .rows()
        .into_iter()
        .find(|row| row.key == key)
        .expect(key);
    format!("{} | {}", row.value, row.source)
}

/// Loads with this text as `amends.toml` in a directory of its own.
fn with_file(text: &str, mut sources: Sources) -> Result<Loaded, String> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("amends.toml"), text).unwrap();
    sources.directory = Some(directory.path().to_owned());
    let prefix = format!("{}/", directory.path().display());
    load(&sources).map_err(|error| error.to_string().replace(&prefix, ""))
}

#[test]
fn runs_with_none() {
    let loaded = load(&Sources::default()).unwrap();
    assert_eq!(loaded.config.server.listen.to_string(), "127.0.0.1:7431");
    assert_eq!(loaded.config.server.max_request_bytes.bytes(), 1 << 20);
    assert_eq!(
        loaded.config.store.url,
        StoreUrl::Sqlite {
            path: "amends.db".to_owned()
        }
    );
    assert_eq!(loaded.config.server.tls_cert, None);
    assert!(
        loaded
            .config
            .participants
            .allow
            .allows(&"localhost:1".parse().unwrap())
    );
    assert_eq!(row(&loaded, "engine.evict_after"), "\"30s\" | default");
}

#[test]
fn a_later_layer_wins_key_by_key() {
    let file = "[engine]\nqueue = 1\nmax_live = 2\nshards = 3\n\
                [participants.services]\nstock = [\"a:1\"]\nuser = [\"b:2\", \"b:3\"]\n";
    let sources = Sources {
        environment: variables(&[
            ("AMENDS_ENGINE__QUEUE", "10"),
            ("AMENDS_ENGINE__MAX_LIVE", "20"),
            ("AMENDS_PARTICIPANTS__SERVICES__STOCK", "c:4,c:5"),
            ("AMENDS_SERVER", "http://elsewhere"),
            ("PATH", "/bin"),
        ]),
        flags: vec![set("engine.queue", "100"), set("engine.queue", "101")],
        ..Sources::default()
    };
    let loaded = with_file(file, sources).unwrap();
    assert_eq!(row(&loaded, "engine.queue"), "101 | flag --set");
    assert_eq!(
        row(&loaded, "engine.max_live"),
        "20 | environment AMENDS_ENGINE__MAX_LIVE"
    );
    assert!(row(&loaded, "engine.shards").starts_with("3 | file "));
    assert_eq!(
        row(&loaded, "participants.services.stock"),
        "[\"c:4\", \"c:5\"] | environment AMENDS_PARTICIPANTS__SERVICES__STOCK"
    );
    assert!(row(&loaded, "participants.services.user").starts_with("[\"b:2\", \"b:3\"] | file "));
}

#[test]
fn every_key_can_be_set_in_every_layer() {
    let defaults = load(&Sources::default()).unwrap();
    for row in defaults.rows() {
        let text = match &row.value {
            toml::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let name = format!("AMENDS_{}", row.key.to_uppercase().replace('.', "__"));
        let by_variable = Sources {
            environment: vec![(name, text.clone())],
            ..Sources::default()
        };
        let by_flag = Sources {
            flags: vec![set(&row.key, &text)],
            ..Sources::default()
        };
        let (section, key) = row.key.split_once('.').unwrap();
        let by_file = with_file(
            &format!("[{section}]\n{key} = {}\n", row.value),
            Sources::default(),
        );
        for loaded in [
            load(&by_variable).unwrap(),
            load(&by_flag).unwrap(),
            by_file.unwrap(),
        ] {
            assert_eq!(loaded.config, defaults.config, "{}", row.key);
        }
    }
}

#[test]
fn the_printed_defaults_are_a_file_that_changes_nothing() {
    let loaded = with_file(&defaults_toml(), Sources::default()).unwrap();
    assert_eq!(loaded.config, load(&Sources::default()).unwrap().config);
    let start = defaults_toml()
        .lines()
        .take(12)
        .collect::<Vec<_>>()
        .join("\n");
    insta::assert_snapshot!(start, @r#"
    # Every key of Amends with its default. A key that is left out keeps it.

    # The gRPC server.
    [server]
    # Where to listen: IP address and port. Port 0 takes a free one.
    listen = "127.0.0.1:7431"
    # The largest request accepted.
    max_request_bytes = "1MiB"
    # Certificate chain of the server, PEM. Needs tls_key.
    # tls_cert = ""
    # Private key of the server, PEM. Needs tls_cert.
    # tls_key = ""
    "#);
}

#[test]
fn unknown_keys_are_errors_with_a_suggestion() {
    let check = |key: &str, expected: &str| {
        let sources = Sources {
            flags: vec![set(key, "x")],
            ..Sources::default()
        };
        assert_eq!(
            load(&sources).unwrap_err().to_string(),
            format!("configuration: {expected}")
        );
    };
    check(
        "store.urll",
        "store.urll: unknown key (flag --set); did you mean store.url?",
    );
    check(
        "listen",
        "listen: unknown key (flag --set); did you mean server.listen?",
    );
    check(
        "servr.listen",
        "servr.listen: unknown key (flag --set); did you mean server.listen?",
    );
    check("qwertz", "qwertz: unknown key (flag --set)");
    check("store", "store: unknown key (flag --set)");

    let variable = |name: &str| {
        let sources = Sources {
            environment: variables(&[(name, "x")]),
            ..Sources::default()
        };
        load(&sources)
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    assert_eq!(
        variable("AMENDS_STORE__URI").unwrap_err(),
        "configuration: store.uri: unknown key (environment AMENDS_STORE__URI); did you mean store.url?"
    );
    assert_eq!(
        variable("AMENDS_STORE_URL").unwrap_err(),
        "configuration: AMENDS_STORE_URL: unknown key (environment AMENDS_STORE_URL); did you mean AMENDS_STORE__URL?"
    );
    assert_eq!(variable("AMENDS_TEST_POSTGRES_URL"), Ok(()));

    insta::assert_snapshot!(
        with_file("[stor]\nurl = 'memory:'\n[engine]\nque = 1\n[nothing]\n", Sources::default()).unwrap_err(),
        @r"
    configuration: 3 problems
      engine.que: unknown key (file amends.toml); did you mean engine.queue?
      nothing: unknown key (file amends.toml)
      stor.url: unknown key (file amends.toml); did you mean store.url?
    "
    );
}

#[test]
fn bad_values_name_key_value_source_and_what_is_expected() {
    let check = |key: &str, value: &str, expected: &str| {
        let sources = Sources {
            flags: vec![set(key, value)],
            ..Sources::default()
        };
        let text = load(&sources).expect_err(key).to_string();
        assert_eq!(text, format!("configuration: {expected}"));
    };
    check(
        "engine.queue",
        "0",
        "engine.queue: \"0\" is not valid (flag --set); expected a whole number from 1 on",
    );
    check(
        "server.listen",
        "localhost",
        "server.listen: \"localhost\" is not valid (flag --set); expected an IP address and a port, such as 127.0.0.1:7431",
    );
    check(
        "store.url",
        "mysql://u:geheim@db/x",
        "store.url: \"mysql://u:***@db/x\" is not valid (flag --set); expected sqlite:FILE, \
         postgres://user:password@host/database or memory:",
    );
    check(
        "store.migrate",
        "yes",
        "store.migrate: \"yes\" is not valid (flag --set); expected auto, check or off",
    );
    check(
        "retention.finished",
        "7",
        "retention.finished: \"7\" is not valid (flag --set); expected a time with its unit, \
         such as 200ms, 5s, 10m, 1h or 7d",
    );
    check(
        "participants.allow",
        "10.0.0.0/33",
        "participants.allow: \"10.0.0.0/33\" is not valid (flag --set); expected a list of host, host:port, \
         IP network (10.0.0.0/8), *.suffix or *.suffix:port",
    );
    check(
        "participants.services",
        "stock",
        "participants.services: \"stock\" is not valid (flag --set); expected service names (a-z, 0-9, -, _, .) \
         with their instances: stock = [\"host:port\", ...]",
    );
    insta::assert_snapshot!(
        with_file("[engine]\nqueue = 'many'\nevict_after = 5\n[log]\nlevel = ['a']\n", Sources::default()).unwrap_err(),
        @r#"
    configuration: 3 problems
      engine.queue: "many" is not valid (file amends.toml); expected a whole number from 1 on
      engine.evict_after: "5" is not valid (file amends.toml); expected a time with its unit, such as 200ms, 5s, 10m, 1h or 7d
      log.level: "[\"a\"]" is not valid (file amends.toml); expected a level (error, warn, info, debug, trace) or a list such as info,amends_coordinator=debug
    "#
    );
}

#[test]
fn values_must_fit_together() {
    let check = |settings: &[(&str, &str)], expected: Option<&str>| {
        let flags = settings
            .iter()
            .map(|(key, value)| set(key, value))
            .collect();
        let text = load(&Sources {
            flags,
            ..Sources::default()
        })
        .err()
        .map(|error| error.to_string());
        assert_eq!(text, expected.map(|text| format!("configuration: {text}")));
    };
    check(
        &[("server.listen", "0.0.0.0:7431")],
        Some(
            "server.listen: 0.0.0.0:7431 can be reached by others and TLS is off; set server.tls_cert and \
             server.tls_key, or write server.insecure = true",
        ),
    );
    check(
        &[
            ("server.listen", "0.0.0.0:7431"),
            ("server.insecure", "true"),
        ],
        None,
    );
    check(&[("server.listen", "[::1]:7431")], None);
    check(
        &[("server.tls_cert", "a.pem")],
        Some("server.tls_cert and server.tls_key go together: set both or none"),
    );
    check(
        &[("participants.lease", "3s")],
        Some("participants.lease must be longer than participants.heartbeat_interval"),
    );
    check(
        &[("retention.interval", "0s")],
        Some("retention.interval: must be longer than 0s"),
    );
}

#[test]
fn files_that_cannot_be_used() {
    let missing = Sources {
        file: Some(PathBuf::from("no/such.toml")),
        ..Sources::default()
    };
    assert_eq!(
        load(&missing).unwrap_err().to_string(),
        "configuration: cannot read no/such.toml: No such file or directory (os error 2)"
    );
    // The line at fault is named, not quoted: it may hold a password.
    let broken = "[store]\nurl = \"postgres://u:geheim@db/x\nmigrate = 1\n";
    let text = with_file(broken, Sources::default()).unwrap_err();
    assert!(
        text.starts_with("configuration: amends.toml: line 2: "),
        "{text}"
    );
    assert!(!text.contains("geheim"), "{text}");
}

#[test]
fn passwords_do_not_show() {
    let sources = Sources {
        flags: vec![set("store.url", "postgres://u:geheim@db/amends")],
        ..Sources::default()
    };
    let loaded = load(&sources).unwrap();
    assert_eq!(
        row(&loaded, "store.url"),
        "\"postgres://u:***@db/amends\" | flag --set"
    );
    assert!(!format!("{loaded:?}").contains("geheim"));
}
