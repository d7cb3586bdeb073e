//! A fitted ARIMA: what it remembers, and what it expects.
use super::Window;
use super::differences::Differences;
use super::lags::{Lags, sum};
use super::regression::Estimate;
use super::regressors::{Regressors, value};
use crate::paths::{NormalDraws, normal_levels, share_with_breach, steps_needed};
use foremesh_core::forecast::model::{BreachWindow, Fitted, History, Prediction};
use std::collections::VecDeque;

/// Forecasts leave the range of what was seen by at most this part of it.
const BEYOND: f64 = 0.25;
/// Paths behind a breach probability.
const PATHS: usize = 500;

/// The lags of the model and the newest values that they reach, in the scale of the fit.
#[derive(Clone, Debug)]
struct Memory {
    ar: Lags,
    ma: Lags,
    differences: Lags,
    constant: f64,
    /// Newest first: the series without regression, its differences without mean, its errors.
    levels: VecDeque<f64>,
    u: VecDeque<f64>,
    e: VecDeque<f64>,
}

impl Memory {
    fn new(estimate: &Estimate, differences: Differences) -> Self {
        let ar = estimate.ar_lags(differences.season);
        let ma = estimate.ma_lags(differences.season);
        let zeros = |count: usize| VecDeque::from(vec![0.0; count]);
        let reach = |lags: &Lags| lags.last().map_or(0, |(lag, _)| *lag);
        Self {
            levels: zeros(differences.lost()),
            u: zeros(reach(&ar)),
            e: zeros(reach(&ma)),
            ar,
            ma,
            differences: differences.lags(),
            constant: estimate.constant,
        }
    }

    /// The next difference without mean, and the next level.
    fn expected(&self) -> (f64, f64) {
        let u = sum(&self.ar, |lag| self.u[lag - 1]) + sum(&self.ma, |lag| self.e[lag - 1]);
        (u, self.constant + u + sum(&self.differences, |lag| self.levels[lag - 1]))
    }

    fn push(&mut self, level: f64, u: f64, e: f64) {
        for (queue, value) in [(&mut self.levels, level), (&mut self.u, u), (&mut self.e, e)] {
            queue.push_front(value);
            queue.pop_back();
        }
    }

    /// What a shock of 1 does to each of the steps from its own on.
    fn responses(&self, steps: usize) -> Vec<f64> {
        let mut blank = self.clone();
        blank.constant = 0.0;
        for queue in [&mut blank.levels, &mut blank.u, &mut blank.e] {
            *queue = VecDeque::from(vec![0.0; queue.len()]);
        }
        let mut shock = 1.0;
        (0..steps)
            .map(|_| {
                let (u, level) = blank.expected();
                blank.push(level + shock, u + shock, shock);
                let response = level + shock;
                shock = 0.0;
                response
            })
            .collect()
    }
}

/// The estimated model after its history.
#[derive(Clone, Debug)]
pub(super) struct FittedArima {
    memory: Memory,
    regressors: Regressors,
    beta: Vec<f64>,
    /// Standard deviation of a step's error, in the scale of the fit.
    sigma: f64,
    /// Cumulated squares of the responses to a shock.
    spread: Vec<f64>,
    differenced: bool,
    center: f64,
    scale: f64,
    /// The next step, from the start of the history.
    next: usize,
    /// Missing steps at the end.
    missing: usize,
    seen: (f64, f64),
    limits: (f64, f64),
    seed: u64,
    #[cfg(test)]
    pub(super) estimate: Estimate,
    #[cfg(test)]
    pub(super) order: (usize, usize),
}

impl FittedArima {
    pub(super) fn new(
        seed: u64,
        history: &History<'_>,
        first: usize,
        window: &Window,
        regressors: Regressors,
        differences: Differences,
        estimate: &Estimate,
    ) -> Self {
        let finite = || history.values.iter().copied().filter(|value| value.is_finite());
        let mut fitted = Self {
            memory: Memory::new(estimate, differences),
            regressors,
            beta: estimate.beta.clone(),
            sigma: estimate.variance.max(0.0).sqrt(),
            spread: Vec::new(),
            differenced: differences.ordinary > 0,
            center: window.center,
            scale: window.scale,
            next: first,
            missing: 0,
            seen: (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max)),
            limits: (history.lowest.unwrap_or(f64::NEG_INFINITY), history.highest.unwrap_or(f64::INFINITY)),
            seed,
            #[cfg(test)]
            estimate: estimate.clone(),
            #[cfg(test)]
            order: (differences.ordinary, differences.seasonal),
        };
        let mut carried = window.values.iter().copied().find(|value| value.is_finite()).unwrap_or(0.0);
        for (offset, scaled) in window.values.iter().enumerate() {
            let row = fitted.regressors.row(fitted.next, |index| value(history, index, first + offset));
            if offset < differences.lost() {
                // Before the first difference there are only levels.
                carried = if scaled.is_finite() { *scaled } else { carried };
                fitted.memory.push(carried - fitted.regression(&row), 0.0, 0.0);
                fitted.next += 1;
            } else {
                fitted.take(*scaled, &row);
            }
        }
        fitted.extend(history.horizon);
        fitted
    }

    fn regression(&self, row: &[f64]) -> f64 {
        row.iter().zip(&self.beta).map(|(value, beta)| value * beta).sum()
    }

    /// Takes the next value in the scale of the fit.
    fn take(&mut self, scaled: f64, row: &[f64]) {
        let (u, level) = self.memory.expected();
        if scaled.is_finite() {
            let error = scaled - self.regression(row) - level;
            if self.missing > 0 && self.differenced {
                // What happened in a gap has moved the level, not shocked the next step.
                self.memory.levels.iter_mut().for_each(|past| *past += error);
                self.memory.push(level + error, u, 0.0);
            } else {
                self.memory.push(level + error, u + error, error);
            }
            self.missing = 0;
        } else {
            self.memory.push(level, u, 0.0);
            self.missing += 1;
        }
        self.next += 1;
    }

    /// Makes the spread reach so many steps.
    fn extend(&mut self, steps: usize) {
        if self.spread.len() < steps {
            let mut sum = 0.0;
            let squares = self.memory.responses(steps.next_power_of_two());
            self.spread = squares
                .iter()
                .map(|response| {
                    sum += response * response;
                    sum
                })
                .collect();
        }
    }

    fn bounded(&self, scaled: f64) -> f64 {
        let (low, high) = self.seen;
        let margin = BEYOND * (high - low);
        let (low, high) = ((low - margin).max(f64::MIN), (high + margin).min(f64::MAX));
        (self.center + self.scale * scaled).clamp(low, high).max(self.limits.0).min(self.limits.1)
    }

    /// What the regressors add at each step ahead.
    fn regressions(&self, future: &[&[f64]], steps: usize) -> Vec<f64> {
        (0..steps)
            .map(|ahead| {
                let known = |index: usize| {
                    future.get(index).and_then(|values| values.get(ahead)).copied().unwrap_or(f64::NAN)
                };
                self.regression(&self.regressors.row(self.next + ahead, known))
            })
            .collect()
    }
}

impl Fitted for FittedArima {
    fn update(&mut self, value: f64, covariates: &[f64]) {
        let row = self.regressors.row(self.next, |index| covariates.get(index).copied().unwrap_or(f64::NAN));
        self.take(if value.is_finite() { (value - self.center) / self.scale } else { f64::NAN }, &row);
        if value.is_finite() {
            self.seen = (self.seen.0.min(value), self.seen.1.max(value));
        }
    }

    fn predict(&mut self, future: &[&[f64]], out: &mut [Prediction]) {
        self.extend(out.len() + self.missing);
        let levels = normal_levels();
        let mut memory = self.memory.clone();
        let regressions = self.regressions(future, out.len());
        for (ahead, (prediction, regression)) in out.iter_mut().zip(regressions).enumerate() {
            let (u, level) = memory.expected();
            memory.push(level, u, 0.0);
            let mean = level + regression;
            let deviation = self.sigma * self.spread[ahead + self.missing].sqrt();
            let point = self.bounded(mean);
            let quantiles = levels.map(|z| self.bounded(mean + z * deviation));
            let sound = point.is_finite() && quantiles.iter().all(|value| value.is_finite());
            *prediction =
                if sound { Prediction { point, quantiles: Some(quantiles) } } else { Prediction::UNKNOWN };
        }
    }

    fn breach(&mut self, future: &[&[f64]], window: &BreachWindow) -> Option<f64> {
        let steps = steps_needed(window);
        if future.iter().any(|values| values.len() < steps) {
            return None;
        }
        let regressions = self.regressions(future, steps);
        let mut paths = vec![self.memory.clone(); PATHS];
        let mut draws = NormalDraws::new(PATHS, self.seed);
        let values: Vec<Vec<f64>> = regressions
            .iter()
            .map(|regression| {
                let shocks = draws.shuffled();
                let step = paths.iter_mut().zip(shocks).map(|(path, draw)| {
                    let (u, level) = path.expected();
                    let shock = self.sigma * draw;
                    path.push(level + shock, u + shock, shock);
                    self.center + self.scale * (level + shock + regression)
                });
                step.collect()
            })
            .collect();
        Some(share_with_breach(&values, window))
    }
}
