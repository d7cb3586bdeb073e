//! The command line: every command, its arguments, and the environment variables that stand for them.
mod approve;
mod calendar;
mod crds;
mod decide;
mod install;
mod regressors;

pub use approve::ApproveArgs;
pub use calendar::{
    CalendarAddArgs, CalendarCancelArgs, CalendarCheckArgs, CalendarCommand, CalendarListArgs,
    CalendarRemoveArgs,
};
pub use decide::{ExplainArgs, SimulateArgs};
pub use install::{
    ClusterArgs, InstallCommand, InstallPlannerArgs, InstallSidecarsArgs, InstallStagingArgs, UninstallArgs,
};
pub use regressors::{RegressorDeleteArgs, RegressorPushArgs, RegressorsCommand};

use crate::{settings::Span, telemetry::LogFormat};
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Moves services of a mesh to a better host before they become slow.
///
/// The planner takes latency summaries from the proxies of a mesh, forecasts each service's latency, and moves a
/// service when a policy says so: the new replica is started and ready first, then traffic goes over step by step.
///
/// Data goes to stdout, progress and logs to stderr. Exit codes: 0 all is well, 1 an error, 2 wrong usage,
/// 3 something is at risk or would change.
#[derive(Debug, Parser)]
#[command(name = "foremesh", version, max_term_width = 100)]
pub struct Args {
    /// What to log, such as `info` or `foremesh::rollout=debug,info`.
    #[arg(long, env = "FOREMESH_LOG", default_value = "info", global = true)]
    pub log: String,
    /// How log lines look.
    #[arg(long, env = "FOREMESH_LOG_FORMAT", value_enum, default_value_t, global = true)]
    pub log_format: LogFormat,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `foremesh` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the planner: ingest, forecasts, decisions, moves, API.
    Serve(ServeArgs),
    /// Checks settings, policies and hosts without changing anything.
    Check(CheckArgs),
    /// Checks policy and calendar files offline: what is wrong and where, what each rule does, what works against what.
    Lint(LintArgs),
    /// Runs the whole loop on this machine: emulated hosts, real Envoys, a compressed day, and a comparison.
    Demo(DemoArgs),
    /// Lists services with their measured latency, objective and risk.
    Services(QueryArgs),
    /// Shows the forecast of one service with its bands.
    Forecast(ForecastArgs),
    /// Shows how good the forecasts turned out to be, the worst series first
    Accuracy(AccuracyArgs),
    /// Lists nodes with their use, its predicted peak, and what may run out
    Nodes(QueryArgs),
    /// Lists the plans that were made, newest first.
    Plans(QueryArgs),
    /// Says in words why a plan was made, or why the last pass decided as it did, and decides again to prove it.
    Explain(ExplainArgs),
    /// Shows what the newest pass would change; exits with 3 when that is something.
    Plan(QueryArgs),
    /// Predicts what moves, another load or a failed node would bring; exits with 3 when something would breach.
    ///
    /// Examples:
    ///   foremesh simulate --move cart=node-b
    ///   foremesh simulate --node-down node-a --load cart=1.5 -o json
    #[command(verbatim_doc_comment)]
    Simulate(SimulateArgs),
    /// Approves a plan that waits for a human, or lists the plans that do.
    Approve(ApproveArgs),
    /// Lists relocations with their state, newest first.
    Moves(QueryArgs),
    /// Stops a running relocation and takes it back.
    Abort(RelocationArgs),
    /// Takes a relocation that has succeeded back, as a move of its own.
    #[command(after_help = UNDO_HELP)]
    Undo(RelocationArgs),
    /// Lists, makes, cancels and checks known events.
    #[command(subcommand)]
    Calendar(CalendarCommand),
    /// Lists and sends series that explain ours, such as campaign spend.
    #[command(subcommand)]
    Regressors(RegressorsCommand),
    /// Prints what puts the planner into a Kubernetes cluster, and the filter into sidecars, for `kubectl apply -f -`
    #[command(subcommand)]
    Install(InstallCommand),
    /// Takes the planner and the filter out of a Kubernetes cluster
    #[command(after_help = install::UNINSTALL_HELP)]
    Uninstall(UninstallArgs),
    /// Prints the definitions of the custom resources (CRDs), for `kubectl apply -f -`
    #[command(after_help = crds::HELP)]
    Crds,
    /// Prints the `OpenAPI` description of the HTTP API.
    Openapi,
    /// Replays the forecasting models over measured series and says how right they were, and what they cost.
    Backtest(crate::backtest::BacktestArgs),
    /// Replays decisions in a simulated mesh, beside doing nothing, reacting, and perfect foresight.
    #[command(after_help = crate::replay::HELP)]
    Replay(crate::replay::ReplayArgs),
    /// Measures parts of the planner on this machine.
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Prints a completion script for a shell.
    Completion {
        /// The shell to complete for.
        shell: clap_complete::Shell,
    },
    /// Parts of the demo that run as processes of their own.
    #[command(hide = true)]
    DemoPart(foremesh_demo::EmulateArgs),
}

/// Arguments of `foremesh serve`.
#[derive(Debug, ClapArgs)]
pub struct ServeArgs {
    /// Settings file; `foremesh check` tells what is wrong with one.
    #[arg(long, short, env = "FOREMESH_CONFIG", default_value = "/etc/foremesh/foremesh.yaml")]
    pub config: PathBuf,
}

/// Arguments of `foremesh check`.
#[derive(Debug, ClapArgs)]
pub struct CheckArgs {
    /// Settings file.
    #[arg(long, short, env = "FOREMESH_CONFIG", default_value = "/etc/foremesh/foremesh.yaml")]
    pub config: PathBuf,
    /// Do not ask the hosts; check the files only.
    #[arg(long)]
    pub offline: bool,
}

/// Arguments of `foremesh lint`.
#[derive(Debug, ClapArgs)]
#[command(after_help = LINT_HELP)]
pub struct LintArgs {
    /// Policy and calendar files, and directories of `*.yaml` and `*.yml` files.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// JSON of a snapshot, or of the recorded inputs of a decision: says also what does not fit this mesh.
    #[arg(long)]
    pub snapshot: Option<PathBuf>,
    /// How to print the result.
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// What the exit code of `foremesh lint` means, and an example.
const LINT_HELP: &str = "\
Exit codes: 0 nothing was found, 1 a planner would refuse a file, 3 only warnings.

Examples:
  foremesh lint policies/ calendars/
  foremesh lint policies/shop.yaml -o json";

/// Arguments of `foremesh demo`.
#[derive(Debug, ClapArgs)]
pub struct DemoArgs {
    /// The built filter module.
    #[arg(long, default_value = "build/foremesh_filter.wasm")]
    pub filter: PathBuf,
    /// The Envoy binary; found on PATH or in build/bin when not given.
    #[arg(long)]
    pub envoy: Option<PathBuf>,
    /// Where programs are looked for.
    #[arg(long, env = "PATH", hide = true)]
    pub search_path: Option<String>,
    /// Exit with 1 unless the promises hold: moved before the breach, no failed request during the move, 5 times
    /// fewer violation seconds.
    #[arg(long)]
    pub verify: bool,
    /// Fewer days: two and a half minutes instead of three and a half.
    #[arg(long)]
    pub quick: bool,
    /// Write what is shown as an asciicast (version 2) into this file, and its last picture beside it as an SVG.
    #[arg(long, value_name = "FILE.cast")]
    pub record: Option<PathBuf>,
    /// Keep the directory with logs, configuration and state.
    #[arg(long)]
    pub keep: bool,
    /// How to print the result; `json` prints one line.
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// Where a running planner is, and how to print its answer.
#[derive(Debug, ClapArgs)]
pub struct QueryArgs {
    /// Address of the planner.
    #[arg(long, env = "FOREMESH_SERVER", default_value = "http://127.0.0.1:8700")]
    pub server: String,
    /// How to print the result.
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// Arguments of `foremesh forecast`.
#[derive(Debug, ClapArgs)]
pub struct ForecastArgs {
    /// The service; left out with --node or --workload.
    #[arg(required_unless_present_any = ["node", "workload"], conflicts_with_all = ["node", "workload"])]
    pub service: Option<String>,
    /// The node, in place of a service.
    #[arg(long, conflicts_with = "workload")]
    pub node: Option<String>,
    /// The workload, in place of a service.
    #[arg(long)]
    pub workload: Option<String>,
    /// What to forecast: `latency` (when not given), `throughput` or `availability` of a service; of a node or workload
    /// `cpu_used_millicores` (when not given), `memory_used_bytes`, `disk_io_bytes_per_second` or
    /// `network_bytes_per_second`.
    #[arg(long)]
    pub metric: Option<String>,
    /// Quantile of latency: 0.5, 0.9, 0.95, 0.99 or 0.999.
    #[arg(long, default_value_t = 0.99)]
    pub quantile: f64,
    /// How far to look ahead.
    #[arg(long)]
    pub horizon: Option<Span>,
    /// The planner and the output.
    #[command(flatten)]
    pub query: QueryArgs,
}

/// Arguments of `foremesh accuracy`.
#[derive(Debug, ClapArgs)]
pub struct AccuracyArgs {
    /// Only series of this service, node or workload.
    #[arg(long)]
    pub subject: Option<String>,
    /// Only this quantity, such as `latency_p99_ms`.
    #[arg(long)]
    pub metric: Option<String>,
    /// How many series at most.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// The planner and the output.
    #[command(flatten)]
    pub query: QueryArgs,
}

/// Arguments of `foremesh abort` and `foremesh undo`.
#[derive(Debug, ClapArgs)]
pub struct RelocationArgs {
    /// The relocation's id, as `foremesh moves` shows it.
    pub relocation: String,
    /// Why, for the audit trail.
    #[arg(long)]
    pub reason: String,
    /// Who, for the audit trail.
    #[arg(long, env = "USER", default_value = "unknown")]
    pub by: String,
    /// The planner and the output.
    #[command(flatten)]
    pub query: QueryArgs,
}

/// What undoing does, what the exit codes mean, and an example.
const UNDO_HELP: &str = "\
The way back is a plan of its own: the replica goes to where it was by the same steps, or the traffic that was shifted is
shifted back. It is judged on the newest inputs first: a node that is gone, has no room, or would breach an objective by
now refuses it, and the answer says so. Freeze windows and limits of moves at once hold. Cooldown and the budget of the
day do not, but the way back counts as a move, so the planner leaves the workload alone for longer afterwards. A
relocation that is still running is taken back with `foremesh abort`.

Exit codes: 0 it was begun, 1 an error, 2 wrong usage, 3 it was not begun.

Example:
  foremesh undo plan-0123456789ab.0 --reason 'the disk of that node is slow'";

impl Command {
    /// Whether it asks, prints and is done. The others serve, or have children that they must take down.
    pub const fn answers_and_ends(&self) -> bool {
        !matches!(self, Self::Serve(_) | Self::Demo(_) | Self::DemoPart(_) | Self::Bench(_))
    }
}

/// What `foremesh bench events` does, beyond its options.
const EVENTS_HELP: &str = "\
Effects are put into measured series at random times, about every 18 hours: a difference of five robust deviations, a \
factor of 1.8, and a ramp with a plateau and a tail. One event lies within the horizon. Compared are, on its steps:
  ours      the forecast of the running planner, which knows when events take place and has learned what they do
  ignoring  the same without a calendar
  known     the same on a history without events, with the true effect added: what no learning can beat
  prophet   our Prophet with a regressor that is 1 within events

Examples:
  foremesh bench events --data data/forecast --seeds 11,12,13
  foremesh bench events --data data/forecast --occurrences 2 -o json
  scripts/bench events --data data/forecast        # also the Python package prophet, on the same tasks";

/// What `foremesh bench` can measure.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Durable summaries per second of one core.
    Ingest(crate::bench::IngestArgs),
    /// CPU and memory of forecasting many series at every step.
    Forecast(crate::bench::ForecastArgs),
    /// Error within known events, beside Prophet with a regressor and a forecast without a calendar.
    #[command(after_help = EVENTS_HELP)]
    Events(crate::bench::EventsArgs),
    /// CPU and memory of decisions about large meshes, and the gap to the exact optimum of small ones.
    Plan(crate::bench::PlanArgs),
    /// Time from a change of endpoints to the last of many streams that has it.
    Ads(crate::bench::AdsArgs),
    /// The past and the traffic of a fleet, for what measures a planner that has both.
    #[command(hide = true)]
    Fleet(crate::bench::FleetArgs),
    /// The server side of `bench ingest`, in a process of its own so that its CPU time is its own.
    #[command(hide = true)]
    IngestServer(crate::bench::IngestServerArgs),
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For people who keep files.
    Yaml,
}
