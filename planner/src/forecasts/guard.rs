//! The boundary around dear models: whatever a library does, the series is forecast by the others, and it is counted.
use foremesh_core::{
    forecast::model::{BreachWindow, Contribution, Fitted, History, Model, ModelError, Prediction},
    time::Timestamp,
};
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A model's failures are logged once in this time, in milliseconds.
const LOG_EVERY_MS: i64 = 3_600_000;

/// What became of fits and predictions of one model since the planner started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelCounts {
    /// Fits that were made.
    pub fitted: u64,
    /// Fits that the history is too short for, or that need a season where there is none.
    pub refused: u64,
    /// Fits that failed, or ended in a fault of the library.
    pub failed: u64,
    /// Predictions in which a value was no number, or that ended in a fault of the library.
    pub bad_predictions: u64,
}

#[derive(Debug, Default)]
struct State {
    now: Timestamp,
    counts: BTreeMap<&'static str, ModelCounts>,
    logged: BTreeMap<&'static str, Timestamp>,
}

/// Counts of all models; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally(Arc<Mutex<State>>);

impl Tally {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn at(&self, now: Timestamp) {
        self.state().now = now;
    }

    pub(super) fn counts(&self) -> BTreeMap<&'static str, ModelCounts> {
        self.state().counts.clone()
    }

    fn count(&self, model: &'static str, which: impl FnOnce(&mut ModelCounts) -> &mut u64) {
        *which(self.state().counts.entry(model).or_default()) += 1;
    }

    /// One line for each model and hour: a model that fails for one series often fails for a thousand.
    fn log(&self, model: &'static str, series: &str, why: &str) {
        let mut state = self.state();
        let now = state.now;
        if state.logged.get(model).is_none_or(|at| now.ms_since(*at) >= LOG_EVERY_MS) {
            state.logged.insert(model, now);
            tracing::warn!(
                model,
                series,
                why,
                "a model failed, so the series is forecast by the others; further failures of this model within the \
                 hour are only counted"
            );
        }
    }
}

/// Fits a model to the history of `series`; `None` when there is no fit, which was counted.
pub(super) fn fit(
    model: &dyn Model,
    series: &str,
    history: &History<'_>,
    tally: &Tally,
) -> Option<Box<dyn Fitted>> {
    let name = model.name();
    // The history is only read, and what a broken fit left behind is dropped.
    match catch_unwind(AssertUnwindSafe(|| model.fit(history))) {
        Ok(Ok(fitted)) => {
            tally.count(name, |counts| &mut counts.fitted);
            let guarded =
                Guarded { name, series: series.to_owned(), model: Some(fitted), tally: tally.clone() };
            Some(Box::new(guarded))
        }
        // A series that does not determine a model is no fault of the model.
        Ok(Err(
            ModelError::NotEnoughHistory { .. } | ModelError::NoSeason | ModelError::Degenerate { .. },
        )) => {
            tally.count(name, |counts| &mut counts.refused);
            None
        }
        Ok(Err(error)) => {
            tally.count(name, |counts| &mut counts.failed);
            tally.log(name, series, &error.to_string());
            None
        }
        Err(_) => {
            tally.count(name, |counts| &mut counts.failed);
            tally.log(name, series, "the fit ended in a fault of the model's library");
            None
        }
    }
}

/// A fitted model that never fails its series.
#[derive(Debug)]
struct Guarded {
    name: &'static str,
    series: String,
    /// `None` after a fault: nobody knows what state it was left in.
    model: Option<Box<dyn Fitted>>,
    tally: Tally,
}

impl Guarded {
    fn guarded<T>(&mut self, during: &str, call: impl FnOnce(&mut dyn Fitted) -> T) -> Option<T> {
        let model = self.model.as_deref_mut()?;
        let called = catch_unwind(AssertUnwindSafe(|| call(model))).ok();
        if called.is_none() {
            self.model = None;
            self.tally.count(self.name, |counts| &mut counts.bad_predictions);
            let why = format!("{during} ended in a fault of the model's library");
            self.tally.log(self.name, &self.series, &why);
        }
        called
    }
}

impl Fitted for Guarded {
    fn update(&mut self, value: f64, covariates: &[f64]) {
        self.guarded("an update", |model| model.update(value, covariates));
    }

    fn predict(&mut self, future: &[&[f64]], out: &mut [Prediction]) {
        if self.guarded("a prediction", |model| model.predict(future, out)).is_none() {
            out.fill(Prediction::UNKNOWN);
        } else if out.iter().any(|said| !said.point.is_finite()) {
            self.tally.count(self.name, |counts| &mut counts.bad_predictions);
            self.tally.log(self.name, &self.series, "a prediction is no number");
        }
    }

    fn breach(&mut self, future: &[&[f64]], window: &BreachWindow) -> Option<f64> {
        self.guarded("a prediction", |model| model.breach(future, window)).flatten()
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.series.capacity() + self.model.as_ref().map_or(0, |model| model.bytes())
    }

    fn contributions(&self) -> Vec<Contribution> {
        self.model.as_ref().map(|model| model.contributions()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
