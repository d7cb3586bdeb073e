//! The parts of the demo world as a program of their own, for the tests of this crate and for trying them by hand.

use std::process::ExitCode;

use clap::Parser;
use foremesh_demo::EmulateArgs;

/// Emulates hosts and load on loopback.
#[derive(Debug, clap::Parser)]
#[command(name = "foremesh-demo")]
struct Args {
    #[command(flatten)]
    emulate: EmulateArgs,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).init();
    match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime.block_on(foremesh_demo::run(Args::parse().emulate, &[])),
        Err(error) => {
            eprintln!("cannot start the async runtime: {error}");
            ExitCode::FAILURE
        }
    }
}
