//! How well known events are forecast: effects are put into measured series at random times, and the error within an
//! event that nobody has seen yet is compared with that of Prophet, of a forecast without a calendar, and of one that
//! knows the effect.
mod dump;
mod effect;
mod forecasts;
mod random;
mod report;
mod table;
mod task;
#[cfg(test)]
mod tests;

pub use effect::Effect;
pub use forecasts::Forecasts;
pub use report::{EffectReport, Errors, EventsReport, Ratio};
pub use table::render;
pub use task::EventTask;

use crate::backtest::{MeasuredSeries, parallel, progress::Progress};
use anyhow::{Context as _, ensure};
use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::PathBuf,
};

/// What to run.
#[derive(Clone, Debug)]
pub struct EventsBench {
    /// Seeds; each draws tasks of its own.
    pub seeds: Vec<u64>,
    /// Tasks of each seed at most.
    pub tasks: usize,
    /// Standard deviation of the strength of the effect in each step, as a share of the effect.
    pub noise: f64,
    /// Past events of each task; as many as there is room for when not given.
    pub occurrences: Option<usize>,
    /// Past events without which a piece of a series is no task.
    pub fewest: usize,
    /// Steps of an event.
    pub length: usize,
    /// Steps ahead.
    pub horizon: usize,
    /// Steps of the history at most.
    pub history: usize,
    /// File that every forecast is written to.
    pub dump: Option<PathBuf>,
    /// Threads; the result does not depend on them.
    pub threads: usize,
}

/// Runs the benchmark on measured series.
///
/// # Errors
/// When a setting makes no task possible, no series gives one, or the dump cannot be written.
pub fn run(bench: &EventsBench, series: &[MeasuredSeries]) -> anyhow::Result<EventsReport> {
    ensure!(bench.length > 0 && bench.tasks > 0, "--length and --tasks must be at least 1");
    ensure!(
        bench.length <= bench.horizon,
        "an event of {} steps does not fit into a horizon of {}; raise --horizon or lower --length",
        bench.length,
        bench.horizon
    );
    let tasks: Vec<EventTask> =
        bench.seeds.iter().flat_map(|seed| task::draw(series, bench, *seed)).collect();
    ensure!(
        !tasks.is_empty(),
        "no series gives a task: their steps must be 60 or 300 s, and about {} events, 18 hours apart, must fit before \
         the last 30 %; give longer series or fewer --occurrences",
        bench.occurrences.unwrap_or(bench.fewest)
    );
    let mut dump = match &bench.dump {
        Some(file) => {
            let failed = || format!("cannot create {}; check the folder", file.display());
            Some(BufWriter::new(File::create(file).with_context(failed)?))
        }
        None => None,
    };
    let mut written = dump.as_mut().map_or(Ok(()), |dump| dump.write_all(dump::HEADER.as_bytes()));
    let progress = Progress::new("tasks", tasks.len());
    let work = |task: &EventTask| {
        let made = forecasts::forecasts(task);
        progress.one_more();
        made
    };
    let (mut made, mut index) = (Vec::new(), 0);
    parallel::in_order(&tasks, bench.threads, work, |forecasts| {
        if let (Some(dump), Some(forecasts), true) = (&mut dump, &forecasts, written.is_ok()) {
            written = dump.write_all(dump::lines(index, &tasks[index], forecasts).as_bytes());
        }
        made.push(forecasts);
        index += 1;
    });
    written.and_then(|()| dump.as_mut().map_or(Ok(()), BufWriter::flush)).context("cannot write the dump")?;
    Ok(report::summarise(bench, &tasks, &made))
}
