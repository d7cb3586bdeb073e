//! What runs in the pods of the testbed: a service whose behaviour is set from outside, and a load generator.
//!
//! ```text
//! load ──► sidecar ──► serve (CPU, distance, faults) ──► sidecar ──► serve …
//! ```
//!
//! Nothing is emulated here: CPU is burnt, so quotas, schedulers and meters of a real node see it.

mod answer;
mod burn;
mod call;
mod distance;
mod failure;
mod faults;
mod load;
mod serve;

use std::process::ExitCode;

use clap::Parser;

/// A service or a load, for pods.
#[derive(Debug, clap::Parser)]
#[command(name = "workload")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Serves HTTP/1.1 until SIGTERM, then until it is drained.
    Serve(serve::ServeArgs),
    /// Sends requests at times that do not depend on the answers, and prints one JSON document.
    Load(load::LoadArgs),
    /// Sends one request and prints the answer as one JSON document.
    Call(call::CallArgs),
    /// Does nothing until SIGTERM; what has to be called from this pod is run with `kubectl exec`.
    Idle,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).with_ansi(false).init();
    let args = Args::parse();
    let threads = if let Command::Serve(serve) = &args.command { serve.threads } else { 8 };
    // Requests that burn CPU are the blocking threads of this runtime.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(threads.max(1))
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(args.command)),
        Err(source) => Err(failure::Failure::Runtime { source }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", failure::chain(&error));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<(), failure::Failure> {
    match command {
        Command::Serve(args) => serve::serve(args).await,
        Command::Load(args) => load::load(args).await,
        Command::Call(args) => call::call(args).await,
        Command::Idle => serve::terminated().await,
    }
}
