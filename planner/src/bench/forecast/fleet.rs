//! Many forecasters with values that look like those of services: a day, noise, and now and then a new level.
use super::ForecastBench;
use foremesh_core::{
    forecast::{Forecaster, Shape, model::Prediction},
    time::Step,
};
use foremesh_models::SplitMix;
use std::{f64::consts::TAU, ops::Range};

/// Milliseconds of a day, which is the season.
const DAY_MS: i64 = 86_400_000;

/// Steps between two new levels, on average: three days of minutes.
const STEPS_PER_JUMP: f64 = 4_320.0;

/// All series of a benchmark.
#[derive(Debug)]
pub(super) struct Fleet {
    forecasters: Vec<Forecaster>,
    made_up: Vec<MadeUp>,
    /// Newest value of each series.
    pub(super) values: Vec<f64>,
    out: Vec<Prediction>,
    /// Keeps the predictions from being optimised away.
    pub(super) sum: f64,
}

impl Fleet {
    pub(super) fn empty(bench: &ForecastBench) -> Self {
        Self {
            forecasters: Vec::new(),
            made_up: Vec::new(),
            values: Vec::new(),
            out: vec![Prediction::UNKNOWN; bench.horizon],
            sum: 0.0,
        }
    }

    /// These series with their history.
    pub(super) fn filled(bench: &ForecastBench, numbers: Range<usize>) -> Self {
        let step_ms = (DAY_MS / bench.season as i64).max(1);
        let shape = Shape {
            step: Step::from_ms(step_ms).unwrap_or(Step::MINUTE),
            season: Some(bench.season),
            horizon: bench.horizon,
            lowest: Some(0.0),
            highest: None,
        };
        let mut fleet = Self::empty(bench);
        for number in numbers {
            let mut made_up = MadeUp::new(bench.seed, number, bench.season);
            let mut forecaster = Forecaster::new(shape);
            for _ in 0..bench.history {
                forecaster.observe(made_up.next());
            }
            fleet.forecasters.push(forecaster);
            fleet.made_up.push(made_up);
            fleet.values.push(f64::NAN);
        }
        fleet
    }

    pub(super) fn join(&mut self, mut other: Self) {
        self.forecasters.append(&mut other.forecasters);
        self.made_up.append(&mut other.made_up);
        self.values.append(&mut other.values);
    }

    /// Makes up the next value of each series.
    pub(super) fn make_up(&mut self) {
        for (value, made_up) in self.values.iter_mut().zip(&mut self.made_up) {
            *value = made_up.next();
        }
    }

    /// Every series takes its newest value.
    pub(super) fn update(&mut self) {
        for (forecaster, value) in self.forecasters.iter_mut().zip(&self.values) {
            forecaster.observe(*value);
        }
    }

    /// Every series is forecast.
    pub(super) fn forecast(&mut self) {
        for forecaster in &mut self.forecasters {
            if forecaster.forecast(&mut self.out).is_ok() {
                self.sum += self.out.last().map_or(0.0, |step| step.point);
            }
        }
        std::hint::black_box(self.sum);
    }

    /// Mean size of the state of one series, in bytes.
    pub(super) fn state_bytes(&self) -> f64 {
        let sum: usize = self.forecasters.iter().map(Forecaster::bytes).sum();
        sum as f64 / self.forecasters.len().max(1) as f64
    }
}

/// A made-up series: the same values for the same seed and number.
#[derive(Clone, Debug)]
pub struct MadeUp {
    random: SplitMix,
    step: f64,
    season: f64,
    level: f64,
    swing: f64,
    shift: f64,
    noise: f64,
    /// Noise of the last step, of which a part is left: what a machine does hangs together from step to step.
    before: f64,
}

impl MadeUp {
    /// The series with this number.
    pub fn new(seed: u64, number: usize, season: usize) -> Self {
        let mut new = Self {
            random: SplitMix::new(seed ^ ((number as u64) << 20)),
            step: 0.0,
            season: season.max(1) as f64,
            level: 0.0,
            swing: 0.0,
            shift: 0.0,
            noise: 0.0,
            before: 0.0,
        };
        new.level = 10.0 * 1000.0_f64.powf(new.random.unit());
        new.swing = 0.1 + 0.5 * new.random.unit();
        new.shift = new.random.unit();
        new.noise = 0.02 + 0.15 * new.random.unit();
        new
    }

    /// Its next value, never negative.
    #[expect(clippy::should_implement_trait, reason = "it never ends, and an iterator would say that it may")]
    pub fn next(&mut self) -> f64 {
        if self.random.unit() < 1.0 / STEPS_PER_JUMP {
            self.level *= 0.6 + 0.9 * self.random.unit();
        }
        let phase = TAU * (self.step / self.season + self.shift);
        let day = 1.0 + self.swing * (phase.sin() + 0.3 * (2.0 * phase).sin());
        // The sum of four uniform numbers is close enough to a normal one and cheap.
        let normal = (0..4).map(|_| self.random.unit()).sum::<f64>() - 2.0;
        self.before = 0.7 * self.before + self.noise * normal;
        self.step += 1.0;
        (self.level * day * (1.0 + self.before)).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_series_have_a_day_and_are_the_same_again() {
        let season = 96;
        let mut one = MadeUp::new(7, 3, season);
        let values: Vec<f64> = (0..20 * season).map(|_| one.next()).collect();
        let mut again = MadeUp::new(7, 3, season);
        assert!(values.iter().all(|value| value.total_cmp(&again.next()).is_eq() && *value >= 0.0));
        let mut other = MadeUp::new(7, 4, season);
        assert!(values.iter().take(10).any(|value| value.total_cmp(&other.next()).is_ne()));
        // The mean of a phase over all days differs between phases by far more than noise.
        let phase = |at: usize| values.iter().skip(at).step_by(season).sum::<f64>() / 20.0;
        let means: Vec<f64> = (0..season).map(phase).collect();
        let (low, high) = means.iter().fold((f64::MAX, 0.0_f64), |(l, h), m| (l.min(*m), h.max(*m)));
        assert!(high > 1.2 * low, "the day goes from {low} to {high}");
    }
}
