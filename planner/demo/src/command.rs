//! Subcommands for programs that build on this crate: hosts run in processes of their own.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::clock;
use crate::envoy::find_binary;
use crate::host::{CtlArgs, HostArgs, run_ctl, run_host};
use crate::load::{Arrivals, LoadSpec, Window, start_load};
use crate::profile::{Profile, Shape};
use crate::scenario::{DayViolations, Scenario, WorldPlace};
use crate::world::{EndpointSource, World};

/// Emulates hosts and load.
#[derive(Debug, Clone, clap::Args)]
pub struct EmulateArgs {
    /// What to run.
    #[command(subcommand)]
    pub command: EmulateCommand,
}

/// The parts that run alone.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum EmulateCommand {
    /// Runs one emulated host until it gets SIGTERM.
    Host(HostArgs),
    /// Sends one command to the agent of a host.
    Ctl(CtlArgs),
    /// Sends requests and prints each second as one line of JSON.
    Load(LoadArgs),
    /// Runs the demo's scenario without a planner and prints what each day brought.
    Baseline(BaselineArgs),
}

/// Settings of a load.
#[derive(Debug, Clone, clap::Args)]
pub struct LoadArgs {
    /// Where to connect.
    #[arg(long)]
    pub address: SocketAddr,
    /// Path of every request.
    #[arg(long, default_value = "/")]
    pub path: String,
    /// Requests per second, or their least number when there is a peak.
    #[arg(long)]
    pub rate: f64,
    /// Requests per second in the middle of the day.
    #[arg(long)]
    pub peak: Option<f64>,
    /// Length of the day, in milliseconds.
    #[arg(long, default_value_t = 20_000)]
    pub day_ms: u64,
    /// How the requests lie between each other.
    #[arg(long, value_enum, default_value = "poisson")]
    pub arrivals: Arrivals,
    /// Seed of the arrival times.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Most connections.
    #[arg(long, default_value_t = 512)]
    pub connections: usize,
    /// How long to send, in milliseconds.
    #[arg(long)]
    pub duration_ms: u64,
}

/// Settings of a run without a planner.
#[derive(Debug, Clone, clap::Args)]
pub struct BaselineArgs {
    /// The Envoy program; without it, `build/bin/envoy` in the current directory.
    #[arg(long)]
    pub envoy: Option<PathBuf>,
    /// Number of days.
    #[arg(long, default_value_t = 3)]
    pub days: u32,
    /// Length of a day, in milliseconds.
    #[arg(long, default_value_t = 20_000)]
    pub day_ms: u64,
    /// Host on which the service stays.
    #[arg(long, default_value = "host-a")]
    pub host: String,
}

/// Runs one subcommand; `argv_prefix` is what stands before it on the command line of this program.
pub async fn run(args: EmulateArgs, argv_prefix: &[String]) -> ExitCode {
    let result = match args.command {
        EmulateCommand::Host(args) => run_host(args).await.map_err(Into::into),
        EmulateCommand::Ctl(args) => return run_ctl(args).await,
        EmulateCommand::Load(args) => load(args).await,
        EmulateCommand::Baseline(args) => baseline(args, argv_prefix).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let first: &dyn Error = &*error;
            let causes = std::iter::successors(Some(first), |error| (*error).source());
            eprintln!("{}", causes.map(ToString::to_string).collect::<Vec<_>>().join(": "));
            ExitCode::FAILURE
        }
    }
}

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

async fn load(args: LoadArgs) -> Outcome {
    let spec = LoadSpec {
        path: args.path,
        rate: Profile {
            period: Duration::from_millis(args.day_ms),
            base: args.rate,
            peak: args.peak.unwrap_or(args.rate),
            centre: 0.5,
            shape: Shape::Cosine,
        },
        arrivals: args.arrivals,
        seed: args.seed,
        connections: args.connections,
        until: Some(Duration::from_millis(args.duration_ms)),
        ..LoadSpec::constant(args.address, args.rate)
    };
    let mut load = start_load(spec)?;
    while let Some(window) = load.windows.recv().await {
        println!("{}", line(&window));
    }
    let report = load.finish().await?;
    let (p50, p99) = (report.quantile_ms(0.5), report.quantile_ms(0.99));
    println!("{}", serde_json::json!({"totals": report.totals, "p50_ms": p50, "p99_ms": p99}));
    Ok(())
}

fn line(window: &Window) -> serde_json::Value {
    serde_json::json!({
        "second": window.second, "sent": window.sent, "ok": window.ok, "failed": window.failed,
        "in_flight": window.in_flight, "p50_ms": window.quantile_ms(0.5), "p99_ms": window.quantile_ms(0.99),
    })
}

async fn baseline(args: BaselineArgs, argv_prefix: &[String]) -> Outcome {
    let directory = tempfile::tempdir()?;
    let scenario = Scenario::demo(Duration::from_millis(args.day_ms));
    let envoy = find_binary(args.envoy.as_deref(), None, &std::env::current_dir()?)?;
    let program = std::env::current_exe()?;
    let place = WorldPlace {
        directory: directory.path(),
        program: &program,
        argv_prefix,
        envoy: &envoy,
        filter: None,
    };
    // The hosts must know when the first day starts; the world stands well before it.
    let day_start = clock::unix_ms() + 5_000;
    let spec = scenario.world(&place, EndpointSource::Host(args.host.clone()), day_start);
    let world = World::start(&spec).await?;
    world.start_service(&args.host, scenario.settings, Duration::from_secs(10)).await?;
    let mut load = start_load(scenario.load(world.layout().edge.listen, day_start, 0..args.days))?;
    let mut days: Vec<DayViolations> = Vec::new();
    let interrupted = loop {
        tokio::select! {
            window = load.windows.recv() => {
                let Some(window) = window else { break false };
                scenario.count(&mut days, &window);
                println!("{}", line(&window));
            }
            _ = tokio::signal::ctrl_c() => break true,
        }
    };
    if interrupted {
        world.stop().await?;
        return Err("interrupted".into());
    }
    let report = load.finish().await?;
    let (measured, predicted) = (days, scenario.predict(&args.host, args.days));
    println!("{}", serde_json::json!({"days": measured, "predicted": predicted, "totals": report.totals}));
    world.stop().await?;
    Ok(())
}
