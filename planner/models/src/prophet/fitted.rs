//! A fitted Prophet: its mean ahead, and the paths around it.
use super::design::Design;
use super::map::{MostLikely, parts};
use super::{Growth, Prophet};
use crate::paths::{NormalDraws, share_with_breach, steps_needed};
use crate::splitmix::SplitMix;
use foremesh_core::forecast::LEVELS;
use foremesh_core::forecast::model::{BreachWindow, Fitted, History, Prediction};

/// Forecasts leave the range of what was seen by at most this part of it: a line goes on for ever, a service does not.
const BEYOND: f64 = 0.25;

/// The most likely parameters and the time that has been reached.
#[derive(Clone, Debug)]
pub(super) struct FittedProphet {
    design: Design,
    pub(super) most_likely: MostLikely,
    /// Mean size of a bend, from which future bends are drawn.
    bend: f64,
    paths: usize,
    seed: u64,
    /// The next step, from the start of the history.
    next: usize,
    /// Smallest and largest value that was seen.
    seen: (f64, f64),
    limits: (f64, f64),
}

impl FittedProphet {
    pub(super) fn new(
        settings: &Prophet,
        design: Design,
        most_likely: MostLikely,
        history: &History<'_>,
    ) -> Self {
        let bends = design.changepoints.len();
        let total: f64 = most_likely.theta.iter().skip(2).take(bends).map(|bend| bend.abs()).sum();
        let finite = || history.values.iter().copied().filter(|value| value.is_finite());
        Self {
            bend: total / bends.max(1) as f64 + 1e-8,
            paths: settings.paths.max(20),
            seed: settings.seed,
            next: history.values.len(),
            seen: (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max)),
            limits: (history.lowest.unwrap_or(f64::NEG_INFINITY), history.highest.unwrap_or(f64::INFINITY)),
            design,
            most_likely,
        }
    }

    /// Mean and factor on the trend so many steps ahead, in the unit of the series.
    pub(super) fn ahead(&self, future: &[&[f64]], steps: usize) -> Vec<(f64, f64)> {
        let mut row = Vec::new();
        (0..steps)
            .map(|ahead| {
                let known = |index: usize| {
                    future.get(index).and_then(|values| values.get(ahead)).copied().unwrap_or(f64::NAN)
                };
                self.design.row(self.next + ahead, known, &mut row);
                let (trend, factor, added) = parts(&row, &self.most_likely.theta, self.design.joins());
                ((trend * factor + added) * self.design.scale, factor)
            })
            .collect()
    }

    /// What future bends add to the trend, at each step, for each path: as many new bends for a stretch of time as
    /// there were possible ones in the history, at random times, each drawn from a Laplace distribution. Every other
    /// path is the mirror of the one before.
    fn bends(&self, steps: usize, stream: &mut SplitMix) -> Vec<Vec<f64>> {
        let mut shifts = vec![vec![0.0; self.paths]; steps];
        let rate = self.design.changepoints.len() as f64;
        if self.design.growth == Growth::Flat || rate <= 0.0 || steps == 0 {
            return shifts;
        }
        let end = self.design.time(self.next + steps - 1);
        for pair in 0..self.paths / 2 {
            let mut bend_at = 1.0;
            loop {
                bend_at -= (1.0 - stream.unit()).ln() / rate;
                if bend_at >= end {
                    break;
                }
                let draw = stream.unit() - 0.5;
                let slope = -self.bend * (1.0 - 2.0 * draw.abs()).max(f64::MIN_POSITIVE).ln() * draw.signum();
                for (ahead, shift) in shifts.iter_mut().enumerate() {
                    let since = self.design.time(self.next + ahead) - bend_at;
                    if since > 0.0 {
                        shift[2 * pair] += slope * since;
                        shift[2 * pair + 1] -= slope * since;
                    }
                }
            }
        }
        shifts
    }

    /// Values of all paths at each step, in the unit of the series.
    fn simulate(&self, means: &[(f64, f64)]) -> Vec<Vec<f64>> {
        let mut stream = SplitMix::new(self.seed);
        let mut steps = self.bends(means.len(), &mut stream);
        let mut noise = NormalDraws::new(self.paths, self.seed ^ 1);
        for (step, (mean, factor)) in steps.iter_mut().zip(means) {
            for (value, draw) in step.iter_mut().zip(noise.shuffled()) {
                let noisy = mean + self.design.scale * (factor * *value + self.most_likely.sigma * draw);
                *value = noisy.clamp(f64::MIN, f64::MAX);
            }
        }
        steps
    }

    fn bounded(&self, value: f64) -> f64 {
        let (low, high) = self.seen;
        let margin = BEYOND * (high - low);
        let (low, high) = ((low - margin).max(f64::MIN), (high + margin).min(f64::MAX));
        value.clamp(low, high).max(self.limits.0).min(self.limits.1)
    }
}

impl Fitted for FittedProphet {
    fn update(&mut self, value: f64, _covariates: &[f64]) {
        self.next += 1;
        if value.is_finite() {
            self.seen = (self.seen.0.min(value), self.seen.1.max(value));
        }
    }

    fn predict(&mut self, future: &[&[f64]], out: &mut [Prediction]) {
        let means = self.ahead(future, out.len());
        let mut steps = self.simulate(&means);
        for ((prediction, values), (mean, _)) in out.iter_mut().zip(&mut steps).zip(&means) {
            values.sort_unstable_by(f64::total_cmp);
            // Between two ranks in proportion, as `numpy.percentile` does.
            let mut quantiles = LEVELS.map(|level| {
                let place = level * (values.len() - 1) as f64;
                let (below, part) = (place.floor() as usize, place.fract());
                let above = (below + 1).min(values.len() - 1);
                self.bounded((1.0 - part) * values[below] + part * values[above])
            });
            let point = self.bounded(*mean);
            // The distribution is symmetric: its median is the mean, exactly.
            for (level, quantile) in LEVELS.iter().zip(&mut quantiles) {
                *quantile = match level.total_cmp(&0.5) {
                    std::cmp::Ordering::Less => quantile.min(point),
                    std::cmp::Ordering::Equal => point,
                    std::cmp::Ordering::Greater => quantile.max(point),
                };
            }
            *prediction = if point.is_finite() {
                Prediction { point, quantiles: Some(quantiles) }
            } else {
                Prediction::UNKNOWN
            };
        }
    }

    fn breach(&mut self, future: &[&[f64]], window: &BreachWindow) -> Option<f64> {
        let steps = steps_needed(window);
        if future.iter().any(|values| values.len() < steps) {
            return None;
        }
        Some(share_with_breach(&self.simulate(&self.ahead(future, steps)), window))
    }
}
