//! What a forecasting model is: something that is fitted to a history, takes one more value at a time, and predicts a
//! distribution for each step ahead.
//!
//! The same trait serves the cheapest baseline and the dearest neural net, so that they can be compared on the same
//! origins, combined, and replaced by one another when one fails. A model is a pure function of what it is given.
use super::LEVELS;
use crate::time::{Step, Timestamp};
use serde::{Deserialize, Serialize};

/// What a model is fitted to. Everything in it was known at its end.
#[derive(Clone, Copy, Debug)]
pub struct History<'a> {
    /// Start of the first step.
    pub start: Timestamp,
    /// Length of a step.
    pub step: Step,
    /// Length of the season in steps; `None` when none is expected.
    pub season: Option<usize>,
    /// Steps that will be asked for at most.
    pub horizon: usize,
    /// One value for each step, oldest first; `NaN` for a gap, a step that must not be learnt from, or a value that
    /// cannot be.
    pub values: &'a [f64],
    /// Regressors, each with one value for each step of the history. The order is that of `update` and `predict`.
    pub covariates: &'a [Covariate<'a>],
    /// Values below this cannot happen; usually 0.
    pub lowest: Option<f64>,
    /// Values above this cannot happen; 1 for a share.
    pub highest: Option<f64>,
}

/// One regressor over the history.
#[derive(Clone, Copy, Debug)]
pub struct Covariate<'a> {
    /// Its name, for people.
    pub name: &'a str,
    /// One value for each step of the history.
    pub values: &'a [f64],
}

/// The family that a model belongs to; backtests are summed up by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Last value, seasonal naive, median of the last hour, slot profile.
    Baseline,
    /// Exponential smoothing: Holt-Winters, Theta.
    Smoothing,
    /// Linear models on lags.
    Ridge,
    /// Tree ensembles.
    Trees,
    /// ARIMA with regressors.
    Arima,
    /// Trend with changepoints, Fourier seasons, holidays and regressors.
    Prophet,
    /// Recurrent nets.
    Lstm,
    /// Several of the others together.
    Combination,
}

/// Expected CPU time, in microseconds on one core of a server of 2023. The scheduler orders and limits by it; it
/// never decides what is right.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// One fit.
    pub fit_us: f64,
    /// One update.
    pub update_us: f64,
    /// One prediction of the whole horizon.
    pub predict_us: f64,
}

/// What a model says about one step ahead.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Its best guess, the median where it has a distribution. `NaN` where it cannot tell.
    pub point: f64,
    /// Values at [`LEVELS`], rising; `None` from a model that has no distribution of its own.
    pub quantiles: Option<[f64; LEVELS.len()]>,
}

impl Prediction {
    /// Nothing can be said.
    pub const UNKNOWN: Self = Self { point: f64::NAN, quantiles: None };
}

/// Asks for the probability that values are above `threshold` in at least `steps` of `of` steps in a row, the first of
/// them within the next `within` steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BreachWindow {
    /// In the unit of the series.
    pub threshold: f64,
    /// Steps that must be above, at least 1.
    pub steps: usize,
    /// Among so many in a row, at least `steps`.
    pub of: usize,
    /// Steps ahead that are looked at.
    pub within: usize,
}

/// What one model contributes to one part of the horizon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// Index of the part's first step.
    pub first: usize,
    /// Index after its last step.
    pub end: usize,
    /// The model.
    pub model: String,
    /// Its share of the prediction, from 0 to 1; the shares of one part add up to 1.
    pub weight: f64,
    /// Its mean absolute error over the origins that were replayed, in the unit of the series.
    pub mae: f64,
    /// Errors behind that figure.
    pub errors: usize,
}

/// Why a model could not be fitted or could not predict. The series is then forecast by the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum ModelError {
    /// Too few observed steps.
    #[error("{have} observed steps, but {need} are needed")]
    NotEnoughHistory {
        /// Observed steps.
        have: usize,
        /// Needed ones.
        need: usize,
    },
    /// It needs a season, and none is expected.
    #[error("it needs a season, and the series has none")]
    NoSeason,
    /// All values are the same, or the like.
    #[error("the values do not determine it: {why}")]
    Degenerate {
        /// What is missing.
        why: String,
    },
    /// The optimiser or the library gave up, or gave nonsense.
    #[error("the fit failed: {why}")]
    Failed {
        /// What it said.
        why: String,
    },
}

/// Name of the model that forecasts the median and the tail of latencies apart. It takes part in the forecast of every
/// latency above the median of a service, and in no other.
pub const MEDIAN_AND_TAIL: &str = "median_and_tail";

/// Names of all models, the cheap ones first: what policies and commands may name. The models themselves stand in two
/// crates, and a test holds this list against them.
pub const MODEL_NAMES: [&str; 12] = [
    "last_value",
    "median_last_hour",
    "seasonal_naive",
    "slot_profile",
    "holt_winters",
    "theta",
    "ridge",
    MEDIAN_AND_TAIL,
    "extra_trees",
    "arima",
    "prophet",
    "lstm",
];

/// A way to forecast.
pub trait Model: std::fmt::Debug + Send + Sync {
    /// Name as written in policies, commands and reports, such as `seasonal_naive`.
    fn name(&self) -> &'static str;

    /// Its family.
    fn family(&self) -> Family;

    /// Expected cost with so many observed steps.
    fn cost(&self, observed: usize) -> Cost;

    /// Observed steps without which a fit is refused, for a season and horizon in steps.
    fn warm_up(&self, season: Option<usize>, horizon: usize) -> usize;

    /// Fits to a history.
    ///
    /// # Errors
    /// [`ModelError`] when that cannot be done. Never panics, whatever the values are.
    fn fit(&self, history: &History<'_>) -> Result<Box<dyn Fitted>, ModelError>;
}

/// A model that has seen its history.
pub trait Fitted: std::fmt::Debug + Send {
    /// Takes the value of the next step, `NaN` for a gap, and the regressors of that step. Parameters may stay as they
    /// were fitted; what was observed lately counts from now on.
    fn update(&mut self, value: f64, covariates: &[f64]);

    /// Takes so many steps without a value.
    fn skip(&mut self, steps: u64) {
        (0..steps).for_each(|_| self.update(f64::NAN, &[]));
    }

    /// The same model before its first value, with what it knows of its errors and its season, for a series that begins
    /// again. `None` from a model that must be fitted to its new beginning.
    fn anew(&self) -> Option<Box<dyn Fitted>> {
        None
    }

    /// Writes the predictions for the steps after the newest value. `future` holds one slice for each regressor with
    /// at least as many values as `out`.
    fn predict(&mut self, future: &[&[f64]], out: &mut [Prediction]);

    /// Probability of a breach from the joint distribution of the steps, how they hang together included. `None` from a
    /// model that only knows each step alone.
    fn breach(&mut self, _future: &[&[f64]], _window: &BreachWindow) -> Option<f64> {
        None
    }

    /// Bytes that it holds. The default counts the value itself and nothing that it points to, which is right for models
    /// that are a few numbers.
    fn bytes(&self) -> usize {
        size_of_val(self)
    }

    /// What the prediction is made of, nearest part first; empty from a model that is one piece.
    fn contributions(&self) -> Vec<Contribution> {
        Vec::new()
    }
}
