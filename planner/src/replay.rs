//! `foremesh replay`: what the decisions would have brought in a simulated mesh, beside doing nothing, reacting to present
//! use, and perfect foresight.
mod table;

use crate::{
    args::Output,
    backtest::{parallel, progress::Progress},
    policies,
};
use anyhow::Context as _;
use clap::Args;
use foremesh_core::{inputs::Settings as Caution, policy::RelocationPolicy};
use foremesh_replay::{Compared, Run, Settings, StrategyKind, compare, lines, replay_seed, svg};
use foremesh_world::{Mesh, Scenario};
use serde::Serialize;
use std::{
    fs::File,
    io::{BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
};

/// What `foremesh replay` does, beyond its options.
pub const HELP: &str = "\
A world of services, nodes, load and trouble is simulated minute by minute. It knows things that the planner's own model
does not: noise, cold caches, start-up times, noisy neighbours, lost measurements. The strategies are run in the same
world with the same noise:
  none      nothing is ever moved
  reactive  present CPU of a node above 70 % in five samples: its largest replica goes to the emptiest node
  foremesh  the production code: forecasts, policies, twin, placement, checks
  oracle    the same optimiser, with forecasts that come true

The policy of each service is what a new user would write: P99 above its objective, everything else at its default.

Examples:
  foremesh replay --mesh shared/data/mesh/sock-shop.json --scenario tests/scenarios/peak-daily.yaml
  foremesh replay --mesh m.json --scenario s.yaml --seeds 20 -o json
  foremesh replay --mesh m.json --scenario s.yaml --trace trace.jsonl --plot run.svg";

/// Arguments of `foremesh replay`.
#[derive(Clone, Debug, Args)]
pub struct ReplayArgs {
    /// Topology of an application: services, calls, operations, as JSON.
    #[arg(long, value_name = "FILE")]
    pub mesh: PathBuf,
    /// What happens, as YAML; docs/scenarios.md describes it.
    #[arg(long, value_name = "FILE")]
    pub scenario: PathBuf,
    /// Strategies to compare; `none` is always among them.
    #[arg(long, value_delimiter = ',', default_values = ["none", "reactive", "foremesh", "oracle"], value_parser = strategy)]
    pub strategies: Vec<StrategyKind>,
    /// Worlds, each of its own seed.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub seeds: u32,
    /// Seed of the first world; the others count up from it.
    #[arg(long, default_value_t = 1)]
    pub first_seed: u64,
    /// Policies in place of the usual one, which holds every objective of the scenario.
    #[arg(long, value_name = "FILE")]
    pub policies: Vec<PathBuf>,
    /// Writes the worlds minute by minute to this file, one JSON object a line.
    #[arg(long, value_name = "FILE.jsonl")]
    pub trace: Option<PathBuf>,
    /// Draws the first world to this file.
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
    /// Threads; as many as there are cores when not given. The result does not depend on it.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub threads: Option<u32>,
    /// How the result is printed.
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

fn strategy(text: &str) -> Result<StrategyKind, String> {
    StrategyKind::named(text).ok_or_else(|| {
        let names: Vec<&str> = StrategyKind::ALL.into_iter().map(StrategyKind::name).collect();
        format!("no strategy has this name; take one of {}", names.join(", "))
    })
}

/// The result with what it is of.
#[derive(Debug, Serialize)]
struct Report {
    mesh: String,
    scenario: String,
    first_seed: u64,
    #[serde(flatten)]
    compared: Compared,
}

/// Runs `foremesh replay`.
///
/// # Errors
/// When a file cannot be read or written, or a world cannot be made.
pub fn replay(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let mesh = Mesh::read(&args.mesh)?;
    let scenario = Scenario::read(&args.scenario)?;
    let policies = if args.policies.is_empty() { Vec::new() } else { policies::read_all(&args.policies)? };
    let settings = settings(args, policies);
    let seeds: Vec<u64> = (0..u64::from(args.seeds)).map(|index| args.first_seed + index).collect();
    let threads = args.threads.map_or_else(
        || std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        |threads| threads as usize,
    );
    let progress = Progress::new("runs", seeds.len() * (settings.strategies.len() + 1));
    let mut trace = match &args.trace {
        Some(file) => {
            let failed = || format!("cannot create {}; check the folder", file.display());
            Some(BufWriter::new(File::create(file).with_context(failed)?))
        }
        None => None,
    };
    let mut all = Vec::new();
    let mut failed = None;
    let work = |seed: &u64| (*seed, replay_seed(&mesh, &scenario, *seed, &settings, || progress.one_more()));
    parallel::in_order(&seeds, threads, work, |(seed, runs)| match runs {
        Ok(mut runs) if failed.is_none() => {
            let kept = keep(args, &mut trace, seed, &mut runs, &mesh);
            failed = kept.err();
            all.push(runs);
        }
        Ok(_) => {}
        Err(error) => failed = failed.take().or(Some(error.into())),
    });
    if let Some(error) = failed {
        return Err(error);
    }
    if let Some(trace) = &mut trace {
        trace.flush().context("cannot write the trace")?;
    }
    let name = |path: &PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let report = Report {
        mesh: name(&args.mesh).unwrap_or_default(),
        scenario: name(&args.scenario).unwrap_or_default(),
        first_seed: args.first_seed,
        compared: compare(&all),
    };
    match args.output {
        Output::Json => println!("{}", serde_json::to_string(&report)?),
        Output::Yaml => print!("{}", yaml_serde::to_string(&report)?),
        Output::Table => println!("{}", table::render(&report.compared)),
    }
    Ok(ExitCode::SUCCESS)
}

fn settings(args: &ReplayArgs, policies: Vec<RelocationPolicy>) -> Settings {
    let mut strategies = args.strategies.clone();
    strategies.push(StrategyKind::None);
    strategies.sort_unstable();
    strategies.dedup();
    let keep_minutes = args.trace.is_some() || args.plot.is_some();
    Settings { strategies, caution: Caution::default(), policies, keep_minutes }
}

/// Writes what was asked for of one seed, and forgets its minutes.
fn keep(
    args: &ReplayArgs,
    trace: &mut Option<BufWriter<File>>,
    seed: u64,
    runs: &mut [Run],
    mesh: &Mesh,
) -> anyhow::Result<()> {
    if let Some(trace) = trace {
        for line in runs.iter().flat_map(|run| lines(run, seed)) {
            writeln!(trace, "{line}").context("cannot write the trace")?;
        }
    }
    if let Some(file) = args.plot.as_ref().filter(|_| seed == args.first_seed) {
        let services: Vec<String> = mesh.services.iter().map(|service| service.name.to_string()).collect();
        let title = format!("{} under {}, seed {seed}", mesh.name, args.scenario.display());
        std::fs::write(file, svg(&title, runs, &services))
            .with_context(|| format!("cannot write {}; check the folder", file.display()))?;
    }
    for run in runs {
        run.minutes = Vec::new();
    }
    Ok(())
}
