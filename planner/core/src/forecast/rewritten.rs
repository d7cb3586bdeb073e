//! A forecast that is changed after it was made: begun later, or with the effects of events put back.
use super::{Forecast, LEVELS};
use crate::time::Timestamp;

/// Place of the highest level.
const LAST: usize = LEVELS.len() - 1;

/// Most that the distance from the band of what lies beyond it grows by: no factor of an event that was ever learnt is
/// larger than this.
const MOST_STRETCHED: f64 = 20.0;

#[cfg(test)]
mod tests;

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
        let (lowest, highest) = (self.lowest, self.highest);
        let mut maps = Vec::with_capacity(self.steps.len());
        for (index, step) in self.steps.iter_mut().enumerate() {
            let before = step.quantiles;
            let (point, quantiles) = change(index, step.at, step.point, step.quantiles);
            if point.is_nan() || quantiles.iter().any(|value| value.is_nan()) {
                // Differences of numbers so large that they are infinite; what was said before is better than nothing.
                maps.push(Place { before, after: before });
                continue;
            }
            // Levels stay in order whatever the change does to each.
            let mut quantiles = quantiles.map(within);
            quantiles.sort_unstable_by(f64::total_cmp);
            step.point = within(point).clamp(quantiles[0], quantiles[LAST]);
            step.quantiles = quantiles;
            let place = Place { before, after: quantiles };
            // Or the outermost levels could not be asked.
            self.lowest = self.lowest.min(place.of(lowest)).min(quantiles[0]).max(least);
            self.highest = self.highest.max(place.of(highest)).max(quantiles[LAST]).min(most);
            maps.push(place);
        }
        self.paths.change(|index, value| maps.get(index).map_or(value, |place| within(place.of(value))));
    }
}

/// A band before and after a change.
#[derive(Clone, Copy)]
struct Place {
    before: [f64; LEVELS.len()],
    after: [f64; LEVELS.len()],
}

impl Place {
    /// The value after the change that lies where `value` lay before: between two levels in proportion, beyond the
    /// outermost one further out as the whole band grew, by [`MOST_STRETCHED`] at most, since a band that was next to
    /// nothing says nothing of what lies beyond it.
    fn of(&self, value: f64) -> f64 {
        let Self { before, after } = self;
        let width = before[LAST] - before[0];
        let stretch = if width > 0.0 { ((after[LAST] - after[0]) / width).min(MOST_STRETCHED) } else { 1.0 };
        // Of levels with the same value the middle one, which the point is at.
        if value.total_cmp(&before[LAST / 2]).is_eq() {
            after[LAST / 2]
        } else if value <= before[0] {
            after[0] + (value - before[0]) * stretch
        } else if value >= before[LAST] {
            after[LAST] + (value - before[LAST]) * stretch
        } else {
            let upper = before.partition_point(|level| *level <= value).clamp(1, LAST);
            let (low, high) = (before[upper - 1], before[upper]);
            let share = if high > low { (value - low) / (high - low) } else { 0.5 };
            after[upper - 1] + share * (after[upper] - after[upper - 1])
        }
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
