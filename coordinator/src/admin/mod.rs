//! The command line: `amends serve`, `amends tx list`, and the rest.
//!
//! Every command that looks at or changes a coordinator is one or a few gRPC
//! calls; nothing here touches a store. Data goes to standard output and
//! nothing else does; messages go to standard error. The exit code says how it
//! went (see [`Exit`]). A reader that closes the pipe early is no error.
//! It does not: prompt. What could hit many transactions asks for `--yes`.

mod args;
mod bench;
mod cli;
mod completion;
mod config;
mod connect;
mod consumer;
mod dead;
mod definition;
pub mod definition_file;
mod error;
mod exit;
mod items;
mod message;
mod migrate;
mod msg;
mod names;
mod output;
mod page;
mod participant;
mod profile;
mod serve;
mod show;
mod status;
mod tx;
mod view;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

pub use exit::Exit;

use cli::{Cli, Command};
use error::CommandError;

/// Runs one command to its end. The first argument is the program's name.
///
/// Reads the environment and the working directory; blocks; must not be called
/// from within an async runtime.
pub fn run<I, T>(args: I) -> ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let exit = match Cli::try_parse_from(args) {
        Ok(cli) => dispatch(cli.command).unwrap_or_else(|error| error.report()),
        Err(refused) => {
            // Help goes to standard output; nobody may be left to read it.
            let _ = refused.print();
            if refused.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            }
        }
    };
    exit.into()
}

/// The command line as data: for tools that check files in which it is written.
#[must_use]
pub fn command_line() -> clap::Command {
    Cli::command()
}

fn dispatch(command: Command) -> Result<Exit, CommandError> {
    match command {
        Command::Serve(args) => serve::run(&args),
        Command::Tx(args) => tx::run(args),
        Command::Msg(args) => msg::run(args),
        Command::Dead(args) => dead::run(args),
        Command::Consumer(args) => consumer::run(args),
        Command::Definition(args) => definition::run(args),
        Command::Participant(args) => participant::run(args),
        Command::Status(args) => status::run(&args),
        Command::Migrate(args) => migrate::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Completion(args) => completion::run(&args),
    }
}
