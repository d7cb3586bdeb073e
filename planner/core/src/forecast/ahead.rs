//! What the streaming forecaster says: points, bands and joint paths, in the unit of the series.
use super::{
    ForecastError, LEVELS,
    calibration::Calibration,
    forecaster::{Forecaster, NEED, UNSURE},
    model::Prediction,
    paths::{KNOTS, between},
    scale::units,
    tracker::storm,
};

/// A forecast never leaves the range of the history by more than this share of it.
const BEYOND: f64 = 0.25;

/// With fewer past paths assumed ones are added.
const ENOUGH: usize = 16;

/// Sample paths of the horizon that hang together as past ones did.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplePaths {
    /// Row by row, each as long as the horizon; in the unit of the series.
    pub(super) values: Vec<f32>,
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

    /// Values that a forecast stays within: a quarter of the range of the history beyond it, and what can happen.
    pub fn bounds(&self) -> (f64, f64) {
        // Halved first: the range of two huge values may not be finite.
        let beyond = (self.highest / 2.0 - self.lowest / 2.0) * 2.0 * BEYOND;
        let beyond = beyond.min(f64::MAX / 4.0);
        let lowest = (self.lowest - beyond).max(self.shape.lowest.unwrap_or(-f64::MAX)).max(-f64::MAX);
        let highest = (self.highest + beyond).min(self.shape.highest.unwrap_or(f64::MAX)).min(f64::MAX);
        (lowest, highest.max(lowest))
    }

    /// Sample paths around points made by [`Self::forecast`]: each follows the errors of one past forecast over the
    /// whole horizon, so that what hangs together stays together.
    pub fn sample_paths(&self, points: &[Prediction]) -> SamplePaths {
        let horizon = points.len().min(self.shape.horizon);
        let calibration = self.calibration;
        let Some(scale) = self.scale else { return SamplePaths { values: Vec::new(), horizon, calibration } };
        let storm = storm(self.spread);
        let sure = if self.memory.steps < self.unsure_until { UNSURE } else { 1.0 };
        let (lowest, highest) = self.bounds();
        let centres: Vec<f32> = points.iter().take(horizon).map(|said| scale.model(said.point)).collect();
        let places: Vec<(usize, f32)> = (1..=horizon).map(|ahead| between(&self.knots, ahead)).collect();
        let value = |point: f32, error: f32| scale.value(point + error * sure).clamp(lowest, highest) as f32;
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
            values.extend(bands.map(|value| value as f32));
        }
        SamplePaths { values, horizon, calibration }
    }
}

/// Value at a level between 0 and 1 from the values at [`LEVELS`]: linear between them, and carried on beyond them as
/// far again as the outermost two lie apart.
pub(super) fn at_level(quantiles: &[f64; LEVELS.len()], level: f64) -> f64 {
    let last = LEVELS.len() - 1;
    let upper = LEVELS.iter().position(|at| *at >= level).unwrap_or(last).max(1);
    let share = (level - LEVELS[upper - 1]) / (LEVELS[upper] - LEVELS[upper - 1]);
    let (low, high) = (quantiles[upper - 1], quantiles[upper]);
    // Weighted rather than added up, so that two huge values of different sign do not overflow.
    let share = share.clamp(-1.0, 2.0);
    low * (1.0 - share) + high * share
}

/// Level at which a value lies, between half and whole of the outermost level's rest; the inverse of [`at_level`].
/// A value that several levels share lies at the highest of them.
pub(super) fn level_of(quantiles: &[f64; LEVELS.len()], value: f64) -> f64 {
    let last = LEVELS.len() - 1;
    let below = quantiles.partition_point(|quantile| *quantile <= value);
    let least = LEVELS[0] / 5.0;
    if below == 0 {
        let width = quantiles[1] - quantiles[0];
        let share = if width > 0.0 { (quantiles[0] - value) / width } else { 1.0 };
        return LEVELS[0] - (LEVELS[0] - least) * share.min(1.0);
    }
    if below == LEVELS.len() {
        let width = quantiles[last] - quantiles[last - 1];
        let share = if width > 0.0 { (value - quantiles[last]) / width } else { 1.0 };
        return LEVELS[last] + (LEVELS[0] - least) * share.min(1.0);
    }
    let (low, high) = (quantiles[below - 1], quantiles[below]);
    let share = if high > low { (value - low) / (high - low) } else { 0.0 };
    LEVELS[below - 1] + share * (LEVELS[below] - LEVELS[below - 1])
}

impl SamplePaths {
    /// (raw, calibrated)
    pub fn breach(&self, window: &super::model::BreachWindow, first: usize) -> (f64, f64) {
        let (mut hit, mut all) = (0.0, 0.0);
        for path in self.values.chunks_exact(self.horizon.max(1)) {
            all += 1.0;
            let end = (first + window.within).min(self.horizon);
            let fires = (first..end).any(|start| {
                let stop = (start + window.of.max(window.steps).max(1)).min(self.horizon);
                path[start..stop].iter().filter(|value| f64::from(**value) > window.threshold).count()
                    >= window.steps.max(1)
            });
            hit += f64::from(u8::from(fires));
        }
        let raw = (hit + 0.5) / (all + 1.0);
        (raw, self.calibration.of(raw))
    }
}
