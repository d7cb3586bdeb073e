//! The median of the last hour, carried on: like the last value, but no single spike moves it.
use super::model::{Cost, Family, Fitted, History, Model, ModelError, Prediction};
use std::collections::VecDeque;

/// Carries the median of the last hour forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MedianLastHour;

const HOUR_MS: i64 = 3_600_000;

/// With fewer values a median is hardly more robust than the last value; long steps look back further than an hour.
const FEWEST: usize = 6;

/// More values, of steps shorter than a minute, cost time and change nothing.
const MOST: usize = 60;

impl Model for MedianLastHour {
    fn name(&self) -> &'static str {
        "median_last_hour"
    }

    fn family(&self) -> Family {
        Family::Baseline
    }

    fn cost(&self, _observed: usize) -> Cost {
        Cost { fit_us: 0.5, update_us: 0.02, predict_us: 0.5 }
    }

    fn warm_up(&self, _season: Option<usize>, _horizon: usize) -> usize {
        1
    }

    fn fit(&self, history: &History<'_>) -> Result<Box<dyn Fitted>, ModelError> {
        let steps = usize::try_from(HOUR_MS / history.step.ms()).unwrap_or(FEWEST).clamp(FEWEST, MOST);
        let mut recent: VecDeque<f64> =
            history.values.iter().rev().copied().filter(|value| value.is_finite()).take(steps).collect();
        recent.make_contiguous().reverse();
        if recent.is_empty() {
            return Err(ModelError::NotEnoughHistory { have: 0, need: 1 });
        }
        Ok(Box::new(Recent { steps, recent }))
    }
}

/// The newest observed values, oldest first.
#[derive(Debug)]
struct Recent {
    steps: usize,
    recent: VecDeque<f64>,
}

impl Fitted for Recent {
    fn update(&mut self, value: f64, _covariates: &[f64]) {
        if value.is_finite() {
            if self.recent.len() == self.steps {
                self.recent.pop_front();
            }
            self.recent.push_back(value);
        }
    }

    fn predict(&mut self, _future: &[&[f64]], out: &mut [Prediction]) {
        let mut sorted: Vec<f64> = self.recent.iter().copied().collect();
        let point = median(&mut sorted);
        out.fill(Prediction { point, quantiles: None });
    }
}

/// The middle value, or the mean of the two in the middle; `NaN` of nothing. Reorders the values.
pub(super) fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    if values.is_empty() {
        return f64::NAN;
    }
    let even = values.len().is_multiple_of(2);
    let (below, high, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let high = *high;
    if even {
        let low = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        f64::midpoint(low, high)
    } else {
        high
    }
}
