//! What the streaming forecaster says: points, bands and joint paths, in the unit of the series.
use super::{
    ForecastError, LEVELS,
    beyond::Run,
    calibration::Calibration,
    candidates::RIDGE,
    forecaster::{Forecaster, NEED, UNSURE},
    levels::at_level,
    model::{BreachWindow, Prediction},
    paths::{KNOTS, between},
    scale::units,
    tracker::storm,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A forecast never leaves the range of the history by more than this share of it.
const BEYOND: f64 = 0.25;

/// With so many values it may leave their range by all of it, with fewer by more, up to four times, with more by less.
const YOUNG: f64 = 24.0;
const MOST_BEYOND: f64 = 4.0;

/// With fewer past paths assumed ones are added.
const ENOUGH: usize = 16;

/// Paths are kept in half the width of other numbers; 7 digits are more than a sample can tell.
const F32: f64 = f32::MAX as f64;

/// Sample paths of the horizon that hang together as past ones did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SamplePaths {
    /// Row by row, each as long as the horizon; in the unit of the series. Whoever has a copy of a forecast shares them.
    pub(super) values: Arc<[f32]>,
    /// Steps of one path.
    pub(super) horizon: usize,
    pub(super) calibration: Calibration,
}

impl Forecaster {
    /// Writes the forecast of the next steps, at most the horizon, each with quantiles; steps beyond stay unknown.
    ///
    /// # Errors
    /// [`ForecastError::NotEnoughHistory`] before [`NEED`] values were observed, or one after
    /// [`Forecaster::like`].
    pub fn forecast(&mut self, out: &mut [Prediction]) -> Result<(), ForecastError> {
        let (Some(scale), false) = (self.scale, self.memory.levels.last.is_nan()) else {
            return Err(ForecastError::NotEnoughHistory { have: self.observed(), need: NEED });
        };
        let origin = self.memory.steps;
        for expert in &mut self.experts {
            if !expert.current(origin) && !expert.predict(origin, &scale) {
                self.failures += 1;
            }
        }
        self.refit();
        self.refresh();
        let storm = storm(self.spread);
        let sure = if self.memory.steps < self.unsure_until { UNSURE } else { 1.0 };
        let bands: [[f32; LEVELS.len()]; KNOTS] =
            std::array::from_fn(|knot| self.trackers[knot].band(storm).map(|distance| distance * sure));
        let now = self.season_now();
        let (lowest, highest) = self.bounds();
        for prediction in out.iter_mut().skip(self.shape.horizon) {
            *prediction = Prediction::UNKNOWN;
        }
        for (index, prediction) in out.iter_mut().enumerate().take(self.shape.horizon) {
            let place = between(&self.knots, index + 1);
            let (upper, share) = place;
            let candidates = self.candidates(now.as_ref(), index + 1, place);
            let point = self.combine(&candidates, index + 1, place);
            let (high, low) = (&bands[upper], &bands[upper.saturating_sub(1)]);
            let mut quantiles = [0.0; LEVELS.len()];
            for (level, quantile) in quantiles.iter_mut().enumerate() {
                let distance = high[level] + share * (low[level] - high[level]);
                let value =
                    scale.centre + scale.unit * f64::from(units((point + distance).clamp(-24.5, 24.5)));
                *quantile = value.clamp(lowest, highest);
            }
            let point = scale.value(point).clamp(lowest, highest);
            quantiles[LEVELS.len() / 2] = point;
            for level in (0..LEVELS.len() / 2).rev() {
                quantiles[level] = quantiles[level].min(quantiles[level + 1]);
                let mirrored = LEVELS.len() - 1 - level;
                quantiles[mirrored] = quantiles[mirrored].max(quantiles[mirrored - 1]);
            }
            *prediction = Prediction { point, quantiles: Some(quantiles) };
        }
        Ok(())
    }

    /// What the ridge says without the others.
    pub(super) fn ridge_alone(&mut self, out: &mut [Prediction]) {
        out.fill(Prediction::UNKNOWN);
        let Some(scale) = self.scale else { return };
        self.refit();
        let now = self.season_now();
        let (lowest, highest) = self.bounds();
        for (index, said) in out.iter_mut().enumerate().take(self.shape.horizon) {
            let candidates = self.candidates(now.as_ref(), index + 1, between(&self.knots, index + 1));
            let ridge = candidates[RIDGE];
            if !ridge.is_nan() {
                said.point = scale.value(ridge).clamp(lowest, highest);
            }
        }
    }

    /// Values that a forecast stays within: a quarter of the range of the history beyond it, and what can happen.
    pub fn bounds(&self) -> (f64, f64) {
        // Halved first: the range of two huge values may not be finite.
        let range = (self.highest / 2.0 - self.lowest / 2.0) * 2.0;
        // A few values do not tell the range.
        let observed = self.observed() as f64;
        let share = (YOUNG / observed.max(1.0)).clamp(BEYOND, MOST_BEYOND);
        let beyond = range.max(self.like_range * (YOUNG / observed.max(YOUNG))) * share;
        let beyond = beyond.min(f64::MAX / 4.0);
        let lowest = (self.lowest - beyond).max(self.shape.lowest.unwrap_or(-f64::MAX)).max(-f64::MAX);
        let highest = (self.highest + beyond).min(self.shape.highest.unwrap_or(f64::MAX)).min(f64::MAX);
        (lowest, highest.max(lowest))
    }

    /// Mean absolute error of the newer half of the past forecasts that are kept, over the knots of the horizon and in the unit of the
    /// series, and their number.
    pub fn past_error(&self) -> (f64, usize) {
        let Some(scale) = self.scale else { return (0.0, 0) };
        let (mut sum, mut count, mut origins) = (0.0, 0usize, 0);
        let over = |path: &&super::paths::Path| path.over(&self.memory, self.shape.horizon);
        // The newer half: the older ones were made by a forecaster that knew less.
        let older = self.paths.iter().filter(over).count() / 2;
        for path in self.paths.iter().filter(over).skip(older) {
            origins += 1;
            for (knot, ahead) in self.knots.into_iter().enumerate() {
                let (said, actual) = path.at_knot(&self.memory, knot, ahead);
                if !actual.is_nan() {
                    sum += (f64::from(units(said)) - f64::from(units(actual))).abs();
                    count += 1;
                }
            }
        }
        ((sum / count.max(1) as f64 * scale.unit).min(f64::MAX), origins)
    }

    /// Sample paths around points made by [`Self::forecast`]: each follows the errors of one past forecast over the
    /// whole horizon, so that what hangs together stays together.
    pub fn sample_paths(&self, points: &[Prediction]) -> SamplePaths {
        let horizon = points.len().min(self.shape.horizon);
        let calibration = self.calibration;
        let Some(scale) = self.scale else {
            return SamplePaths { values: Arc::default(), horizon, calibration };
        };
        let storm = storm(self.spread);
        let sure = if self.memory.steps < self.unsure_until { UNSURE } else { 1.0 };
        let (lowest, highest) = self.bounds();
        let centres: Vec<f32> = points.iter().take(horizon).map(|said| scale.model(said.point)).collect();
        let places: Vec<(usize, f32)> = (1..=horizon).map(|ahead| between(&self.knots, ahead)).collect();
        let value = |point: f32, error: f32| {
            // A path is kept with 7 digits, which the fast way has as well.
            let distance = f64::from(units((point + error * sure).clamp(-24.5, 24.5)));
            (scale.centre + scale.unit * distance).clamp(lowest, highest).clamp(-F32, F32) as f32
        };
        let mut values = Vec::new();
        let mut count = 0;
        for path in self.paths.iter().filter(|path| path.over(&self.memory, horizon)) {
            let mut error = 0.0;
            let mut known = 0;
            let begin = values.len();
            for (index, centre) in centres.iter().enumerate() {
                let relative = path.error(&self.memory, index + 1, places[index]);
                if !relative.is_nan() {
                    error = self.trackers[places[index].0].corrected(relative, storm);
                    known += 1;
                }
                values.push(value(*centre, error));
            }
            if 2 * known < horizon {
                values.truncate(begin);
            } else {
                count += 1;
            }
        }
        // Assumed paths run along one level of the band.
        let missing = ENOUGH.saturating_sub(count);
        for index in 0..missing {
            let level = (index as f64 + 0.5) / missing as f64;
            let bands = points.iter().take(horizon).map(|said| {
                said.quantiles
                    .map_or(said.point, |quantiles| at_level(&quantiles, level).clamp(lowest, highest))
            });
            values.extend(bands.map(|value| value.clamp(-F32, F32) as f32));
        }
        SamplePaths { values: values.into(), horizon, calibration }
    }
}

impl SamplePaths {
    /// The one path of what is known, often enough that its probability is near 0 or 1.
    pub(super) fn certain(values: &[f64]) -> Self {
        let path = values.iter().map(|value| value.clamp(-F32, F32) as f32);
        let paths = std::iter::repeat_n(path, ENOUGH).flatten();
        Self { values: paths.collect(), horizon: values.len(), calibration: Calibration::NONE }
    }

    /// Forgets the first steps of each path.
    pub(super) fn drop_first(&mut self, steps: usize) {
        let (steps, horizon) = (steps.min(self.horizon), self.horizon.max(1));
        self.values = self.values.chunks_exact(horizon).flat_map(|path| &path[steps..]).copied().collect();
        self.horizon -= steps;
    }

    /// Forgets all but the first steps of each path.
    pub(super) fn keep_first(&mut self, steps: usize) {
        let (steps, horizon) = (steps.min(self.horizon), self.horizon.max(1));
        self.values = self.values.chunks_exact(horizon).flat_map(|path| &path[..steps]).copied().collect();
        self.horizon = steps;
    }

    /// Changes each value, given its step.
    pub(super) fn change(&mut self, change: impl Fn(usize, f64) -> f64) {
        let horizon = self.horizon.max(1);
        let changed = self
            .values
            .iter()
            .enumerate()
            .map(|(place, value)| change(place % horizon, f64::from(*value)).clamp(-F32, F32) as f32);
        self.values = changed.collect();
    }

    /// The paths, each as long as the horizon.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.horizon.max(1))
    }

    /// Probability that something holds for the path, by counting: `(k + 1/2) / (n + 1)` for `k` of `n` paths, so that
    /// a finite sample never claims certainty, then mapped so that it comes true as often as it says.
    pub(super) fn probability(&self, holds: impl Fn(&[f32]) -> bool) -> f64 {
        self.probability_of(self.iter().filter(|path| holds(path)).count())
    }

    /// The same for so many of the paths.
    pub(super) fn probability_of(&self, count: usize) -> f64 {
        let all = self.iter().count();
        self.calibration.of((count as f64 + 0.5) / (all as f64 + 1.0))
    }

    /// Probability of a breach in a window that begins at step `first` of the horizon; see [`BreachWindow`]. Steps beyond
    /// the horizon do not count.
    pub fn breach(&self, window: &BreachWindow, first: usize) -> f64 {
        self.probability(|path| begins(path, window, first).is_some())
    }

    /// Step of the horizon at which the breach begins, in the middle one of the paths that have one.
    pub(super) fn first_breach(&self, window: &BreachWindow, first: usize) -> Option<usize> {
        let mut begun: Vec<usize> = self.iter().filter_map(|path| begins(path, window, first)).collect();
        begun.sort_unstable();
        begun.get(begun.len() / 2).copied()
    }
}

/// Step at which the breach begins on a path.
fn begins(path: &[f32], window: &BreachWindow, first: usize) -> Option<usize> {
    let end = first.saturating_add(window.within);
    let run = Run { steps: window.steps, of: window.of, first, end };
    run.begins(path.len(), |at| f64::from(path[at]) > window.threshold)
}
