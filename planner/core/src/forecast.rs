//! From a series to a forecast: for each step ahead a point and the distribution around it.
//!
//! A forecast is only made when it can be judged: every candidate model is replayed from origins inside the history
//! ("rolling origins"), the one with the smallest error wins for each part of the horizon, and its own past errors at
//! the same distance are the band. There is no assumption of normal errors, and there is a typed refusal where the
//! history is too short or too old.
mod ahead;
mod bands;
mod calibration;
mod candidates;
mod drift;
mod experts;
mod forecaster;
mod learn;
mod memory;
mod paths;
mod ridge;
mod scale;
mod tracker;
mod weights;
pub use ahead::SamplePaths;
pub use forecaster::{Forecaster, NEED, Shape};
mod holt_winters;
mod last_value;
mod median_last_hour;
pub mod model;
mod seasonal_naive;
mod select;
mod slot_profile;
#[cfg(test)]
mod tests;
mod theta;

pub use bands::{LEVELS, Residuals};
pub use holt_winters::HoltWinters;
pub use last_value::LastValue;
pub use median_last_hour::MedianLastHour;
pub use seasonal_naive::SeasonalNaive;
pub use slot_profile::SlotProfile;
pub use theta::Theta;

use crate::{
    series::Series,
    time::{Step, Timestamp},
    units::{Probability, Quantile},
};
use serde::{Deserialize, Serialize};

/// The models that cost microseconds: all that every series can afford at every step.
pub fn cheap_models() -> Vec<Box<dyn model::Model>> {
    vec![
        Box::new(LastValue),
        Box::new(SeasonalNaive),
        Box::new(MedianLastHour),
        Box::new(SlotProfile),
        Box::new(HoltWinters),
        Box::new(Theta),
    ]
}

/// Values below this bound cannot happen: latencies, rates and CPU use are never negative.
const LOWEST: f64 = 0.0;

/// Fewest past errors that a band is made of. With 20 the outermost levels, 0.05 and 0.95, are each one observed
/// error and not an extrapolation.
pub const MIN_RESIDUALS: usize = 20;

/// What to forecast and how carefully.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForecastSettings {
    /// Steps ahead, at least 1.
    pub horizon: usize,
    /// Length of the season in steps: a day of 1-minute steps is 1440. `None` when no season is expected.
    pub season: Option<usize>,
    /// Most origins that are replayed for one series; bounds the cost. 96 leave an error of about 5 % of probability
    /// on the median, which is below what the distance of the levels can show.
    pub max_origins: usize,
    /// Oldest that the newest value may be, in milliseconds.
    pub stale_limit_ms: i64,
    /// Values above this cannot happen; 1 for a share.
    pub highest: Option<f64>,
}

impl ForecastSettings {
    /// The usual settings for a horizon and season, with values at most `stale_limit_ms` old.
    pub const fn new(horizon: usize, season: Option<usize>, stale_limit_ms: i64) -> Self {
        Self { horizon, season, max_origins: 96, stale_limit_ms, highest: None }
    }

    /// Observed steps without which no forecast is made: the horizon and one origin for each error of the band.
    pub const fn need(&self) -> usize {
        self.horizon + MIN_RESIDUALS + 1
    }
}

/// An interval that the forecast must not learn from, such as one of our own moves: from, inclusive, to, exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excluded {
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment after it.
    pub to: Timestamp,
}

/// Why no forecast was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum ForecastError {
    /// Too few steps have a value.
    #[error(
        "the history has {have} observed steps, but {need} are needed; wait for more traffic or shorten the horizon"
    )]
    NotEnoughHistory {
        /// Observed steps that are not excluded.
        have: usize,
        /// Observed steps needed.
        need: usize,
    },
    /// There are enough values, but too far apart to compare predictions with what came.
    #[error("fewer than {need} past errors could be observed because of gaps; wait for more traffic")]
    TooManyGaps {
        /// Past errors needed.
        need: usize,
    },
    /// The newest value is too old, so nothing is known about now.
    #[error(
        "the newest value is {age_ms} ms old, but at most {limit_ms} ms are allowed; check that data arrives"
    )]
    Stale {
        /// Age of the newest value in milliseconds.
        age_ms: i64,
        /// The limit in milliseconds.
        limit_ms: i64,
    },
    /// There is no value at all.
    #[error("the history is empty; check that the filter is installed and that data arrives")]
    Empty,
    /// The settings ask for no step.
    #[error("the horizon is 0 steps, but must be at least 1")]
    NoHorizon,
}

/// One step of a forecast.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForecastStep {
    /// Start of the step.
    pub at: Timestamp,
    /// What the model says.
    pub point: f64,
    /// Values at each of [`LEVELS`].
    pub quantiles: [f64; LEVELS.len()],
}

/// A part of the horizon with the model that did best on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HorizonPart {
    /// Index of its first step.
    pub first: usize,
    /// Index after its last step.
    pub end: usize,
    /// The chosen model.
    pub model: String,
    /// Its mean absolute error over the replayed origins, in the unit of the series.
    pub mae: f64,
    /// Errors behind that figure.
    pub errors: usize,
}

/// What is expected of one series, step by step, with how far to trust it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Service or node that the series is about.
    pub subject: String,
    /// Name of the quantity with its unit, such as `latency_p99_ms`.
    pub metric: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// Age of the newest value at that time, in milliseconds.
    pub data_age_ms: i64,
    /// Length of a step.
    pub step: Step,
    /// The models in use, `+` between them where parts of the horizon differ.
    pub model: String,
    /// Mean absolute error over all replayed origins and steps, in the unit of the series.
    pub backtest_mae: f64,
    /// Origins that were replayed.
    pub backtest_origins: usize,
    /// The parts of the horizon, nearest first.
    pub parts: Vec<HorizonPart>,
    /// One entry for each step of the horizon; the first is the step that holds `made_at`.
    pub steps: Vec<ForecastStep>,
    /// Values above this cannot happen.
    highest: Option<f64>,
    /// Past errors of the chosen models, shared by neighbouring steps.
    residuals: Vec<Residuals>,
    /// Steps that share one entry of `residuals`.
    steps_per_residuals: usize,
}

impl Forecast {
    /// Probability that the step with this index is above `threshold`, from the model's own past errors at that
    /// distance. `None` beyond the horizon.
    ///
    /// The estimate is `(k + 1/2) / (n + 1)` for `k` of `n` errors, so that a finite history never claims certainty.
    pub fn exceedance(&self, step_index: usize, threshold: f64) -> Option<Probability> {
        let step = self.steps.get(step_index)?;
        let share = self.residuals_of(step_index)?.share_above(threshold - step.point);
        Probability::new(share).ok()
    }

    /// Value at any level for the step with this index, never below 0 nor above what can happen. `None` beyond the horizon.
    pub fn quantile(&self, step_index: usize, level: Quantile) -> Option<f64> {
        let step = self.steps.get(step_index)?;
        let value = step.point + self.residuals_of(step_index)?.quantile(level.get());
        Some(bounded(value, self.highest))
    }

    /// Index of the step that holds `at`.
    pub fn index_at(&self, at: Timestamp) -> Option<usize> {
        let first = self.steps.first()?.at;
        usize::try_from(self.step.count(first, at)).ok().filter(|index| *index < self.steps.len())
    }

    /// Age of the forecast and of the data behind it together, in milliseconds.
    pub fn age_ms(&self, now: Timestamp) -> i64 {
        now.ms_since(self.made_at).saturating_add(self.data_age_ms)
    }

    /// First moment after the last step.
    pub fn end(&self) -> Timestamp {
        self.steps.last().map_or(self.made_at, |step| step.at.plus_ms(self.step.ms()))
    }

    fn residuals_of(&self, step_index: usize) -> Option<&Residuals> {
        self.residuals.get(step_index / self.steps_per_residuals.max(1))
    }
}

/// Forecasts one series from the step that holds `now` on.
///
/// `subject` and `metric` only name the result. Steps inside `excluded` count as gaps. Values at or after the start
/// of the current step are not used: that step is not over.
///
/// # Errors
/// [`ForecastError`] when the history is empty, too short or too old.
pub fn forecast(
    subject: &str,
    metric: &str,
    series: &Series,
    excluded: &[Excluded],
    settings: &ForecastSettings,
    now: Timestamp,
) -> Result<Forecast, ForecastError> {
    if settings.horizon == 0 {
        return Err(ForecastError::NoHorizon);
    }
    let step = series.step();
    let start = step.floor(now);
    let data_age_ms = data_age(series, start, now)?;
    if data_age_ms > settings.stale_limit_ms {
        return Err(ForecastError::Stale { age_ms: data_age_ms, limit_ms: settings.stale_limit_ms });
    }
    let history = prepared(series, start, excluded);
    let have = history.iter().filter(|value| value.is_finite()).count();
    if have < settings.need() {
        return Err(ForecastError::NotEnoughHistory { have, need: settings.need() });
    }
    let selection =
        select::select(&history, step, settings).ok_or(ForecastError::TooManyGaps { need: MIN_RESIDUALS })?;
    let steps = selection.points.iter().enumerate().map(|(index, point)| {
        let residuals = &selection.residuals[index / selection.steps_per_residuals];
        ForecastStep {
            at: start.plus_ms(step.times(index)),
            point: *point,
            quantiles: LEVELS.map(|level| bounded(point + residuals.quantile(level), settings.highest)),
        }
    });
    Ok(Forecast {
        subject: subject.to_owned(),
        metric: metric.to_owned(),
        made_at: now,
        data_age_ms,
        step,
        model: selection.model,
        backtest_mae: selection.mae,
        backtest_origins: selection.origins,
        parts: selection.parts,
        steps: steps.collect(),
        highest: settings.highest,
        residuals: selection.residuals,
        steps_per_residuals: selection.steps_per_residuals,
    })
}

fn bounded(value: f64, highest: Option<f64>) -> f64 {
    value.max(LOWEST).min(highest.unwrap_or(f64::INFINITY))
}

/// Age of the newest finished value. Values from the future, after a clock went back, count as age 0 only when there
/// is one just before `start` too.
fn data_age(series: &Series, start: Timestamp, now: Timestamp) -> Result<i64, ForecastError> {
    let finished = usize::try_from(series.step().count(series.start(), start)).unwrap_or(0);
    let values = &series.values()[..finished.min(series.values().len())];
    let newest = values.iter().rposition(|value| value.is_finite()).ok_or(ForecastError::Empty)?;
    let end = series.start().plus_ms(series.step().times(newest + 1));
    Ok(now.ms_since(end).max(0))
}

/// The history up to `start`, cut or filled with gaps so that it ends there, with the excluded steps as gaps.
/// Values that cannot be (negative, infinite) are gaps too.
fn prepared(series: &Series, start: Timestamp, excluded: &[Excluded]) -> Vec<f64> {
    let step = series.step();
    let length = usize::try_from(step.count(series.start(), start)).unwrap_or(0);
    let mut history = series.values().to_vec();
    history.resize(length, f64::NAN);
    for value in &mut history {
        if !value.is_finite() || *value < LOWEST {
            *value = f64::NAN;
        }
    }
    let index = |at: Timestamp| usize::try_from(step.count(series.start(), at)).unwrap_or(0).min(length);
    for interval in excluded {
        // A step that is excluded in part is excluded.
        let first = index(interval.from);
        let end = index(interval.to.plus_ms(step.ms() - 1));
        for value in history.get_mut(first..end.max(first)).unwrap_or_default() {
            *value = f64::NAN;
        }
    }
    history
}
