//! Benchmarks of the planner's parts, run by `foremesh bench`.
pub mod ads;
pub mod events;
pub mod fleet;
pub mod forecast;
pub mod ingest;
pub mod plan;

use crate::{
    backtest::{Selection, read::read},
    clock::Clock,
};
use ads::AdsBench;
use anyhow::Context;
use clap::{Args, ValueEnum};
use comfy_table::{Table, presets::NOTHING};
use events::EventsBench;
use fleet::FleetBench;
use forecast::{ForecastBench, ForecastReport};
use foremesh_core::time::Step;
use ingest::{IngestBench, IngestReport, server};
use plan::PlanBench;
use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

/// Most routes of one summary.
const MAX_ROUTES: u16 = 4000;
const MINUTES_PER_HOUR: i64 = 60;
/// Of the proxy that goes on after its past, which was that of an earlier start.
const LIVE_EPOCH: u64 = 2;

/// Arguments of `foremesh bench ingest`.
#[derive(Clone, Debug, Args)]
pub struct IngestArgs {
    /// Proxies that send, each over a connection of its own.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=2000))]
    pub proxies: u16,
    /// Routes of each summary.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=4000))]
    pub routes: u16,
    /// Services that are called, over all routes of all proxies.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..))]
    pub services: u16,
    /// Nodes that the proxies run on, the same number on each.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    pub nodes: u16,
    /// Series of each run, proxies × routes: sets the routes of a summary to the number that gives at least so many.
    #[arg(long, conflicts_with = "routes")]
    pub series: Option<u32>,
    /// Length of one measurement in seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub seconds: u16,
    /// Times to measure, each with a new store.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub runs: u16,
    /// Seed of the traffic.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Also measure start and memory with this many hours of one-minute steps (proxies × routes series); takes minutes.
    #[arg(long)]
    pub history_hours: Option<u32>,
    /// Folder on the disk to measure; a temporary one when not given.
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// How the result is printed.
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// Arguments of `foremesh bench forecast`.
#[derive(Clone, Debug, Args)]
pub struct ForecastArgs {
    /// Series.
    #[arg(long, default_value_t = 2_000)]
    pub series: usize,
    /// Steps ahead.
    #[arg(long, default_value_t = 36)]
    pub horizon: usize,
    /// Steps of a season, which is a day.
    #[arg(long, default_value_t = 1_440)]
    pub season: usize,
    /// Steps that every series has seen before; a season and a quarter when not given.
    #[arg(long)]
    pub history: Option<usize>,
    /// CPU seconds to measure at least.
    #[arg(long, default_value_t = 2.0)]
    pub seconds: f64,
    /// Seed of the values.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Also run end to end with the embedded store.
    #[arg(long)]
    pub store: bool,
    /// How the result is printed.
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// Arguments of `foremesh bench plan`.
#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    /// Services of the mesh; with --nodes. Without both, 1 000 on 200 nodes and 10 000 on 2 000 nodes are measured.
    #[arg(long, requires = "nodes")]
    pub services: Option<usize>,
    /// Nodes of the mesh.
    #[arg(long, requires = "services", value_parser = clap::value_parser!(u32).range(4..))]
    pub nodes: Option<u32>,
    /// Share of the services that are at risk, at least.
    #[arg(long, default_value_t = 0.06)]
    pub at_risk: f64,
    /// Small placements that are compared with their exact optimum; 0 for none.
    #[arg(long, default_value_t = 200)]
    pub small_cases: usize,
    /// Decisions about each mesh; the median counts.
    #[arg(long, default_value_t = 3)]
    pub runs: usize,
    /// Seed of all meshes.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How the result is printed.
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// Arguments of `foremesh bench ads`.
#[derive(Clone, Debug, Args)]
pub struct AdsArgs {
    /// Proxies, each with a connection and a stream of its own.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=5_000))]
    pub streams: u16,
    /// Services, all of which every proxy wants.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=5_000))]
    pub services: u16,
    /// Times to change one service; the median counts.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    pub changes: u16,
    /// How the result is printed.
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// Arguments of `foremesh bench events`.
#[derive(Clone, Debug, Args)]
pub struct EventsArgs {
    /// Folder with index.csv and the files that it names. Series of 60 and 300 s are used.
    #[arg(long)]
    pub data: PathBuf,
    /// Only series from these sources, such as nab,smd.
    #[arg(long, value_delimiter = ',')]
    pub families: Vec<String>,
    /// Tasks of each seed at most: a series, an origin, and an event within the horizon.
    #[arg(long, default_value_t = 300)]
    pub tasks: usize,
    /// Seeds, each of which draws series, origins and times of events anew.
    #[arg(long, alias = "seed", value_delimiter = ',', default_values_t = [1])]
    pub seeds: Vec<u64>,
    /// Standard deviation of the strength of the effect in each step, as a share of the effect, such as 0.1.
    #[arg(long, default_value_t = 0.0)]
    pub noise: f64,
    /// Past events of each task; when not given, one about every 18 hours, and at least three.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub occurrences: Option<u16>,
    /// Steps of an event.
    #[arg(long, default_value_t = 12)]
    pub length: usize,
    /// Steps ahead.
    #[arg(long, default_value_t = 36)]
    pub horizon: usize,
    /// Steps of the history at most.
    #[arg(long, default_value_t = 5_760)]
    pub history: usize,
    /// Writes every forecast to this file, and the steps of the history that events changed.
    #[arg(long)]
    pub dump: Option<PathBuf>,
    /// Threads; as many as there are cores when not given. The result does not depend on it.
    #[arg(long)]
    pub threads: Option<usize>,
    /// How the result is printed.
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// How a benchmark's result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// One JSON object on one line.
    Json,
}

/// Arguments of `foremesh bench fleet`.
#[derive(Clone, Debug, Args)]
pub struct FleetArgs {
    /// The planner's store, `series.db` in its state directory, which is made.
    pub file: PathBuf,
    /// Hosts `h0`, `h1`, and so on.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
    pub hosts: u16,
    /// Workloads `w0`, `w1`, and so on, on the hosts in turn.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=4000))]
    pub workloads: u16,
    /// Hours of one-minute steps.
    #[arg(long, default_value_t = 48, value_parser = clap::value_parser!(i64).range(1..=48))]
    pub hours: i64,
    /// Seed of the latencies.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Write nothing, but send what the edge's proxy would to the planner at this address, until this is ended.
    #[arg(long)]
    pub send: Option<SocketAddr>,
}

/// Arguments of the process that `foremesh bench ingest` measures.
#[derive(Clone, Debug, Args)]
pub struct IngestServerArgs {
    /// Folder of the store.
    pub folder: PathBuf,
    /// What to do.
    #[arg(value_enum)]
    pub mode: server::Mode,
}

/// Runs `foremesh bench ingest`.
///
/// # Errors
/// When something cannot be run, or when the store does not hold exactly what was acknowledged.
pub async fn ingest(args: IngestArgs) -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe().context("cannot find the own program to start it as a server")?;
    let server = vec![program.into(), "bench".into(), "ingest-server".into()];
    let routes = args.series.map_or(Ok(args.routes), |series| routes_for(series, args.proxies))?;
    let bench = IngestBench {
        proxies: args.proxies.into(),
        routes: routes.into(),
        services: args.services.into(),
        nodes: args.nodes.into(),
        seconds: args.seconds.into(),
        seed: args.seed,
        runs: args.runs.into(),
        history_hours: args.history_hours,
        folder: args.dir,
        server,
    };
    let report = ingest::run(&bench).await?;
    match args.output {
        Format::Json => println!("{}", serde_json::to_string(&report)?),
        Format::Table => println!("{}", table(&report)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Routes of each summary, so that all proxies together have at least so many series.
fn routes_for(series: u32, proxies: u16) -> anyhow::Result<u16> {
    let routes = series.div_ceil(proxies.into()).max(1);
    u16::try_from(routes).ok().filter(|routes| *routes <= MAX_ROUTES).with_context(|| {
        format!(
            "--series {series} with {proxies} proxies is {routes} routes in a summary, but at most {MAX_ROUTES} are \
             accepted; raise --proxies"
        )
    })
}

/// Runs `foremesh bench forecast`.
///
/// # Errors
/// When a setting is 0, or the store fails.
pub async fn forecast(args: ForecastArgs) -> anyhow::Result<ExitCode> {
    let bench = ForecastBench {
        series: args.series,
        horizon: args.horizon,
        season: args.season,
        history: args.history.unwrap_or(args.season + args.season / 4),
        seconds: args.seconds,
        seed: args.seed,
        store: args.store,
        threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    };
    let report = forecast::run(&bench).await?;
    match args.output {
        Format::Json => println!("{}", serde_json::to_string(&report)?),
        Format::Table => println!("{}", forecast_text(&report)),
    }
    Ok(ExitCode::SUCCESS)
}

fn forecast_text(report: &ForecastReport) -> String {
    let store = report.store.as_ref().map(|store| {
        format!(
            "\nwith the store, CPU of one step: {} s (append {}, read {}, update {}, forecast {}), file {} MiB, peak {} MiB",
            store.cpu_seconds_per_step,
            store.append_cpu_seconds,
            store.read_cpu_seconds,
            store.update_cpu_seconds,
            store.forecast_cpu_seconds,
            store.file_mib,
            store.peak_rss_mib
        )
    });
    format!(
        "{} series, {} steps ahead with 7 quantiles, season {}, after {} steps\n\
         update {} us, forecast {} us: {} series per second and core, {} s of CPU for one step of all\n\
         memory: {} bytes of RSS for each series ({} of state), peak {} MiB{}",
        report.series,
        report.horizon,
        report.season,
        report.history,
        report.us_per_update,
        report.us_per_forecast,
        report.series_per_second_and_core,
        report.cpu_seconds_per_step,
        report.rss_bytes_per_series,
        report.state_bytes_per_series,
        report.peak_rss_mib,
        store.unwrap_or_default()
    )
}

/// Meshes that are measured when none is named.
const MESHES: [(usize, usize); 2] = [(1_000, 200), (10_000, 2_000)];

/// Runs `foremesh bench plan`.
///
/// # Errors
/// When a mesh cannot be made up, or the solver and every layout tried disagree on a small one.
pub fn plan(args: &PlanArgs) -> anyhow::Result<ExitCode> {
    let named = args.services.zip(args.nodes).map(|(services, nodes)| vec![(services, nodes as usize)]);
    let bench = PlanBench {
        meshes: named.unwrap_or_else(|| MESHES.to_vec()),
        seed: args.seed,
        at_risk: args.at_risk,
        runs: args.runs,
        small_cases: args.small_cases,
    };
    let report = plan::run(&bench)?;
    match args.output {
        Format::Json => println!("{}", serde_json::to_string(&report)?),
        Format::Table => println!("{}", plan::render(&report)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `foremesh bench ads`, on a thread of its own.
///
/// # Errors
/// When something cannot be started, or a change does not reach every stream.
pub async fn ads(args: AdsArgs) -> anyhow::Result<ExitCode> {
    let AdsArgs { streams, services, changes, output } = args;
    let bench = AdsBench { streams: streams.into(), services: services.into(), changes: changes.into() };
    let report = tokio::task::spawn_blocking(move || ads::run(&bench)).await??;
    match output {
        Format::Json => println!("{}", serde_json::to_string(&report)?),
        Format::Table => println!(
            "{} streams of {} services, server and proxies on one thread\n\
             a change of one service is everywhere after {} ms (median; slowest {} ms), {} ms of CPU\n\
             a change of every service: written in {} ms, everywhere {} ms after the first\n\
             all streams opened and served: {} ms",
            report.streams,
            report.services,
            report.change_median_ms,
            report.change_max_ms,
            report.change_cpu_ms,
            report.all_written_ms,
            report.all_ms,
            report.start_ms
        ),
    }
    Ok(ExitCode::SUCCESS)
}

/// Past events without which a task says little of what was learned.
const FEWEST_EVENTS: usize = 3;

/// Runs `foremesh bench events`.
///
/// # Errors
/// When the data cannot be read or gives no task, or the dump cannot be written.
pub fn events(args: EventsArgs) -> anyhow::Result<ExitCode> {
    let selection = Selection { families: args.families, ..Selection::default() };
    let series = read(&args.data, &selection)?;
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let bench = EventsBench {
        seeds: args.seeds,
        tasks: args.tasks,
        noise: args.noise,
        occurrences: args.occurrences.map(usize::from),
        fewest: FEWEST_EVENTS,
        length: args.length,
        horizon: args.horizon,
        history: args.history,
        dump: args.dump,
        threads: args.threads.unwrap_or_else(cores),
    };
    let report = events::run(&bench, &series)?;
    match args.output {
        Format::Json => println!("{}", serde_json::to_string(&report)?),
        Format::Table => println!("{}", events::render(&report)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `foremesh bench fleet`.
///
/// # Errors
/// When the store does not take the past, or the planner does not take a summary.
pub async fn fleet(args: FleetArgs) -> anyhow::Result<ExitCode> {
    let bench = FleetBench {
        file: args.file,
        hosts: args.hosts.into(),
        workloads: args.workloads.into(),
        steps: args.hours * MINUTES_PER_HOUR,
        seed: args.seed,
        step: Step::MINUTE,
    };
    if let Some(server) = args.send {
        fleet::Edge::new(&bench, LIVE_EPOCH).send(server).await?;
    } else {
        fleet::write(&bench, Clock::System.now()).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs the process that `foremesh bench ingest` measures.
///
/// # Errors
/// When the store or the listener fails.
pub async fn ingest_server(args: IngestServerArgs) -> anyhow::Result<ExitCode> {
    server::run(&args.folder, args.mode).await?;
    Ok(ExitCode::SUCCESS)
}

fn table(report: &IngestReport) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header([
        "run",
        "per CPU second",
        "per second",
        "ack p50",
        "ack p99",
        "peak RSS",
        "summaries/commit",
        "exact",
    ]);
    let runs = report.runs.iter().enumerate().map(|(at, run)| ((at + 1).to_string(), run));
    for (name, run) in runs.chain([("median".to_owned(), &report.median)]) {
        let batch = run.durable_bytes as f64 / report.summary_bytes / run.commits.max(1) as f64;
        table.add_row([
            name,
            format!("{:.0}", run.per_cpu_second),
            format!("{:.0}", run.per_wall_second),
            format!("{:.1} ms", run.ack_p50_ms),
            format!("{:.1} ms", run.ack_p99_ms),
            format!("{:.0} MiB", run.peak_rss_mib),
            format!("{batch:.1}"),
            format!("{} of {}", run.observations_stored, run.observations_sent),
        ]);
    }
    let history = report.history.as_ref().map(|history| {
        format!(
            "\nstart with {} h of {} services: {:.1} s, {:.0} MiB (peak {:.0} MiB), file {:.0} MiB",
            history.hours,
            history.services,
            history.start_seconds,
            history.rss_mib,
            history.peak_rss_mib,
            history.file_mib
        )
    });
    format!(
        "durable summaries of {} routes ({:.0} bytes) from {} proxies\n{table}{}",
        report.routes,
        report.summary_bytes,
        report.proxies,
        history.unwrap_or_default()
    )
}
