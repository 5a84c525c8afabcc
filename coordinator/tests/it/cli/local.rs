//! Commands that need no coordinator: help, configuration, completion.

use super::{amends, local, run, write};

#[test]
fn help_and_version_go_to_standard_output() {
    for args in [
        &["--help"][..],
        &["tx", "--help"],
        &["tx", "start", "--help"],
        &["--version"],
    ] {
        let shown = local(args);
        assert_eq!((shown.code, shown.err.as_str()), (0, ""), "{args:?}");
        assert!(!shown.out.is_empty());
    }
    let help = local(&["--help"]).out;
    assert!(help.contains("Exit codes: 0 done"), "{help}");
}

#[test]
fn a_wrong_command_is_a_usage_error() {
    for args in [
        &[][..],
        &["txx"],
        &["tx"],
        &["tx", "get"],
        &["status", "-o", "xml"],
        &["config", "print", "--set", "x"],
    ] {
        let wrong = local(args);
        assert_eq!((wrong.code, wrong.out.as_str()), (2, ""), "{args:?}");
        assert!(!wrong.err.is_empty());
    }
}

#[test]
fn config_print_shows_value_and_source() {
    let directory = tempfile::tempdir().unwrap();
    write(
        directory.path(),
        "amends.toml",
        "[store]\nurl = \"postgres://u:geheim@db/amends\"\nmax_connections = 3\n",
    );
    let printed = |output: &str| {
        let mut command = amends();
        command
            .current_dir(directory.path())
            .env("AMENDS_ENGINE__SHARDS", "2");
        command.args([
            "config",
            "print",
            "--listen",
            "127.0.0.1:0",
            "--set",
            "log.format=json",
            "-o",
            output,
        ]);
        run(command)
    };
    let table = printed("table");
    assert_eq!((table.code, table.err.as_str()), (0, ""));
    let lines = |text: &str| {
        let changed = |line: &&str| !line.ends_with("default");
        text.lines().filter(changed).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(lines(&table.out), @r"
    KEY                                    VALUE                       SOURCE
    server.listen                          127.0.0.1:0                 flag --listen
    store.url                              postgres://u:***@db/amends  file amends.toml
    store.max_connections                  3                           file amends.toml
    engine.shards                          2                           environment AMENDS_ENGINE__SHARDS
    log.format                             json                        flag --set
    ");
    let json = printed("json").out;
    let rows: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    assert_eq!(rows.len(), table.out.lines().count() - 1);
    let json_lines = printed("jsonl").out;
    assert_eq!(
        json_lines.lines().next().unwrap(),
        r#"{"key":"server.listen","value":"127.0.0.1:0","source":"flag --listen"}"#
    );
}

#[test]
fn config_check_names_what_is_wrong() {
    let good = local(&["config", "check"]);
    assert_eq!((good.code, good.out.as_str()), (0, ""));
    assert_eq!(good.err, "the configuration is valid (no file)\n");
    let bad = local(&[
        "config",
        "check",
        "--store",
        "mysql://u:geheim@db/x",
        "--set",
        "engine.que=1",
    ]);
    assert_eq!((bad.code, bad.out.as_str()), (2, ""));
    insta::assert_snapshot!(bad.err, @r#"
    error: configuration: 2 problems
      engine.que: unknown key (flag --set); did you mean engine.queue?
      store.url: "mysql://u:***@db/x" is not valid (flag --store); expected sqlite:FILE, postgres://user:password@host/database or memory:
    "#);
    let missing = local(&["config", "check", "--config", "no/such.toml"]);
    assert_eq!(missing.code, 2);
}

#[test]
fn config_defaults_can_be_used_as_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = write(
        directory.path(),
        "own.toml",
        &local(&["config", "defaults"]).out,
    );
    let checked = local(&["config", "check", "--config", &file]);
    assert_eq!(
        checked.err,
        format!("the configuration is valid (file {file})\n")
    );
}

#[test]
fn completion_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = local(&["completion", shell]);
        assert_eq!(script.code, 0);
        assert!(script.out.contains("mark-undone"), "{shell}");
    }
    assert_eq!(local(&["completion", "tcsh"]).code, 2);
}
