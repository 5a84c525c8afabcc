//! `shop`: the whole shop in one program. Without a subcommand it starts
//! everything, plays the scenarios and ends.

use std::error::Error;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use shop::cli::{Cli, Command, CoordinatorArgs};
use shop::role::{
    exit_with_stdin, run_buy, run_front, run_probe, run_provider, run_rabbitmq, run_reconcile,
    run_resend, run_samples, run_service,
};
use shop::runner::{self, Verdict};
use tracing_subscriber::EnvFilter;

/// Ended by Ctrl-C, as a shell would say it.
const INTERRUPTED: u8 = 130;

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
        Some(Command::Buy(args)) => on_runtime(async {
            run_buy(args).await?;
            Ok(ExitCode::SUCCESS)
        }),
        Some(Command::Samples(args)) => on_runtime(async {
            run_samples(&args).await?;
            Ok(ExitCode::SUCCESS)
        }),
        Some(Command::Resend(args)) => on_runtime(async {
            run_resend(&args).await?;
            Ok(ExitCode::SUCCESS)
        }),
        Some(Command::Reconcile(args)) => on_runtime(async {
            Ok(if run_reconcile(&args).await? {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }),
        Some(Command::Provider(args)) => on_runtime(async {
            run_provider(args).await?;
            Ok(ExitCode::SUCCESS)
        }),
        Some(Command::Probe(args)) => on_runtime(async {
            run_probe(&args).await?;
            Ok(ExitCode::SUCCESS)
        }),
        Some(Command::RabbitMq(args)) => on_runtime(async {
            run_rabbitmq(args).await?;
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
