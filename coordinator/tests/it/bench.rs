//! `amends bench saga`, tiny: what it prints, that everything ended as it
//! should, and that nothing is left behind. No times.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Fields that users' scripts read, in the order in which they are printed.
const FIELDS: [&str; 14] = [
    "mode",
    "store",
    "steps",
    "concurrency",
    "seconds",
    "per_second",
    "p50_ms",
    "p99_ms",
    "p999_ms",
    "direct_per_second",
    "ratio",
    "coordinator_cpu_ms_per_tx",
    "coordinator_rss_mib",
    "errors",
];
const COUNT: u64 = 20;

struct Run {
    code: i32,
    out: String,
    err: String,
}

fn bench(directory: &Path, args: &[&str]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_amends"))
        .args(["bench", "saga", "--seconds", "600", "--warm-up", "0s"])
        .args(["--concurrency", "4", "--rounds", "2", "--count", "20"])
        .args(args)
        .env_clear()
        .env("TMPDIR", directory)
        // What this process has in its environment is not what is measured.
        .env("AMENDS_ENGINE__MAX_LIVE", "nonsense")
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run {
        code: output.status.code().unwrap(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// Runs one bench in which nothing may go wrong.
fn check(args: &[&str], calls_each: u64) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let run = bench(directory.path(), &[args, &["-o", "json"]].concat());
    assert_eq!(run.code, 0, "{args:?}: {}{}", run.out, run.err);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    let mut rest = run.out.as_str();
    for field in FIELDS {
        let (_, behind) = rest.split_once(&format!("\"{field}\":")).unwrap();
        rest = behind;
    }
    for (field, expected) in [
        ("errors", 0),
        ("transactions", COUNT),
        ("direct_transactions", COUNT),
        ("calls", COUNT * calls_each),
        ("calls_expected", COUNT * calls_each),
        ("concurrency", 4),
    ] {
        assert_eq!(report[field], expected, "{args:?}, {field}: {}", run.out);
    }
    for field in [
        "per_second",
        "p50_ms",
        "p999_ms",
        "direct_per_second",
        "ratio",
    ] {
        assert!(
            report[field].as_f64().unwrap() > 0.0,
            "{field}: {}",
            run.out
        );
    }
    assert_eq!(report["rounds"].as_array().unwrap().len(), 2);
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    report
}

#[test]
fn sagas_that_succeed() {
    let report = check(&["--steps", "3"], 3);
    assert_eq!(
        (&report["mode"], &report["store"]),
        (&"ok".into(), &"sqlite".into())
    );
    assert_eq!(report["steps"], 3);
    if cfg!(target_os = "linux") {
        assert!(report["coordinator_rss_mib"].as_f64().unwrap() > 1.0);
        assert!(report["coordinator_cpu_ms_per_tx"].is_number());
    }
}

#[test]
fn sagas_that_fail_in_the_last_step() {
    let report = check(&["--mode", "fail", "--store", "memory"], 4 + 3);
    assert_eq!(
        (&report["mode"], &report["store"]),
        (&"fail".into(), &"memory".into())
    );
}

#[test]
fn parallel_steps_of_definitions_sent_along() {
    let args = [
        "--mode",
        "parallel",
        "--steps",
        "8",
        "--definition",
        "inline",
    ];
    check(&[&args[..], &["--store", "memory"]].concat(), 8);
}

#[test]
fn sagas_that_hang_beside_all_end_once_they_are_let_go() {
    let args = ["--mode", "hang", "--hanging", "30", "--store", "memory"];
    let report = check(&args, 4);
    assert_eq!(report["hanging"], 30);
}

#[test]
fn errors_are_counted_and_told() {
    let directory = tempfile::tempdir().unwrap();
    // The one that hangs takes the only place.
    let run = bench(
        directory.path(),
        &[
            "--mode=hang",
            "--hanging=1",
            "--store=memory",
            "--coordinator-set=engine.max_live=1",
            "--output=json",
        ],
    );
    assert_eq!(run.code, 1, "{}", run.err);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    for (field, expected) in [("errors", COUNT), ("transactions", 0), ("hanging", 1)] {
        assert_eq!(report[field], expected, "{field}: {}", run.out);
    }
    let faults = report["faults"].as_object().unwrap();
    let counts: Vec<_> = faults.values().cloned().collect();
    assert_eq!(counts, [Value::from(COUNT)], "{}", run.out);
}

#[test]
fn what_cannot_run_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    for args in [
        &["--steps", "0"][..],
        &["--store", "mysql://h/d"],
        &["--coordinator-set", "engine.que=1"],
    ] {
        let run = bench(directory.path(), args);
        assert_eq!(
            (run.code, run.out.as_str()),
            (2, ""),
            "{args:?}: {}",
            run.err
        );
        assert!(!run.err.is_empty());
    }
}

#[test]
fn a_coordinator_that_does_not_start_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let run = bench(directory.path(), &["--store", "sqlite:/nowhere/at/all.db"]);
    assert_eq!((run.code, run.out.as_str()), (1, ""), "{}", run.err);
    assert!(
        run.err
            .contains("the coordinator ended before it was ready"),
        "{}",
        run.err
    );
}

#[test]
fn a_kept_store_is_there_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let run = bench(directory.path(), &["--keep"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let (_, path) = run.err.trim().rsplit_once("kept: sqlite:").unwrap();
    assert!(Path::new(path).is_file(), "{path}");
}

#[test]
fn a_participant_ends_with_the_bench() {
    let output = Command::new(env!("CARGO_BIN_EXE_amends"))
        .args(["bench", "participant"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success());
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(out.contains(" listening on 127.0.0.1:"), "{out}");
}
