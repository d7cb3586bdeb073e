//! A few real forecasts, to be copied: level, rising level, calm latency, latency that passes its objective.
use super::problem::BenchError;
use foremesh_core::{
    forecast::{Forecast, ForecastSettings, forecast},
    series::Series,
    time::{Step, Timestamp},
};

/// Steps of a "day", after which what happened before comes again.
const DAY: usize = 60;

/// Steps of the history.
const SEEN: usize = 3 * DAY;

/// Steps ahead.
const HORIZON: usize = 45;

/// Step of the day from which on it is different.
const NOON: usize = 15;

/// Levels of latency, in milliseconds, for which there is a pattern; the nearest is taken.
const LATENCIES: [f64; 6] = [20.0, 40.0, 60.0, 80.0, 100.0, 130.0];

/// How far above the objective it goes at noon, as a multiple of the level.
const SLOWER: f64 = 9.0;

/// Real forecasts that others are copied from.
#[derive(Debug)]
pub(super) struct Patterns {
    level: Forecast,
    calm: Vec<Forecast>,
    breach: Vec<Forecast>,
}

impl Patterns {
    pub(super) fn new(now: Timestamp) -> Result<Self, BenchError> {
        let of = |daily: &dyn Fn(usize) -> f64| {
            let value = |step: usize| daily(step % DAY) * (1.0 + 0.01 * ((step * 7 % 11) as f64 / 5.0 - 1.0));
            let start = now.plus_ms(-Step::MINUTE.times(SEEN));
            let history = Series::new(start, Step::MINUTE, (0..SEEN).map(value).collect());
            let settings = ForecastSettings::new(HORIZON, Some(DAY), 5 * Step::MINUTE.ms());
            forecast("bench", "bench", &history, &[], &settings, now)
                .map_err(|error| BenchError::MadeUp(error.to_string()))
        };
        let noon = |step: usize| (NOON..DAY - 5).contains(&step);
        let calm: Result<_, _> = LATENCIES.iter().map(|ms| of(&|_| *ms)).collect();
        let breach: Result<_, _> = LATENCIES
            .iter()
            .map(|ms| of(&|step| if noon(step) { (SLOWER * ms).max(320.0) } else { *ms }))
            .collect();
        Ok(Self { level: of(&|_| 1.0)?, calm: calm?, breach: breach? })
    }

    /// A level.
    pub(super) fn flat(&self, subject: &str, metric: &str, level: f64) -> Forecast {
        scaled(&self.level, subject, metric, |_| level)
    }

    /// A level until noon, and another one from then on.
    pub(super) fn rising(&self, subject: &str, metric: &str, from: f64, to: f64) -> Forecast {
        scaled(&self.level, subject, metric, |step| match step {
            0..NOON => from,
            _ => to,
        })
    }

    /// A latency that stays about what it is.
    pub(super) fn calm(&self, subject: &str, metric: &str, ms: f64) -> Forecast {
        named(&self.calm[nearest(ms)], subject, metric)
    }

    /// A latency that passes the objective at noon.
    pub(super) fn breach(&self, subject: &str, metric: &str, ms: f64) -> Forecast {
        named(&self.breach[nearest(ms)], subject, metric)
    }
}

fn nearest(ms: f64) -> usize {
    let distance = |at: &usize| (LATENCIES[*at] - ms).abs();
    (0..LATENCIES.len()).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(0)
}

fn named(pattern: &Forecast, subject: &str, metric: &str) -> Forecast {
    let mut copy = pattern.clone();
    subject.clone_into(&mut copy.subject);
    metric.clone_into(&mut copy.metric);
    copy
}

/// Multiplies each step's distribution. The joint paths stay those of the pattern, around 1: nobody asks for those of a
/// throughput or of a node's CPU.
fn scaled(pattern: &Forecast, subject: &str, metric: &str, level: impl Fn(usize) -> f64) -> Forecast {
    let mut made = named(pattern, subject, metric);
    for (index, step) in made.steps.iter_mut().enumerate() {
        let factor = level(index);
        step.point *= factor;
        step.quantiles.iter_mut().for_each(|value| *value *= factor);
    }
    made.highest *= level(HORIZON);
    made
}
