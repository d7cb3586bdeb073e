//! A forecast that is changed after it was made: begun later, or with the effects of events put back.
use super::{Forecast, LEVELS};
use crate::time::Timestamp;

/// Places of the levels 0.1 and 0.9: how wide a band is.
const LOW: usize = 1;
const HIGH: usize = LEVELS.len() - 2;

impl Forecast {
    /// Without the steps that start before `first`, because they are over. What is left may be nothing.
    #[must_use]
    pub(crate) fn beginning_at(mut self, first: Timestamp) -> Self {
        let over = self.steps.partition_point(|step| step.at < first);
        self.steps.drain(..over);
        self.paths.drop_first(over);
        self.parts.retain_mut(|part| {
            part.first = part.first.saturating_sub(over);
            part.end = part.end.saturating_sub(over).min(self.steps.len());
            part.first < part.end
        });
        self
    }

    /// At most `horizon` steps of it.
    #[must_use]
    pub fn up_to(mut self, horizon: usize) -> Self {
        if horizon < self.steps.len() {
            self.steps.truncate(horizon);
            self.paths.keep_first(horizon);
            self.parts.retain_mut(|part| {
                part.end = part.end.min(horizon);
                part.first < part.end
            });
        }
        self
    }

    /// Changes the point and the values at [`LEVELS`] of each step, within what `can_be`. The joint paths follow: each
    /// keeps its place in the band.
    pub(crate) fn rewrite(
        &mut self,
        can_be: (Option<f64>, Option<f64>),
        change: impl Fn(usize, Timestamp, f64, [f64; LEVELS.len()]) -> (f64, [f64; LEVELS.len()]),
    ) {
        let least = can_be.0.unwrap_or(-f64::MAX);
        let most = can_be.1.unwrap_or(f64::MAX);
        let within = |value: f64| value.clamp(least, most);
        let mut maps = Vec::with_capacity(self.steps.len());
        for (index, step) in self.steps.iter_mut().enumerate() {
            let before = (step.point, step.quantiles[HIGH] - step.quantiles[LOW]);
            let (point, quantiles) = change(index, step.at, step.point, step.quantiles);
            // Levels stay in order whatever the change does to each.
            let mut quantiles = quantiles.map(within);
            quantiles.sort_unstable_by(f64::total_cmp);
            step.point = within(point).clamp(quantiles[0], quantiles[LEVELS.len() - 1]);
            step.quantiles = quantiles;
            self.lowest = self.lowest.min(quantiles[0]).max(least);
            self.highest = self.highest.max(quantiles[LEVELS.len() - 1]).min(most);
            let width = quantiles[HIGH] - quantiles[LOW];
            let stretch = if before.1 > 0.0 { width / before.1 } else { 1.0 };
            maps.push((before.0, step.point, stretch));
        }
        self.paths.change(|index, value| match maps.get(index) {
            Some((before, after, stretch)) => within(after + (value - before) * stretch),
            None => value,
        });
    }
}

#[cfg(test)]
impl Forecast {
    /// A forecast whose outcomes are these paths, all as likely, for tests of whoever asks it.
    pub(crate) fn of_paths(made_at: Timestamp, step: crate::time::Step, paths: &[Vec<f64>]) -> Self {
        let horizon = paths[0].len();
        let steps = (0..horizon).map(|index| {
            let mut values: Vec<f64> = paths.iter().map(|path| path[index]).collect();
            values.sort_unstable_by(f64::total_cmp);
            let at_level = |level: f64| values[((values.len() - 1) as f64 * level).round() as usize];
            super::ForecastStep {
                at: step.floor(made_at).plus_ms(step.times(index)),
                point: at_level(0.5),
                quantiles: LEVELS.map(at_level),
            }
        });
        Self {
            subject: "cart".to_owned(),
            metric: "latency_p99_ms".to_owned(),
            made_at,
            data_age_ms: 0,
            step,
            model: "paths".to_owned(),
            backtest_mae: 0.0,
            backtest_origins: paths.len(),
            seasons: None,
            parts: Vec::new(),
            steps: steps.collect(),
            lowest: 0.0,
            highest: f64::MAX,
            paths: super::SamplePaths {
                values: paths.iter().flatten().map(|value| *value as f32).collect(),
                horizon,
                calibration: super::calibration::Calibration::NONE,
            },
        }
    }
}
