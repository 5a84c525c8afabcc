//! The binary `amends`: server and command line in one.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    amends_coordinator::admin::run(std::env::args_os())
}
