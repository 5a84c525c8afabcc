//! `shop`: the whole shop in one program. Without a subcommand it starts
//! everything, plays the scenarios and ends.

use std::error::Error;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use shop::role::{FrontArgs, ServiceArgs, exit_with_stdin, run_front, run_service};
use shop::runner::{self, RunArgs, Verdict};
use tracing_subscriber::EnvFilter;

/// Ended by Ctrl-C, as a shell would say it.
const INTERRUPTED: u8 = 130;

#[derive(Debug, Parser)]
#[command(
    version,
    about = "Places orders through a saga over four services, breaks things on the way, and checks the books",
    after_help = "Exit code: 0 when everything came out right, 1 when not, 2 for wrong arguments.\n\n\
        Examples:\n  shop\n  shop --serve\n  shop --scenario coordinator-dies --keep /tmp/shop\n  \
        shop --store postgres://localhost/amends --shop-database postgres://localhost/shop_{service}",
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one service of the shop
    Service(ServiceArgs),
    /// Run the shop's front
    Front(FrontArgs),
    /// Run the coordinator: `amends serve`, ended by the end of standard input
    #[command(hide = true)]
    Coordinator(CoordinatorArgs),
}

#[derive(Debug, Args)]
struct CoordinatorArgs {
    /// What follows `amends serve`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        // It sets up its own runtime and its own log.
        Some(Command::Coordinator(CoordinatorArgs { args })) => {
            exit_with_stdin();
            let serve = ["amends", "serve"].map(OsString::from);
            amends_coordinator::admin::run(serve.into_iter().chain(args))
        }
        Some(Command::Service(args)) => on_runtime(async {
            run_service(args).await?;
            Ok(ExitCode::SUCCESS)
        }),
        Some(Command::Front(args)) => on_runtime(async {
            run_front(args).await?;
            Ok(ExitCode::SUCCESS)
        }),
        None => on_runtime(async {
            Ok(match runner::run(cli.run).await? {
                Verdict::Good => ExitCode::SUCCESS,
                Verdict::Bad => ExitCode::FAILURE,
                Verdict::Interrupted => ExitCode::from(INTERRUPTED),
            })
        }),
    }
}

fn on_runtime(work: impl Future<Output = Result<ExitCode, Box<dyn Error>>>) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let done = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => Err(error.into()),
    };
    done.unwrap_or_else(|error| {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        writeln!(std::io::stderr(), "shop: {text}").ok();
        ExitCode::FAILURE
    })
}
