//! `amends bench`, tiny: what it prints, that everything ended as it
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
    bench_of("saga", directory, args)
}

fn bench_of(what: &str, directory: &Path, args: &[&str]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_amends"))
        .args(["bench", what, "--seconds", "600", "--warm-up", "0s"])
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
    check_of("saga", args, calls_each)
}

fn check_of(what: &str, args: &[&str], calls_each: u64) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let run = bench_of(what, directory.path(), &[args, &["-o", "json"]].concat());
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
fn tccs_that_are_confirmed_cancelled_or_tried_at_once() {
    for (mode, branches) in [("confirm", 2), ("cancel", 3), ("parallel", 8)] {
        let number = branches.to_string();
        let args = ["--mode", mode, "--branches", &number, "--store", "memory"];
        let report = check_of("tcc", &args, 2 * branches);
        assert_eq!(
            (&report["mode"], &report["steps"]),
            (&mode.into(), &branches.into())
        );
    }
    let report = check_of("tcc", &[], 4);
    assert_eq!(report["store"], "sqlite");
    if cfg!(target_os = "linux") {
        assert!(report["coordinator_rss_mib"].as_f64().unwrap() > 1.0);
        assert!(report["coordinator_cpu_ms_per_tx"].is_number());
    }
}

#[test]
fn live_sagas_that_succeed_fail_or_run_their_steps_at_once() {
    for (mode, steps, calls) in [("ok", 4, 4), ("fail", 3, 5), ("parallel", 8, 8)] {
        let number = steps.to_string();
        let args = ["--mode", mode, "--steps", &number, "--store", "memory"];
        let report = check_of("live", &args, calls);
        assert_eq!(
            (&report["mode"], &report["steps"]),
            (&mode.into(), &steps.into())
        );
    }
    let report = check_of("live", &[], 4);
    assert_eq!(report["store"], "sqlite");
}

#[test]
fn sagas_that_hang_beside_all_end_once_they_are_let_go() {
    let args = ["--mode", "hang", "--hanging", "30", "--store", "memory"];
    let report = check(&args, 4);
    assert_eq!(report["hanging"], 30);
}

#[test]
fn where_the_time_goes_and_what_the_calls_alone_cost() {
    let report = check(&["--profile", "--calibrate", "--store", "memory"], 4);
    let profile = &report["profile"];
    assert_eq!(profile["sagas"]["count"], COUNT);
    assert_eq!(profile["calls"]["count"], COUNT * 4);
    let parts = profile["sagas"]["parts"].as_array().unwrap();
    let share = |part: &Value| part["share"].as_f64().unwrap();
    let (whole, parts) = parts.split_last().unwrap();
    assert_eq!(share(whole), 1.0);
    let sum: f64 = parts.iter().map(share).sum();
    assert!((sum - 1.0).abs() < 0.01, "{profile}");
    assert!(report["relay_per_second"].as_f64().unwrap() > 0.0);
    if cfg!(target_os = "linux") {
        assert!(report["cpu_beyond_rpc_us"].is_number());
    }
}

#[test]
fn hanging_sagas_are_compared_with_none() {
    let report = check(&["--mode", "hang", "--hanging", "5"], 4);
    assert!(report["alone_per_second"].as_f64().unwrap() > 0.0);
    assert!(report["alone_p99_ms"].is_number());
}

#[test]
fn a_full_store_beside_an_empty_one() {
    let report = check(&["--finished", "2000"], 4);
    assert_eq!(report["finished"], 2000);
    assert!(report["empty_per_second"].as_f64().unwrap() > 0.0);
    let [removed, left] = ["removed", "due_left"].map(|field| report[field].as_u64().unwrap());
    assert_eq!(removed + left, 400, "{report}");
}

/// Runs a mode whose report has other fields; nothing may be left behind.
fn special(args: &[&str]) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let run = bench(directory.path(), &[args, &["-o", "json"]].concat());
    assert_eq!(run.code, 0, "{args:?}: {}{}", run.out, run.err);
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    let report: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(report["errors"], 0, "{}", run.out);
    report
}

#[test]
fn what_was_unfinished_at_a_crash_goes_on() {
    let report = special(&["--mode", "restart", "--unfinished", "50"]);
    assert_eq!(
        (&report["unfinished"], &report["calls"]),
        (&50.into(), &50.into())
    );
    assert!(report["new_transactions"].as_u64().unwrap() > 0);
    let ms = |field: &str| report[field].as_f64().unwrap();
    assert!(ms("first_resumed_ms") <= ms("all_resumed_ms"));
    assert!(ms("all_resumed_ms") <= ms("all_ended_ms"));
}

#[test]
fn a_store_in_memory_has_nothing_to_restart_with() {
    let directory = tempfile::tempdir().unwrap();
    let run = bench(directory.path(), &["--mode=restart", "--store=memory"]);
    assert_eq!((run.code, run.out.as_str()), (2, ""), "{}", run.err);
}

#[test]
fn sagas_that_wait_leave_memory_or_stay() {
    let asleep = special(&["--mode", "waiting", "--waiting", "50"]);
    assert_eq!(
        (&asleep["waiting"], &asleep["live"]),
        (&50.into(), &0.into())
    );
    let args = ["--mode", "waiting", "--waiting", "50", "--wait-time", "1s"];
    let awake = special(&[&args[..], &["--store", "memory"]].concat());
    assert_eq!(awake["wait_seconds"], 1.0);
    if cfg!(target_os = "linux") {
        assert!(awake["rss_mib"].as_f64().unwrap() > 1.0);
    }
}

#[test]
fn growth_as_table_and_picture() {
    let directory = tempfile::tempdir().unwrap();
    let picture = directory.path().join("growth.svg");
    let output = Command::new(env!("CARGO_BIN_EXE_amends"))
        .args(["bench", "grow", "--time", "200ms", "--store", "memory"])
        .args(["--max-concurrency", "4", "--max-steps", "2", "-o", "jsonl"])
        .arg("--svg")
        .arg(&picture)
        .env("TMPDIR", directory.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{out}");
    let points: Vec<Value> = out
        .lines()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect();
    let shape = |point: &Value| {
        let number = |field: &str| point[field].as_u64().unwrap();
        let growing = point["growing"].as_str().unwrap().to_owned();
        (growing, number("concurrency"), number("steps"))
    };
    let expected = [
        ("concurrency", 1, 4),
        ("concurrency", 2, 4),
        ("concurrency", 4, 4),
        ("steps", 64, 1),
        ("steps", 64, 2),
        ("overload", 64, 4),
        ("overload", 256, 4),
        ("overload", 1024, 4),
    ];
    let expected = expected.map(|(growing, at, steps)| (growing.to_owned(), at, steps));
    assert_eq!(points.iter().map(shape).collect::<Vec<_>>(), expected);
    assert!(points.iter().all(|point| point["errors"] == 0), "{out}");
    assert!(
        points
            .iter()
            .all(|point| point["transactions"].as_u64() > Some(0)),
        "{out}"
    );
    assert!(
        std::fs::read_to_string(&picture)
            .unwrap()
            .starts_with("<svg ")
    );
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
    for (field, expected) in [("transactions", 0), ("hanging", 1)] {
        assert_eq!(report[field], expected, "{field}: {}", run.out);
    }
    // Before anything hung some may have found the place taken by each other.
    let faults = report["faults"].as_object().unwrap();
    let counts = |beside: bool| {
        let counts = faults
            .iter()
            .filter(move |(fault, _)| fault.starts_with("alone: ") != beside);
        counts
            .map(|(_, count)| count.as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(counts(true), COUNT, "{}", run.out);
    assert_eq!(report["errors"], COUNT + counts(false), "{}", run.out);
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

#[test]
fn messages_all_arrive_and_delayed_ones_are_timed() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_amends"))
        .args(["bench", "msg", "--seconds", "1", "--warm-up", "0s"])
        .args(["--rounds", "2", "--concurrency", "4", "--batch", "3"])
        .args(["--delayed", "300", "--store", "memory", "-o", "json"])
        .env_clear()
        .env("TMPDIR", directory.path())
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["errors"], 0, "{out}");
    assert_eq!(report["delayed"], 300, "{out}");
    assert_eq!(report["rounds"].as_array().unwrap().len(), 2);
    assert_eq!(report["transactions"].as_u64().unwrap() % 3, 0, "{out}");
    // Without a RabbitMQ there is nothing to compare with.
    assert!(report["ratio"].is_null() && report["direct_per_second"].is_null());
    for field in ["per_second", "p50_ms", "late_p99_ms", "accept_p50_ms"] {
        assert!(report[field].is_number(), "{field}: {out}");
    }
}

#[test]
fn pairs_are_compared_with_plain_messages_and_checks_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_amends"))
        .args(["bench", "half", "--seconds", "1", "--warm-up", "0s"])
        .args(["--rounds", "2", "--concurrency", "4", "--checks", "100"])
        .args(["--store", "memory", "-o", "json"])
        .env_clear()
        .env("TMPDIR", directory.path())
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&report["errors"], &report["mode"]),
        (&0.into(), &"half".into()),
        "{out}"
    );
    assert_eq!(report["checks"], 100, "{out}");
    assert_eq!(report["rounds"].as_array().unwrap().len(), 2);
    for field in [
        "per_second",
        "p50_ms",
        "p99_ms",
        "direct_per_second",
        "ratio",
        "checks_per_second",
    ] {
        assert!(report[field].is_number(), "{field}: {out}");
    }
}
