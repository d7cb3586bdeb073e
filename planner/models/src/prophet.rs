//! Prophet: a piecewise linear trend, Fourier seasons, holidays and regressors.
//!
//! After Taylor and Letham, "Forecasting at scale", The American Statistician 72 (2018), with the priors, scales,
//! automatic seasons and changepoints of the Python package `prophet` 1.5. The package finds its most likely parameters
//! with Stan's L-BFGS, which stops early at the kink of the Laplace prior; here the same posterior is maximised exactly
//! ([`map`]), without Stan. Own code because the one port to Rust draws its intervals from an unseeded generator.
//!
//! Not served: logistic growth, sampling of the posterior, conditional seasons. As in Prophet, what was observed after
//! the fit does not move the forecast: [`Fitted::update`] only moves time on, and a new fit learns.
mod design;
mod fitted;
mod map;
mod sign_search;
#[cfg(test)]
mod tests;

use design::Design;
use fitted::FittedProphet;
use foremesh_core::forecast::model::{Cost, Family, Fitted, History, Model, ModelError};
use foremesh_core::time::Timestamp;

/// How the trend may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// A line that may bend at the changepoints.
    Linear,
    /// A constant.
    Flat,
}

/// How a part joins the trend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is added, in the unit of the series.
    Additive,
    /// It multiplies the trend: 0.1 means a tenth more.
    Multiplicative,
}

/// Days with an effect of their own, the same each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holiday {
    /// Its name, for people.
    pub name: String,
    /// Any time on each of its days; days are those of UTC, past and future ones.
    pub days: Vec<Timestamp>,
    /// Days before it that have effects of their own.
    pub before: usize,
    /// Days after it that have effects of their own.
    pub after: usize,
}

/// Prophet and its settings; the defaults are those of the Python package.
#[derive(Clone, Debug, PartialEq)]
pub struct Prophet {
    /// How the trend may go.
    pub growth: Growth,
    /// How seasons join the trend.
    pub season_mode: Mode,
    /// How holidays and regressors join the trend.
    pub regressor_mode: Mode,
    /// Days with effects of their own.
    pub holidays: Vec<Holiday>,
    /// Places where the trend may bend, evenly over the first part of the history.
    pub changepoints: usize,
    /// The first part of the history that has changepoints, as a share.
    pub changepoint_range: f64,
    /// Scale of the Laplace prior of each bend, in units of the scaled series over the whole history.
    pub changepoint_scale: f64,
    /// Standard deviation of the normal prior of each Fourier coefficient.
    pub season_scale: f64,
    /// Standard deviation of the normal prior of the effect of each holiday and regressor.
    pub regressor_scale: f64,
    /// Simulated paths behind the quantiles.
    pub paths: usize,
    /// Seed of the paths.
    pub seed: u64,
}

impl Default for Prophet {
    fn default() -> Self {
        Self {
            growth: Growth::Linear,
            season_mode: Mode::Additive,
            regressor_mode: Mode::Additive,
            holidays: Vec::new(),
            changepoints: 25,
            changepoint_range: 0.8,
            changepoint_scale: 0.05,
            season_scale: 10.0,
            regressor_scale: 10.0,
            paths: 1000,
            seed: 0,
        }
    }
}

/// Observed steps without which nothing is fitted.
const FEWEST: usize = 16;

impl Model for Prophet {
    fn name(&self) -> &'static str {
        "prophet"
    }

    fn family(&self) -> Family {
        Family::Prophet
    }

    fn cost(&self, observed: usize) -> Cost {
        let paths = self.paths as f64;
        Cost { fit_us: 600.0 + 0.9 * observed as f64, update_us: 0.02, predict_us: 3.0 * paths }
    }

    fn warm_up(&self, season: Option<usize>, _horizon: usize) -> usize {
        season.map_or(FEWEST, |season| FEWEST.max(2 * season))
    }

    fn fit(&self, history: &History<'_>) -> Result<Box<dyn Fitted>, ModelError> {
        Ok(Box::new(self.fit_to(history)?))
    }
}

impl Prophet {
    fn fit_to(&self, history: &History<'_>) -> Result<FittedProphet, ModelError> {
        let have = history.values.iter().filter(|value| value.is_finite()).count();
        if have < FEWEST {
            return Err(ModelError::NotEnoughHistory { have, need: FEWEST });
        }
        let design = Design::new(self, history);
        let problem = design.problem(self, history);
        let most_likely = problem.maximise();
        if !(most_likely.sigma.is_finite() && most_likely.theta.iter().all(|value| value.is_finite())) {
            return Err(ModelError::Failed { why: "no finite parameters were found".to_owned() });
        }
        Ok(FittedProphet::new(self, design, most_likely, history))
    }
}
