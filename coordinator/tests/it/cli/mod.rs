//! The command line as scripts see it: standard output, standard error, exit code.

mod definition;
mod fake;
mod halves;
mod local;
mod messages;
mod serve;
mod tcc;
mod tx;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a command left behind.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    err: String,
}

/// The program with an environment of its own, in a directory without `amends.toml`.
fn amends() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amends"));
    command
        .env_clear()
        .env("USER", "olga")
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null());
    command
}

fn run(mut command: Command) -> Run {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run {
        code: output.status.code().unwrap(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// Runs without a coordinator.
fn local(args: &[&str]) -> Run {
    let mut command = amends();
    command.args(args);
    run(command)
}

/// Runs against a coordinator.
pub(crate) fn remote(server: SocketAddr, args: &[&str]) -> Run {
    let mut command = amends();
    command
        .args(args)
        .env("AMENDS_SERVER", format!("http://{server}"));
    run(command)
}

fn write(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}
