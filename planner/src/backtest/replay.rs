//! Replays one model over one series: it is fitted before the first origin and then sees one value after the other,
//! never one that comes later.
//!
//! A model that only ever refits to learn (trees, ARIMA, Prophet) is fitted again every few origins, as often as its
//! stated cost allows; in between it is updated like the others.
use super::{cpu::Cpu, read::MeasuredSeries, task::Task};
use foremesh_core::forecast::model::{
    BreachWindow, Contribution, Family, Fitted, Model, ModelError, Prediction,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How much may be spent on one model and series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// CPU time for refits, in microseconds, by the model's own statement; one fit is always made.
    pub refit_us: f64,
    /// Steps at which the probability of a breach is asked for, at most.
    pub breach_steps: usize,
}

/// One step of one forecast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ForecastStep {
    /// The best guess.
    pub point: f64,
    /// Quantiles 0.1 and 0.9, from a model that has them.
    pub band: Option<[f64; 2]>,
}

/// The forecasts from all origins of a task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forecasts {
    /// Steps of the first origin, then those of the second, and so on.
    pub steps: Vec<ForecastStep>,
}

impl Forecasts {
    /// One slice for each origin.
    pub fn rows(&self, horizon: usize) -> impl Iterator<Item = &[ForecastStep]> {
        self.steps.chunks_exact(horizon.max(1))
    }
}

/// Probability of a breach within the horizon, as seen before a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreachForecast {
    /// Index of the first step that is looked at.
    pub origin: usize,
    /// The probability.
    pub probability: f64,
}

/// CPU time by what it was spent on, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// Fits.
    pub fit: f64,
    /// Updates.
    pub update: f64,
    /// Predictions.
    pub predict: f64,
    /// Breach probabilities.
    pub breach: f64,
}

/// What one model did on one series.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// Its forecasts; where it had none, the newest value stands in.
    pub forecasts: Forecasts,
    /// Breach probabilities, where it knows any.
    pub breaches: Vec<BreachForecast>,
    /// Steps between two of those.
    pub breach_stride: usize,
    /// Fits that succeeded.
    pub fits: usize,
    /// Fits that were refused for want of history or of a season.
    pub refused: usize,
    /// Fits and predictions that failed otherwise.
    pub failures: usize,
    /// Why the first of these failed.
    pub failed_because: Option<String>,
    /// Forecasts in which the newest value had to stand in.
    pub fallbacks: usize,
    /// Updates.
    pub updates: usize,
    /// Origins from one fit to the next; `None` when it is fitted once.
    pub refit_every: Option<usize>,
    /// CPU time.
    pub spent: Spent,
    /// What the last forecast was made of.
    pub contributions: Vec<Contribution>,
    /// All levels of the last forecast.
    pub last: Vec<Prediction>,
}

/// Places of the levels 0.1 and 0.9.
const BAND: [usize; 2] = [1, 5];

/// Replays a model.
pub fn replay(model: &dyn Model, series: &MeasuredSeries, task: &Task, budget: Budget) -> Replay {
    let mut run = Run {
        model,
        series,
        task,
        fitted: None,
        seen: 0,
        predictions: vec![Prediction::UNKNOWN; task.horizon],
        knows_breaches: true,
        out: Replay { refit_every: refit_every(model, task, budget), ..Replay::default() },
    };
    let dense = task.dense(budget.breach_steps);
    run.out.breach_stride = dense.get(1).zip(dense.first()).map_or(1, |(second, first)| second - first);
    let mut dense = dense.into_iter().peekable();
    for (number, origin) in task.origins.iter().copied().enumerate() {
        while let Some(step) = dense.next_if(|step| *step < origin) {
            run.advance(step);
            run.breach(step);
        }
        let due = run.out.refit_every.is_some_and(|every| number % every == 0);
        if due || run.fitted.is_none() {
            run.fit(origin);
        }
        run.advance(origin);
        run.predict(origin);
        if dense.next_if_eq(&origin).is_some() {
            run.breach(origin);
        }
    }
    run.out.contributions = run.fitted.as_ref().map(|fitted| fitted.contributions()).unwrap_or_default();
    run.out.last = run.predictions;
    run.out
}

/// Origins from one fit to the next, for a model that learns nothing from updates.
fn refit_every(model: &dyn Model, task: &Task, budget: Budget) -> Option<usize> {
    if !matches!(model.family(), Family::Trees | Family::Arima | Family::Prophet) {
        return None;
    }
    let affordable = (budget.refit_us / model.cost(task.first).fit_us.max(1.0)).floor() as usize;
    Some(task.origins.len().div_ceil(affordable.max(1)))
}

struct Run<'a> {
    model: &'a dyn Model,
    series: &'a MeasuredSeries,
    task: &'a Task,
    fitted: Option<Box<dyn Fitted>>,
    /// Values before this index were seen.
    seen: usize,
    predictions: Vec<Prediction>,
    knows_breaches: bool,
    out: Replay,
}

impl Run<'_> {
    fn fit(&mut self, origin: usize) {
        let cpu = Cpu::start();
        let history = self.task.history(self.series, origin);
        // A defect in one model must not cost the run of all others.
        let fitted = catch_unwind(AssertUnwindSafe(|| self.model.fit(&history)));
        self.out.spent.fit += cpu.seconds();
        match fitted {
            Ok(Ok(fitted)) => {
                self.fitted = Some(fitted);
                self.seen = origin;
                self.out.fits += 1;
            }
            Ok(Err(ModelError::NotEnoughHistory { .. } | ModelError::NoSeason)) => self.out.refused += 1,
            Ok(Err(error)) => self.failed(error.to_string()),
            Err(_) => self.failed("it panicked; this is a defect of the model".to_owned()),
        }
    }

    /// An older fit stays in use.
    fn failed(&mut self, why: String) {
        self.out.failures += 1;
        self.out.failed_because.get_or_insert(why);
    }

    /// Shows the values before `origin` that were not seen yet.
    fn advance(&mut self, origin: usize) {
        let Some(fitted) = &mut self.fitted else { return };
        let cpu = Cpu::start();
        for value in &self.series.values[self.seen..origin] {
            fitted.update(*value, &[]);
        }
        self.out.spent.update += cpu.seconds();
        self.out.updates += origin - self.seen;
        self.seen = origin;
    }

    fn predict(&mut self, origin: usize) {
        self.predictions.fill(Prediction::UNKNOWN);
        if let Some(fitted) = &mut self.fitted {
            let cpu = Cpu::start();
            let done = catch_unwind(AssertUnwindSafe(|| fitted.predict(&[], &mut self.predictions)));
            self.out.spent.predict += cpu.seconds();
            if done.is_err() {
                self.fitted = None;
                self.failed("it panicked; this is a defect of the model".to_owned());
            }
        }
        let newest = self.series.values[..origin].iter().rev().find(|value| value.is_finite()).copied();
        let mut fell_back = false;
        for prediction in &mut self.predictions {
            if !prediction.point.is_finite() {
                fell_back = true;
                *prediction = Prediction { point: newest.unwrap_or(f64::NAN), quantiles: None };
            }
            let band = prediction.quantiles.map(|quantiles| BAND.map(|place| quantiles[place]));
            let band = band.filter(|band| band.iter().all(|value| value.is_finite()));
            self.out.forecasts.steps.push(ForecastStep { point: prediction.point, band });
        }
        self.out.fallbacks += usize::from(fell_back);
    }

    /// Asks for the probability of a breach, unless it is above the threshold already.
    fn breach(&mut self, origin: usize) {
        let newest = self.series.values[..origin].iter().rev().find(|value| value.is_finite());
        if !self.knows_breaches || newest.is_none_or(|newest| *newest > self.task.threshold) {
            return;
        }
        let Some(fitted) = &mut self.fitted else { return };
        let window =
            BreachWindow { threshold: self.task.threshold, steps: 1, of: 1, within: self.task.horizon };
        let cpu = Cpu::start();
        let probability = fitted.breach(&[], &window);
        self.out.spent.breach += cpu.seconds();
        match probability {
            Some(probability) => self.out.breaches.push(BreachForecast { origin, probability }),
            None => self.knows_breaches = false,
        }
    }
}

#[cfg(test)]
mod tests;
