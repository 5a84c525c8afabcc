//! `amends completion`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::cli::Cli;
use super::error::CommandError;
use super::exit::Exit;
use super::output::print;

/// Arguments of `amends completion`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: amends completion bash > ~/.local/share/bash-completion/completions/amends"
)]
pub(super) struct CompletionArgs {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &CompletionArgs) -> Result<Exit, CommandError> {
    // Into memory first: the generator panics when it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "amends", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
