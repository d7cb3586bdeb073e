//! The forecast of one series as everybody else sees it, and the questions that can be put to it.
use super::{
    ForecastError, LEVELS, SamplePaths,
    forecaster::{Forecaster, Shape},
    levels::{at_level, level_of},
    model::{BreachWindow, Contribution, Prediction},
};
use crate::{
    time::{Step, Timestamp},
    units::{Probability, Quantile},
};
use serde::{Deserialize, Serialize};

/// Models that have less than this share of the whole horizon are left out of the forecast's `model`.
const NAMED: f64 = 0.1;

/// A history of this share of another one's length is about as long.
const ABOUT: f64 = 0.8;

/// So many seasons of values are enough beside any longer history.
const ENOUGH_SEASONS: f64 = 7.0;

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
    /// The models with a tenth of the weight or more, heaviest first, `+` between them.
    pub model: String,
    /// Mean absolute error of past forecasts of this series over the whole horizon, in the unit of the series.
    pub backtest_mae: f64,
    /// Past forecasts behind that figure.
    pub backtest_origins: usize,
    /// Seasons of values that it knows of; `None` where no season is expected.
    pub seasons: Option<f64>,
    /// What each part of the horizon is made of, nearest part first, heaviest model first.
    pub parts: Vec<Contribution>,
    /// One entry for each step of the horizon; the first is the step that holds `made_at`.
    pub steps: Vec<ForecastStep>,
    /// Lowest value that the forecast may take: a quarter of the range of the history below it, or what can happen.
    pub lowest: f64,
    /// Highest value that it may take.
    pub highest: f64,
    /// Joint paths of the whole horizon.
    pub(super) paths: SamplePaths,
}

/// When a resource is expected to run out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exhaustion {
    /// Probability that capacity is reached within the horizon.
    pub probability: Probability,
    /// Start of the first step at which one in ten outcomes reaches it.
    pub possible_at: Option<Timestamp>,
    /// Start of the first step at which every other outcome does.
    pub likely_at: Option<Timestamp>,
}

impl Forecast {
    /// Whether it rests on a history about as long as that of another one, or on so many seasons that more say little new.
    pub fn knows_as_long_as(&self, other: &Self) -> bool {
        match (self.seasons, other.seasons) {
            (Some(own), Some(other)) => own >= ENOUGH_SEASONS.min(ABOUT * other),
            _ => self.backtest_origins as f64 >= ABOUT * other.backtest_origins as f64,
        }
    }

    /// A forecast of what is known: every level is the value itself, and there is one path. For series whose future is
    /// written down, and for comparing decisions with those of perfect foresight.
    pub fn certain(subject: &str, metric: &str, made_at: Timestamp, step: Step, values: &[f64]) -> Self {
        let start = step.floor(made_at);
        let known = values.iter().enumerate().map(|(index, value)| ForecastStep {
            at: start.plus_ms(step.times(index)),
            point: *value,
            quantiles: [*value; LEVELS.len()],
        });
        Self {
            subject: subject.to_owned(),
            metric: metric.to_owned(),
            made_at,
            data_age_ms: 0,
            step,
            model: "known".to_owned(),
            backtest_mae: 0.0,
            backtest_origins: 0,
            seasons: None,
            parts: Vec::new(),
            steps: known.collect(),
            lowest: values.iter().copied().fold(f64::INFINITY, f64::min),
            highest: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            paths: SamplePaths::certain(values),
        }
    }

    /// Probability that the step with this index is above `threshold`. `None` beyond the horizon. It is the level at
    /// which the threshold lies in the step's distribution, and never 0 or 1: a finite history cannot claim that.
    pub fn exceedance(&self, step_index: usize, threshold: f64) -> Option<Probability> {
        let step = self.steps.get(step_index)?;
        Probability::new(1.0 - level_of(&step.quantiles, threshold)).ok()
    }

    /// Value at any level for the step with this index, within what can happen. `None` beyond the horizon.
    pub fn quantile(&self, step_index: usize, level: Quantile) -> Option<f64> {
        let step = self.steps.get(step_index)?;
        Some(at_level(&step.quantiles, level.get()).clamp(self.lowest, self.highest))
    }

    /// Probability of a breach in the look-ahead that begins at the step with this index, from joint paths, so that
    /// steps that go wrong together are counted together. `None` when that step is beyond the horizon; a look-ahead
    /// that is longer ends there.
    pub fn breach(&self, window: &BreachWindow, first_index: usize) -> Option<Probability> {
        if first_index >= self.steps.len() {
            return None;
        }
        Probability::new(self.paths.breach(window, first_index)).ok()
    }

    /// Start of the step at which that breach begins, in the middle one of the outcomes that have one; `None` when no
    /// outcome has.
    pub fn breach_at(&self, window: &BreachWindow, first_index: usize) -> Option<Timestamp> {
        let index = self.paths.first_breach(window, first_index)?;
        self.steps.get(index).map(|step| step.at)
    }

    /// Whether and when a resource runs out. `None` when nothing of the sort is in sight: no step at which one in ten
    /// outcomes reaches `capacity`, and less than one path in ten.
    pub fn exhaustion(&self, capacity: f64) -> Option<Exhaustion> {
        let reached = |path: &[f32]| path.iter().any(|value| f64::from(*value) >= capacity);
        let probability = Probability::new(self.paths.probability(reached)).ok()?;
        let first = |level: f64| {
            self.steps.iter().find(|step| at_level(&step.quantiles, level) >= capacity).map(|step| step.at)
        };
        let exhaustion = Exhaustion { probability, possible_at: first(0.9), likely_at: first(0.5) };
        (exhaustion.possible_at.is_some() || probability.get() >= 0.1).then_some(exhaustion)
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
}

impl Forecaster {
    /// The forecast as everybody else sees it, made at `made_at` from values of which the newest is `data_age_ms` old.
    ///
    /// # Errors
    /// [`ForecastError::NotEnoughHistory`] as for [`Forecaster::forecast`].
    pub fn outlook(
        &mut self,
        subject: &str,
        metric: &str,
        made_at: Timestamp,
        data_age_ms: i64,
    ) -> Result<Forecast, ForecastError> {
        let Shape { step, horizon, .. } = *self.shape();
        let mut points = vec![Prediction::UNKNOWN; horizon];
        self.forecast(&mut points)?;
        let start = step.floor(made_at);
        let steps = points.iter().enumerate().map(|(index, said)| ForecastStep {
            at: start.plus_ms(step.times(index)),
            point: said.point,
            quantiles: said.quantiles.unwrap_or([said.point; LEVELS.len()]),
        });
        let parts = self.contributions();
        let (backtest_mae, backtest_origins) = self.past_error();
        let (lowest, highest) = self.bounds();
        let seasons = self.shape().season.map(|season| self.observed() as f64 / season.max(1) as f64);
        Ok(Forecast {
            seasons,
            subject: subject.to_owned(),
            metric: metric.to_owned(),
            made_at,
            data_age_ms,
            step,
            model: named(&parts, horizon),
            backtest_mae,
            backtest_origins,
            steps: steps.collect(),
            parts,
            lowest,
            highest,
            paths: self.sample_paths(&points),
        })
    }
}

/// Names of the models that matter over the whole horizon.
fn named(parts: &[Contribution], horizon: usize) -> String {
    let mut shares: Vec<(&str, f64)> = Vec::new();
    for part in parts {
        let share = part.weight * (part.end - part.first) as f64 / horizon.max(1) as f64;
        match shares.iter_mut().find(|(name, _)| *name == part.model) {
            Some((_, sum)) => *sum += share,
            None => shares.push((&part.model, share)),
        }
    }
    shares.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let names: Vec<&str> = shares
        .iter()
        .enumerate()
        .filter(|(rank, share)| *rank == 0 || share.1 >= NAMED)
        .map(|(_, share)| share.0)
        .collect();
    names.join("+")
}
