//! The `foremesh` command.
use clap::{CommandFactory as _, Parser as _};
use foremesh::{
    app,
    args::{Args, BenchCommand, Command},
    backtest, bench, check, cli, demo, install, lint, replay, telemetry,
};
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    if let Err(error) = telemetry::start(&args.log, args.log_format) {
        eprintln!("foremesh: {error:#}");
        return ExitCode::from(2);
    }
    if args.command.answers_and_ends() {
        // `foremesh … | head` ends as other tools do when nobody reads on. Whatever serves or has children must live on.
        sigpipe::reset();
    }
    run(args.command).await.unwrap_or_else(|error| {
        eprintln!("foremesh: {error:#}");
        ExitCode::FAILURE
    })
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(args) => app::serve(&args).await,
        Command::Check(args) => check::check(&args).await,
        Command::Lint(args) => lint::lint(&args),
        Command::Demo(args) => demo::demo(&args).await,
        Command::Services(args) => cli::services(&args).await,
        Command::Forecast(args) => cli::forecast(&args).await,
        Command::Accuracy(args) => cli::accuracy(&args).await,
        Command::Nodes(args) => cli::nodes(&args).await,
        Command::Plans(args) => cli::plans(&args).await,
        Command::Explain(args) => cli::explain(&args).await,
        Command::Plan(args) => cli::plan(&args).await,
        Command::Simulate(args) => cli::simulate(&args).await,
        Command::Moves(args) => cli::moves(&args).await,
        Command::Abort(args) => cli::abort(&args).await,
        Command::Undo(args) => cli::undo(&args).await,
        Command::Approve(args) => cli::approve(&args).await,
        Command::Calendar(command) => cli::calendar(&command).await,
        Command::Regressors(command) => cli::regressors(&command).await,
        Command::Install(command) => install::install(&command).await,
        Command::Uninstall(args) => install::uninstall(&args).await,
        Command::Crds => {
            print!("{}", foremesh_kubernetes::resources::yaml()?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Openapi => {
            println!("{}", foremesh::api::openapi_json()?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Backtest(args) => tokio::task::block_in_place(|| backtest::backtest(&args)),
        Command::Replay(args) => tokio::task::block_in_place(|| replay::replay(&args)),
        Command::Bench(BenchCommand::Ingest(args)) => bench::ingest(args).await,
        Command::Bench(BenchCommand::Forecast(args)) => bench::forecast(args).await,
        Command::Bench(BenchCommand::Events(args)) => bench::events(args),
        Command::Bench(BenchCommand::Plan(args)) => bench::plan(&args),
        Command::Bench(BenchCommand::Ads(args)) => bench::ads(args).await,
        Command::Bench(BenchCommand::Fleet(args)) => bench::fleet(args).await,
        Command::Bench(BenchCommand::IngestServer(args)) => bench::ingest_server(args).await,
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Args::command(), "foremesh", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::DemoPart(part) => Ok(foremesh_demo::run(part, &["demo-part".to_owned()]).await),
    }
}
