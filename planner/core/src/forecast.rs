//! From a series to a forecast: for each step ahead a point and the distribution around it.
//!
//! Several cheap models and a streaming ridge run side by side on every series. Each is judged by its own past errors at
//! the same distance ahead ("rolling origins"), and they are combined by that. The combination's own past errors, kept
//! as whole paths, are the bands and the breach probabilities. There is no assumption of normal errors, and there is a
//! typed refusal where the history is too short or too old.
mod ahead;
mod beyond;
mod calibration;
mod candidates;
mod carried;
mod combined;
mod drift;
mod experts;
mod forecaster;
mod holt_winters;
mod kept;
mod last_value;
mod learn;
mod levels;
mod median_last_hour;
mod memory;
pub mod model;
mod outlook;
mod paths;
mod restrict;
mod rewritten;
mod ridge;
mod scale;
mod seasonal_naive;
mod slot_profile;
#[cfg(test)]
mod tests;
mod theta;
mod tracker;
mod weights;

pub use ahead::SamplePaths;
pub(crate) use beyond::Run;
pub use combined::Combined;
pub use forecaster::{Forecaster, NEED, Shape};
pub use holt_winters::HoltWinters;
pub use last_value::LastValue;
pub use levels::LEVELS;
pub use median_last_hour::MedianLastHour;
pub use outlook::{Exhaustion, Forecast, ForecastStep};
pub use ridge::Ridge;
pub use seasonal_naive::SeasonalNaive;
pub use slot_profile::SlotProfile;
pub use theta::Theta;

use crate::{
    series::Series,
    time::{Step, Timestamp},
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
        Box::new(Ridge),
        Box::new(Combined::default()),
    ]
}

/// Values below this bound cannot happen: latencies, rates and CPU use are never negative.
const LOWEST: f64 = 0.0;

/// What to forecast and how carefully.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForecastSettings {
    /// Steps ahead, at least 1.
    pub horizon: usize,
    /// Length of the season in steps: a day of 1-minute steps is 1440. `None` when no season is expected.
    pub season: Option<usize>,
    /// Oldest that the newest value may be, in milliseconds.
    pub stale_limit_ms: i64,
    /// Values above this cannot happen; 1 for a share.
    pub highest: Option<f64>,
}

impl ForecastSettings {
    /// The usual settings for a horizon and season, with values at most `stale_limit_ms` old.
    pub const fn new(horizon: usize, season: Option<usize>, stale_limit_ms: i64) -> Self {
        Self { horizon, season, stale_limit_ms, highest: None }
    }

    /// Observed steps without which no forecast is made.
    pub const fn need(&self) -> usize {
        NEED
    }

    /// The shape of a series with this step.
    pub const fn shape(&self, step: Step) -> Shape {
        Shape {
            step,
            season: self.season,
            horizon: self.horizon,
            lowest: Some(LOWEST),
            highest: self.highest,
        }
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
    #[error("the history has {have} observed steps, but {need} are needed; wait for more traffic")]
    NotEnoughHistory {
        /// Observed steps that are not excluded.
        have: usize,
        /// Observed steps needed.
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

/// Forecasts one series from its history up to the step that holds `now`, which is not over and not used. Intervals in
/// `excluded` are not learnt from; after each of them the level starts anew, because something was changed.
///
/// # Errors
/// [`ForecastError`] when the history is too short, too old, or empty, or the horizon is 0.
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
    let length = usize::try_from(step.count(series.start(), start)).unwrap_or(0);
    let mut forecaster = Forecaster::new(settings.shape(step));
    let mut known = series.values().iter().copied().take(length);
    let mut fed = 0;
    let index = |at: Timestamp| usize::try_from(step.count(series.start(), at)).unwrap_or(0).min(length);
    // A step that is excluded in part is excluded.
    let mut cuts: Vec<(usize, usize)> =
        excluded.iter().map(|cut| (index(cut.from), index(cut.to.plus_ms(step.ms() - 1)))).collect();
    cuts.retain(|(first, end)| first < end);
    cuts.sort_unstable();
    for (first, end) in cuts {
        (fed..first).for_each(|_| forecaster.observe(known.next().unwrap_or(f64::NAN)));
        fed = fed.max(first);
        if end > fed {
            let cut = end - fed;
            known.by_ref().take(cut).for_each(|_| ());
            forecaster.skip(cut as u64);
            forecaster.reseed();
            fed = end;
        }
    }
    for value in known {
        forecaster.observe(value);
        fed += 1;
    }
    forecaster.skip(length.saturating_sub(fed) as u64);
    forecaster.outlook(subject, metric, now, data_age_ms)
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
