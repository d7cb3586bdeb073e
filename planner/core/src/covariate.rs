//! External regressors: series that are not ours, such as campaign spend or the length of a queue, and what they do to
//! ours.
//!
//! Like the effects of events they are subtracted from the history before a model sees it and added back to what the
//! model says. What a regressor will be is either known, as of a plan, or forecast itself; then its band widens ours.
mod learn;
#[cfg(test)]
mod tests;

pub use learn::learn;

use crate::{calendar::effects, forecast::LEVELS};
use serde::{Deserialize, Serialize};

/// A regressor over the history.
#[derive(Clone, Copy, Debug)]
pub struct Regressor<'a> {
    /// Its name, unique among the regressors of a series.
    pub name: &'a str,
    /// One value for each step of the history that it explains, `NaN` where it is not known.
    pub values: &'a [f64],
}

/// A regressor over the horizon.
#[derive(Clone, Copy, Debug)]
pub enum Future<'a> {
    /// It is known, as of a plan: one value for each step of the horizon.
    Known(&'a [f64]),
    /// It was forecast: for each step of the horizon a point and the values at [`LEVELS`].
    Forecast {
        /// The points.
        points: &'a [f64],
        /// The bands.
        bands: &'a [[f64; LEVELS.len()]],
    },
}

/// The effect of one regressor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegressorEffect {
    /// Name of the regressor.
    pub name: String,
    /// Steps by which the series follows it.
    pub lag: usize,
    /// Whether the regressor counts by its `asinh`, so that large values count like their logarithm.
    pub compressed: bool,
    /// Scale that it is divided by first.
    pub scale: f64,
    /// Effect on the series, in its unit, of one more on that scale.
    pub slope: f64,
    /// Standard error of `slope`.
    pub slope_error: f64,
    /// Value on that scale at which it has no effect: its median over the history.
    pub reference: f64,
    /// Mean absolute change that is left unexplained in blocks that were not learnt from, as a share of all change.
    pub left: f64,
}

/// The effects of all regressors that have one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RegressorEffects {
    effects: Vec<RegressorEffect>,
}

impl RegressorEffect {
    /// What counts of a value of the regressor.
    fn counted(&self, value: f64) -> f64 {
        counted(value, self.scale, self.compressed)
    }

    /// Effect on a step for which the regressor, `lag` steps before, had this value.
    fn of(&self, value: f64) -> f64 {
        self.slope * (self.counted(value) - self.reference)
    }

    /// The value that acts on a step of the history: the newest known one up to `lag` steps before it.
    fn acting(&self, values: &[f64], index: usize) -> Option<f64> {
        let newest = index.checked_sub(self.lag)?;
        let known = values.get(..=newest.min(values.len().checked_sub(1)?))?;
        known.iter().rev().take(MOST_CARRIED).find(|value| value.is_finite()).copied()
    }

    /// Effect on a step of the horizon, and its variance.
    fn ahead(&self, values: &[f64], future: Future<'_>, index: usize) -> (f64, f64) {
        let (value, deviation) = match index.checked_sub(self.lag) {
            None => (self.acting(values, values.len() + index), 0.0),
            Some(index) => match future {
                Future::Known(known) => (known.get(index).copied(), 0.0),
                Future::Forecast { points, bands } => {
                    let deviation = bands.get(index).map_or(0.0, |band| self.deviation(band));
                    (points.get(index).copied(), deviation)
                }
            },
        };
        // Where a plan ends it is taken to go on as before.
        let value =
            value.filter(|value| value.is_finite()).or_else(|| self.acting(values, values.len() + self.lag));
        let Some(value) = value else { return (0.0, 0.0) };
        let from_slope = self.slope_error * (self.counted(value) - self.reference);
        (self.of(value), from_slope * from_slope + (self.slope * deviation).powi(2))
    }

    /// Standard deviation of what counts of a forecast regressor, by its outermost levels, taken as normal.
    fn deviation(&self, band: &[f64; LEVELS.len()]) -> f64 {
        let last = LEVELS.len() - 1;
        let width = self.counted(band[last]) - self.counted(band[0]);
        let deviation = width / (effects::NORMAL[last] - effects::NORMAL[0]);
        if deviation.is_finite() { deviation.abs() } else { 0.0 }
    }
}

/// Steps over which a regressor that is not known is taken to be what it was.
const MOST_CARRIED: usize = 12;

fn counted(value: f64, scale: f64, compressed: bool) -> f64 {
    let scaled = value / scale;
    if compressed { scaled.asinh() } else { scaled }
}

impl RegressorEffects {
    /// The regressors that have an effect.
    pub fn effects(&self) -> &[RegressorEffect] {
        &self.effects
    }

    /// Whether none has an effect.
    pub fn is_empty(&self) -> bool {
        self.effects.is_empty()
    }

    /// Takes the effects out of a history in place. `regressors` are those that were learnt from, in any order.
    pub fn subtract(&self, values: &mut [f64], regressors: &[Regressor<'_>]) {
        for effect in &self.effects {
            let Some(regressor) = regressors.iter().find(|one| one.name == effect.name) else { continue };
            for (index, value) in values.iter_mut().enumerate() {
                *value -= effect.acting(regressor.values, index).map_or(0.0, |acting| effect.of(acting));
            }
        }
    }

    /// Puts the effects back onto the point and the band of the step `index` of the horizon. `regressors` are the
    /// histories, which a lag may reach into, with what is known of their future; a regressor's own band widens ours.
    pub fn add_back(
        &self,
        index: usize,
        regressors: &[(Regressor<'_>, Future<'_>)],
        point: f64,
        band: [f64; LEVELS.len()],
    ) -> (f64, [f64; LEVELS.len()]) {
        let (mut sum, mut variance) = (0.0, 0.0);
        for effect in &self.effects {
            let Some((regressor, future)) = regressors.iter().find(|(one, _)| one.name == effect.name) else {
                continue;
            };
            let (size, own) = effect.ahead(regressor.values, *future, index);
            sum += size;
            variance += own;
        }
        let middle = band[LEVELS.len() / 2];
        let widened = |level: usize| {
            let other = variance.sqrt() * effects::NORMAL[level];
            middle + sum + effects::widened(band[level] - middle, other)
        };
        (point + sum, std::array::from_fn(widened))
    }
}
