//! How good the published forecasts of one series turned out to be: what was said is kept until the value comes.
use crate::{
    forecast::Forecast,
    time::{Step, Timestamp},
};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Distances that are judged: the next step, the middle and the end of the horizon.
const DISTANCES: usize = 3;

/// Each new judgement takes this share of the mean, so that about the last 200 count.
const SHARE: f64 = 1.0 / 200.0;

/// Places of the levels 0.1 and 0.9.
const LOW: usize = 1;
const HIGH: usize = 5;

/// What was said about one step.
#[derive(Clone, Copy, Debug)]
struct Said {
    at: Timestamp,
    distance: usize,
    point: f64,
    low: f64,
    high: f64,
    /// The newest value when it was said: what carrying on would have said.
    last: f64,
}

/// Means over the last forecasts whose values have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Values behind the means.
    pub count: u64,
    /// Mean absolute error, in the unit of the series.
    pub mae: f64,
    /// The same if the newest value had been carried on.
    pub mae_last_value: f64,
    /// Share of values inside the 80 % band; 0.8 is right.
    pub coverage_80: f64,
    /// Share of values at or below the level 0.9; 0.9 is right.
    pub below_q90: f64,
}

impl Score {
    fn add(&mut self, said: &Said, actual: f64) {
        self.count += 1;
        // A plain mean at first.
        let share = SHARE.max(1.0 / self.count as f64);
        let mean = |mean: &mut f64, value: f64| *mean += share * (value - *mean);
        mean(&mut self.mae, (actual - said.point).abs());
        mean(&mut self.mae_last_value, (actual - said.last).abs());
        mean(&mut self.coverage_80, f64::from(u8::from((said.low..=said.high).contains(&actual))));
        mean(&mut self.below_q90, f64::from(u8::from(actual <= said.high)));
    }

    /// Error as a share of the one of carrying the newest value on; `None` where that was never wrong.
    pub fn relative(&self) -> Option<f64> {
        (self.mae_last_value > 0.0).then(|| self.mae / self.mae_last_value)
    }
}

/// What was said and not judged yet, and the scores so far.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    waiting: VecDeque<Said>,
    newest: Option<Timestamp>,
    scores: [Score; DISTANCES],
    last: f64,
}

impl Judged {
    /// Notes a forecast that is published. Several that begin with the same step count once.
    pub(super) fn publish(&mut self, forecast: &Forecast) {
        let Some(first) = forecast.steps.first().map(|step| step.at) else { return };
        if self.newest >= Some(first) {
            return;
        }
        self.newest = Some(first);
        let end = forecast.steps.len() - 1;
        for (distance, index) in [0, end / 2, end].into_iter().enumerate() {
            let step = &forecast.steps[index];
            self.waiting.push_back(Said {
                at: step.at,
                distance,
                point: step.point,
                low: step.quantiles[LOW],
                high: step.quantiles[HIGH],
                last: self.last,
            });
        }
    }

    /// Takes measured values that begin at `start`, `NaN` for gaps, and judges what was said about them.
    pub(super) fn observe(&mut self, start: Timestamp, step: Step, values: &[f64]) {
        let end = start.plus_ms(step.times(values.len()));
        let (waiting, scores) = (&mut self.waiting, &mut self.scores);
        waiting.retain(|said| {
            if said.at >= end {
                return true;
            }
            let index = usize::try_from(step.count(start, said.at)).ok();
            if let Some(actual) = index.and_then(|index| values.get(index)).filter(|value| value.is_finite())
                && said.last.is_finite()
            {
                scores[said.distance].add(said, *actual);
            }
            false
        });
        if let Some(last) = values.iter().rev().find(|value| value.is_finite()) {
            self.last = *last;
        }
    }

    /// Judges nothing that was said so far, because the series was moved or the clock set: what comes is not what it was
    /// said about.
    pub(super) fn forget_waiting(&mut self) {
        self.waiting.clear();
        self.newest = None;
        self.last = f64::NAN;
    }

    /// Scores at the next step, the middle and the end of the horizon.
    pub fn scores(&self) -> &[Score; DISTANCES] {
        &self.scores
    }
}
