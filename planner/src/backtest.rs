//! `foremesh backtest`: what the models would have said about measured series, and how right they would have been.
//!
//! Each series is forecast from origins in its last 30 %. A model sees the values before an origin and nothing else; it
//! is fitted before the first origin and then sees one value after the other, as it would in the running planner.
pub mod candidates;
pub mod cpu;
pub mod dump;
pub mod exceedance;
pub mod explain;
pub mod outcome;
pub mod parallel;
pub mod plot;
pub mod progress;
pub mod read;
pub mod reference;
pub mod replay;
pub mod report;
pub mod score;
pub mod task;

pub use candidates::Chosen;
pub use read::{MeasuredSeries, ReadError, Selection};
pub use report::Report;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use cpu::process_seconds;
use foremesh_core::forecast::model::Model;
use outcome::{Outcome, Settings};
use progress::Progress;
use std::{
    fs::File,
    io::{BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
};
use tokio::time::Instant;

/// Arguments of `foremesh backtest`.
#[derive(Clone, Debug, Args)]
pub struct BacktestArgs {
    /// Folder with index.csv and the files that it names.
    #[arg(long)]
    pub data: PathBuf,
    /// Steps ahead up to which errors are averaged; the longest one is forecast.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 5, 15], value_parser = positive)]
    pub horizons: Vec<usize>,
    /// Only series of these kinds, such as latency,cpu.
    #[arg(long, value_delimiter = ',')]
    pub kinds: Vec<String>,
    /// Only series from these sources, such as nab,smd.
    #[arg(long, value_delimiter = ',')]
    pub families: Vec<String>,
    /// Only these series.
    #[arg(long, value_delimiter = ',')]
    pub series: Vec<String>,
    /// Origins of each series, evenly spaced over its last 30 %.
    #[arg(long, default_value_t = 60, value_parser = positive)]
    pub origins: usize,
    /// `default`, `all` (refits dear models at every origin), or names of models.
    #[arg(long, default_value = "default")]
    pub models: Chosen,
    /// CPU seconds that the refits of one dear model on one series may take, by the model's own statement.
    #[arg(long, default_value_t = 1.0)]
    pub refit_seconds: f64,
    /// Windows that the recurrent net is trained on, once for all series.
    #[arg(long, default_value_t = 100_000, value_parser = positive)]
    pub lstm_windows: usize,
    /// Probability of a breach within the horizon from which on an alarm is raised.
    #[arg(long, default_value_t = 0.5)]
    pub probability: f64,
    /// Writes every forecast to this file: `series_id,origin,step,model,q10,q50,q90,actual`. `origin` is the start of the
    /// first step that is forecast.
    #[arg(long)]
    pub dump: Option<PathBuf>,
    /// Explains this one series instead: its candidates, weights, band and last errors.
    #[arg(long, value_name = "SERIES")]
    pub explain: Option<String>,
    /// Draws the explained series to this SVG file.
    #[arg(long, requires = "explain", value_name = "FILE.svg", value_parser = svg_file)]
    pub plot: Option<PathBuf>,
    /// Threads; as many as there are cores when not given. The result does not depend on it.
    #[arg(long, value_parser = positive)]
    pub threads: Option<usize>,
    /// How the result is printed.
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// One JSON object on one line.
    Json,
}

fn svg_file(text: &str) -> Result<PathBuf, String> {
    let file = PathBuf::from(text);
    if file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svg")) {
        Ok(file)
    } else {
        Err("its name must end in .svg; other programs make other formats of it".to_owned())
    }
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("it must be a whole number of at least 1".to_owned()),
        Ok(number) => Ok(number),
    }
}

/// Runs `foremesh backtest`.
///
/// # Errors
/// When the data cannot be read, a model is not known, or the dump cannot be written.
pub fn backtest(args: &BacktestArgs) -> anyhow::Result<ExitCode> {
    let mut models = candidates::candidates(&args.models)?;
    let selection =
        Selection { kinds: args.kinds.clone(), families: args.families.clone(), series: args.series.clone() };
    let series = read::read(&args.data, &selection)?;
    if let Some(id) = &args.explain
        && !series.iter().any(|series| series.id == *id)
    {
        return Err(ReadError::unknown_series(id, &series).into());
    }
    let horizon = args.horizons.iter().max().copied().unwrap_or(1);
    let training = candidates::train_common_network(&mut models, &series, horizon, args.lstm_windows)
        .context("the recurrent net cannot be trained; leave lstm out of --models, or give longer series")?;
    if let Some(id) = &args.explain {
        return explain_one(args, id, &series, &models);
    }
    let mut report = run(args, &series, &models)?;
    report.lstm_training_cpu_seconds = training.map(|seconds| report::significant(seconds, 4));
    match args.output {
        Format::Json => println!("{}", serde_json::to_string(&report)?),
        Format::Table => println!("{}", report::table::render(&report)),
    }
    Ok(ExitCode::SUCCESS)
}

fn explain_one(
    args: &BacktestArgs,
    id: &str,
    series: &[MeasuredSeries],
    models: &[Box<dyn Model>],
) -> anyhow::Result<ExitCode> {
    let found = series.iter().find(|series| series.id == id);
    let explained = found.and_then(|series| explain::explain(series, models, &settings(args)));
    let explained = explained.with_context(|| {
        format!("series {id} is too short for the horizon; shorten --horizons or give a longer series")
    })?;
    if let Some(file) = &args.plot {
        std::fs::write(file, plot::svg(&explained.plotted))
            .with_context(|| format!("cannot write {}; check the folder", file.display()))?;
    }
    match args.output {
        Format::Json => println!("{}", serde_json::to_string(&explained)?),
        Format::Table => println!("{}", explain::render(&explained)),
    }
    Ok(ExitCode::SUCCESS)
}

fn settings(args: &BacktestArgs) -> Settings {
    let mut horizons = args.horizons.clone();
    horizons.sort_unstable();
    horizons.dedup();
    Settings {
        horizons,
        origins: args.origins,
        refit_us: if args.models == Chosen::All { f64::INFINITY } else { args.refit_seconds * 1e6 },
        probability: args.probability,
        dump: args.dump.is_some(),
    }
}

/// Replays models over series.
///
/// # Errors
/// When the dump cannot be written.
pub fn run(
    args: &BacktestArgs,
    series: &[MeasuredSeries],
    models: &[Box<dyn Model>],
) -> anyhow::Result<Report> {
    let settings = settings(args);
    let threads = args
        .threads
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    let mut dump = match &args.dump {
        Some(file) => {
            let failed = || format!("cannot create {}; check the folder", file.display());
            Some(BufWriter::new(File::create(file).with_context(failed)?))
        }
        None => None,
    };
    if let Some(dump) = &mut dump {
        dump.write_all(dump::HEADER.as_bytes())?;
    }

    let (started, cpu) = (Instant::now(), process_seconds());
    let progress = Progress::new("series", series.len());
    let mut outcomes: Vec<Outcome> = Vec::new();
    let (mut skipped, mut written) = (Vec::new(), Ok(()));
    let work = |series: &MeasuredSeries| {
        let outcome = outcome::outcome(series, models, &settings);
        progress.one_more();
        outcome.ok_or_else(|| series.id.clone())
    };
    parallel::in_order(series, threads, work, |outcome| match outcome {
        Ok(mut outcome) => {
            let lines = std::mem::take(&mut outcome.dump);
            if let (Some(dump), true) = (&mut dump, written.is_ok()) {
                written = dump.write_all(lines.as_bytes());
            }
            outcomes.push(outcome);
        }
        Err(too_short) => skipped.push(too_short),
    });
    written.and_then(|()| dump.as_mut().map_or(Ok(()), Write::flush)).context("cannot write the dump")?;
    let mut report = report::summarise(&outcomes, skipped, models, &settings);
    report.cpu_seconds = report::significant(process_seconds() - cpu, 4);
    report.wall_seconds = report::significant(started.elapsed().as_secs_f64(), 4);
    report.threads = threads;
    Ok(report)
}

#[cfg(test)]
mod tests;
