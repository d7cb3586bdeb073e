//! What the streaming forecaster costs: CPU of an update and of a forecast, memory of a series, and both end to end with
//! the store.
//!
//! Every series is filled with more than a season first, so that all of its state is in use. Then whole steps are
//! measured: one value for each series, then one forecast of each. Making up the values is not measured.
mod fleet;
mod stored;

pub use fleet::MadeUp;

use super::ingest::{BenchError, own_number};
use crate::backtest::{cpu::Cpu, parallel, progress::Progress, report::significant, score::median};
use fleet::Fleet;
use serde::Serialize;

/// What to run.
#[derive(Clone, Debug)]
pub struct ForecastBench {
    /// Series.
    pub series: usize,
    /// Steps ahead.
    pub horizon: usize,
    /// Steps of a season, which is a day.
    pub season: usize,
    /// Steps that every series has seen before the measurement.
    pub history: usize,
    /// CPU seconds to measure at least.
    pub seconds: f64,
    /// Seed of the values.
    pub seed: u64,
    /// Also runs end to end with the embedded store.
    pub store: bool,
    /// Threads that fill the series; the measurement is on one.
    pub threads: usize,
}

/// What was measured. Times are CPU times.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ForecastReport {
    /// Series.
    pub series: usize,
    /// Steps ahead.
    pub horizon: usize,
    /// Steps of a season.
    pub season: usize,
    /// Steps that every series had seen.
    pub history: usize,
    /// Steps that were measured.
    pub steps: usize,
    /// One update of one series, in microseconds: the median over the measured steps.
    pub us_per_update: f64,
    /// One forecast of the whole horizon with its quantiles, in microseconds; the solving of the ridge is in it.
    pub us_per_forecast: f64,
    /// Series that one core updates and forecasts in a second.
    pub series_per_second_and_core: f64,
    /// One step of all series, in seconds.
    pub cpu_seconds_per_step: f64,
    /// Growth of the resident memory by one series, in bytes.
    pub rss_bytes_per_series: f64,
    /// Size of the state of one series as it says itself, in bytes.
    pub state_bytes_per_series: f64,
    /// Highest memory of the process, in MiB.
    pub peak_rss_mib: f64,
    /// CPU time to fill one series, in microseconds for each step.
    pub us_per_step_of_filling: f64,
    /// The same end to end, where asked for.
    pub store: Option<StoreReport>,
}

/// One step of all series through the store, in CPU seconds of the whole process: the median over the measured steps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoreReport {
    /// Steps that were measured.
    pub steps: usize,
    /// Readings are made durable, rolled up into three levels.
    pub append_cpu_seconds: f64,
    /// What changed is asked for and read back.
    pub read_cpu_seconds: f64,
    /// Every series takes its new value.
    pub update_cpu_seconds: f64,
    /// Every series is forecast.
    pub forecast_cpu_seconds: f64,
    /// All of these.
    pub cpu_seconds_per_step: f64,
    /// Size of the file and its log after the last step, in MiB.
    pub file_mib: f64,
    /// Highest memory of the process, in MiB.
    pub peak_rss_mib: f64,
}

/// Runs the benchmark.
///
/// # Errors
/// When a setting is 0, or the store fails or gives back something else than it was given.
pub async fn run(bench: &ForecastBench) -> Result<ForecastReport, BenchError> {
    for (name, value) in
        [("--series", bench.series), ("--horizon", bench.horizon), ("--season", bench.season)]
    {
        if value == 0 {
            return Err(BenchError::Zero { name });
        }
    }
    let rss_before = rss_bytes();
    let (mut fleet, filling) = fill(bench);
    let rss_each = (rss_bytes() - rss_before) / bench.series as f64;
    let (mut updates, mut forecasts) = (Vec::new(), Vec::new());
    while updates.len() < 3 || updates.iter().chain(&forecasts).sum::<f64>() < bench.seconds {
        fleet.make_up();
        let cpu = Cpu::start();
        fleet.update();
        updates.push(cpu.seconds());
        let cpu = Cpu::start();
        fleet.forecast();
        forecasts.push(cpu.seconds());
    }
    let steps = updates.len();
    let each = |times: Vec<f64>| median(times).unwrap_or_default() * 1e6 / bench.series as f64;
    let (update, forecast) = (each(updates), each(forecasts));
    let store = if bench.store { Some(stored::measure(bench, &mut fleet).await?) } else { None };
    Ok(ForecastReport {
        series: bench.series,
        horizon: bench.horizon,
        season: bench.season,
        history: bench.history,
        steps,
        us_per_update: significant(update, 4),
        us_per_forecast: significant(forecast, 4),
        series_per_second_and_core: significant(1e6 / (update + forecast), 4),
        cpu_seconds_per_step: significant((update + forecast) * bench.series as f64 / 1e6, 4),
        rss_bytes_per_series: significant(rss_each, 4),
        state_bytes_per_series: significant(fleet.state_bytes(), 4),
        peak_rss_mib: peak_rss_mib(),
        us_per_step_of_filling: significant(filling, 4),
        store,
    })
}

/// Fills all series in parallel; also says what one step of one series cost.
fn fill(bench: &ForecastBench) -> (Fleet, f64) {
    /// Series that are filled in one piece of work.
    const PIECE: usize = 500;
    let pieces: Vec<std::ops::Range<usize>> =
        (0..bench.series).step_by(PIECE).map(|from| from..(from + PIECE).min(bench.series)).collect();
    let progress = Progress::new("pieces of series filled", pieces.len());
    let (mut fleet, mut seconds) = (Fleet::empty(bench), 0.0);
    let work = |piece: &std::ops::Range<usize>| {
        let cpu = Cpu::start();
        let filled = Fleet::filled(bench, piece.clone());
        let spent = cpu.seconds();
        progress.one_more();
        (filled, spent)
    };
    parallel::in_order(&pieces, bench.threads, work, |(piece, spent)| {
        fleet.join(piece);
        seconds += spent;
    });
    (fleet, seconds * 1e6 / (bench.series * bench.history.max(1)) as f64)
}

fn rss_bytes() -> f64 {
    own_number("status", "VmRSS:") as f64 * 1024.0
}

fn peak_rss_mib() -> f64 {
    significant(own_number("status", "VmHWM:") as f64 / 1024.0, 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_figure_is_measured_with_and_without_the_store() {
        let bench = ForecastBench {
            series: 20,
            horizon: 6,
            season: 24,
            history: 60,
            seconds: 0.0,
            seed: 1,
            store: true,
            threads: 2,
        };
        let report = run(&bench).await.unwrap();
        assert_eq!(report.steps, 3);
        assert!(report.us_per_update > 0.0 && report.us_per_forecast > 0.0, "{report:?}");
        assert!(report.state_bytes_per_series > 1000.0, "{report:?}");
        let store = report.store.unwrap();
        assert!(store.append_cpu_seconds > 0.0 && store.read_cpu_seconds > 0.0, "{store:?}");
        let none = run(&ForecastBench { series: 0, ..bench }).await.unwrap_err();
        assert_eq!(none.to_string(), "--series must be at least 1, but 0 was given");
    }
}
