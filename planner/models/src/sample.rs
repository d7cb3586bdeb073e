//! Series for tests.
use crate::splitmix::SplitMix;
use foremesh_core::{
    forecast::model::History,
    time::{Step, Timestamp},
};

/// An hour, the step of the sample series.
pub(crate) const HOUR_MS: i64 = 3_600_000;

/// Noise around a daily wave, with a level and phase of its own.
pub(crate) fn daily(count: usize, seed: u64) -> Vec<f64> {
    let mut random = SplitMix::new(seed);
    let phase = random.unit();
    let level = 20.0 + 30.0 * random.unit();
    let wave = |at: usize| (std::f64::consts::TAU * (at as f64 / 24.0 + phase)).sin();
    (0..count).map(|at| level + 10.0 * wave(at) + 2.0 * (random.unit() - 0.5)).collect()
}

/// An hourly history without regressors that cannot be negative.
pub(crate) fn history(values: &[f64], season: Option<usize>, horizon: usize) -> History<'_> {
    History {
        start: Timestamp::from_unix_ms(1_700_000_000_000 / HOUR_MS * HOUR_MS),
        step: Step::from_ms(HOUR_MS).unwrap(),
        season,
        horizon,
        values,
        covariates: &[],
        lowest: Some(0.0),
        highest: None,
    }
}
