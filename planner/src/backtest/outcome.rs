//! Everything that is known of one series after all models were replayed over it.
use super::{
    dump,
    exceedance::Warnings,
    read::MeasuredSeries,
    reference::References,
    replay::{Budget, Forecasts, Replay, replay},
    score::Scores,
    task::Task,
};
use foremesh_core::forecast::model::{Family, Model};

/// How a backtest is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Distances up to which errors are averaged, in steps, rising.
    pub horizons: Vec<usize>,
    /// Origins of each series, at most.
    pub origins: usize,
    /// CPU time for refits of one model on one series, in microseconds.
    pub refit_us: f64,
    /// Probability from which on a breach raises an alarm.
    pub probability: f64,
    /// Whether the forecasts are written down.
    pub dump: bool,
}

/// Breach probabilities of a model that is not the combination, on each series, at most.
const BREACH_STEPS: usize = 200;

/// Scores on one series.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its name.
    pub series: String,
    /// Its kind.
    pub kind: String,
    /// Its family.
    pub family: String,
    /// Length of its step, in seconds.
    pub step_seconds: f64,
    /// What was asked.
    pub task: Task,
    /// Errors of the references for each horizon.
    pub references: ReferenceErrors,
    /// One entry for each model, in their order.
    pub models: Vec<ModelOutcome>,
    /// Lines for the dump.
    pub dump: String,
}

/// Mean absolute errors of the references, for each horizon.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReferenceErrors {
    /// The newest value.
    pub last_value: Vec<Option<f64>>,
    /// The last season; empty without one.
    pub seasonal_naive: Vec<Option<f64>>,
    /// Simple exponential smoothing.
    pub smoothing: Vec<Option<f64>>,
}

/// One model on one series.
#[derive(Clone, Debug)]
pub struct ModelOutcome {
    /// Its scores.
    pub scores: Scores,
    /// Its warnings; `None` from a model that has no breach probability.
    pub warnings: Option<Warnings>,
    /// What it did, without the forecasts.
    pub replay: Replay,
}

impl ReferenceErrors {
    /// The better of last value and smoothing at a horizon.
    pub fn best_simple(&self, horizon: usize) -> Option<f64> {
        let of = |errors: &[Option<f64>]| errors.get(horizon).copied().flatten();
        match (of(&self.last_value), of(&self.smoothing)) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, other) => one.or(other),
        }
    }
}

/// Replays all models over one series; `None` when the series is too short for the horizon.
pub fn outcome(series: &MeasuredSeries, models: &[Box<dyn Model>], settings: &Settings) -> Option<Outcome> {
    let horizon = settings.horizons.last().copied()?;
    let task = Task::new(series, settings.origins, horizon)?;
    let score = |forecasts: &Forecasts| Scores::new(forecasts, &series.values, &task, &settings.horizons);
    let references = References::new(series, &task);
    let errors = ReferenceErrors {
        last_value: score(&references.last_value).mae,
        seasonal_naive: references.seasonal_naive.as_ref().map(|f| score(f).mae).unwrap_or_default(),
        smoothing: score(&references.smoothing).mae,
    };
    let mut outcome = Outcome {
        series: series.id.clone(),
        kind: series.kind.clone(),
        family: series.family.clone(),
        step_seconds: series.step.seconds(),
        references: errors,
        models: Vec::with_capacity(models.len()),
        dump: String::new(),
        task: task.clone(),
    };
    for model in models {
        let breach_steps = if model.family() == Family::Combination { usize::MAX } else { BREACH_STEPS };
        let budget = Budget { refit_us: settings.refit_us, breach_steps };
        let mut replay = replay(model.as_ref(), series, &task, budget);
        let scores = score(&replay.forecasts);
        let warnings = (!replay.breaches.is_empty())
            .then(|| Warnings::new(&replay, &series.values, &task, series.step.ms(), settings.probability));
        if settings.dump {
            dump::write(&mut outcome.dump, series, &task, model.name(), &replay.forecasts);
        }
        (replay.forecasts, replay.breaches) = (Forecasts::default(), Vec::new());
        outcome.models.push(ModelOutcome { scores, warnings, replay });
    }
    Some(outcome)
}
