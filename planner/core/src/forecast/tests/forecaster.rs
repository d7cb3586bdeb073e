//! The streaming forecaster: cold start, interventions, drift, experts, size.
use super::*;
use crate::forecast::model::{Fitted, Prediction};

const SEASON: usize = 96;

fn shape(horizon: usize) -> Shape {
    Shape {
        step: Step::from_ms(MINUTE).unwrap(),
        season: Some(SEASON),
        horizon,
        lowest: Some(0.0),
        highest: None,
    }
}

/// Even noise between -1 and 1, the same everywhere.
pub(super) fn noise(step: usize) -> f64 {
    let mixed = (step as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f64 / f64::from(1 << 23) - 1.0
}

fn wave(step: usize) -> f64 {
    100.0 + 40.0 * (step as f64 / SEASON as f64 * std::f64::consts::TAU).sin() + 3.0 * noise(step)
}

fn fed(forecaster: &mut Forecaster, steps: std::ops::Range<usize>, value: impl Fn(usize) -> f64) {
    steps.for_each(|step| forecaster.observe(value(step)));
}

fn said<const N: usize>(forecaster: &mut Forecaster) -> [Prediction; N] {
    let mut out = [Prediction::UNKNOWN; N];
    forecaster.forecast(&mut out).unwrap();
    out
}

fn width(said: &Prediction) -> f64 {
    let quantiles = said.quantiles.unwrap();
    quantiles[5] - quantiles[1]
}

#[test]
fn a_wave_is_followed_to_the_end_of_the_horizon() {
    let mut live = Forecaster::new(shape(24));
    fed(&mut live, 0..5 * SEASON, wave);
    let (mut error, mut naive) = (0.0, 0.0);
    for step in 5 * SEASON..6 * SEASON {
        let said: [_; 24] = said(&mut live);
        error += (said[23].point - wave(step + 23)).abs();
        naive += (wave(step + 23 - SEASON) - wave(step + 23)).abs();
        live.observe(wave(step));
    }
    assert!(error < 0.9 * naive, "{error} against {naive} by the season before");
}

#[test]
fn an_autoregressive_wave_is_learnt_almost_exactly() {
    // A second-order recursion around a sinusoid, without noise: a linear model on lags can have it.
    let mut values = vec![50.0, 53.0];
    for step in 2..6 * SEASON {
        let season = (step as f64 / SEASON as f64 * std::f64::consts::TAU).sin();
        values.push(20.0 + 5.0 * season + 0.9 * values[step - 1] - 0.3 * values[step - 2]);
    }
    let mut live = Forecaster::new(shape(6));
    fed(&mut live, 0..5 * SEASON, |step| values[step]);
    let ahead: [_; 6] = said(&mut live);
    for (index, said) in ahead.iter().enumerate() {
        let actual = values[5 * SEASON + index];
        assert!((said.point - actual).abs() < 0.15, "step {index}: {} instead of {actual}", said.point);
    }
}

#[test]
fn few_points_give_wide_bands_and_fewer_none() {
    let mut live = Forecaster::new(shape(5));
    live.observe(10.0);
    live.observe(12.0);
    let refused = live.forecast(&mut [Prediction::UNKNOWN; 5]).unwrap_err();
    assert_eq!(refused, ForecastError::NotEnoughHistory { have: 2, need: 3 });
    live.observe(11.0);
    let early: [_; 5] = said(&mut live);
    assert!((early[0].point - 11.0).abs() < 1.5 && width(&early[0]) > 0.5, "{:?}", early[0]);
}

#[test]
fn a_new_series_starts_like_its_like() {
    let mut old = Forecaster::new(shape(24));
    fed(&mut old, 0..4 * SEASON, wave);
    // The same day at half the level, from its first value on.
    let mut new = Forecaster::like(&old, shape(24));
    fed(&mut new, 0..4, |step| wave(step) / 2.0);
    let mut alone = Forecaster::new(shape(24));
    fed(&mut alone, 0..4, |step| wave(step) / 2.0);
    let error = |said: [Prediction; 24]| {
        said.iter().enumerate().map(|(index, said)| (said.point - wave(4 + index) / 2.0).abs()).sum::<f64>()
    };
    let (with, without) = (error(said(&mut new)), error(said(&mut alone)));
    assert!(with < 0.85 * without, "{with} with a like service, {without} without");
    let other = Forecaster::like(&old, Shape { season: None, ..shape(24) });
    assert_eq!(other.observed(), 0, "another shape: nothing to take over");
}

#[test]
fn a_move_reseeds_the_level_and_keeps_the_season() {
    let mut live = Forecaster::new(shape(24));
    fed(&mut live, 0..5 * SEASON, wave);
    let before: [_; 24] = said(&mut live);
    // Five steps of transition are gaps; the new host is slower by 200.
    live.skip(5);
    live.reseed();
    let moved = |step: usize| wave(step) + 200.0;
    fed(&mut live, 5 * SEASON + 5..5 * SEASON + 8, moved);
    let after: [_; 24] = said(&mut live);
    for index in [0, 11, 23] {
        let actual = moved(5 * SEASON + 8 + index);
        let error = (after[index].point - actual).abs();
        assert!(error < 30.0, "step {index} after the move: {} instead of {actual}", after[index].point);
    }
    assert!(width(&after[0]) > 1.5 * width(&before[0]), "less sure for an hour");
    fed(&mut live, 5 * SEASON + 8..6 * SEASON, moved);
    let later: [_; 24] = said(&mut live);
    assert!(
        width(&later[0]) < 1.5 * width(&before[0]),
        "sure again: {} {}",
        width(&later[0]),
        width(&before[0])
    );
}

#[test]
fn a_change_nobody_announced_is_noticed() {
    let mut live = Forecaster::new(Shape { season: None, ..shape(12) });
    fed(&mut live, 0..600, |step| 100.0 + 2.0 * noise(step));
    assert_eq!(live.drifts(), 0);
    fed(&mut live, 600..640, |step| 130.0 + 2.0 * noise(step));
    assert!(live.drifts() > 0);
    let after: [_; 12] = said(&mut live);
    assert!((after[11].point - 130.0).abs() < 4.0, "{}", after[11].point);
}

#[test]
fn one_spike_moves_nothing() {
    let calm = |step: usize| 100.0 + 2.0 * noise(step);
    let mut live = Forecaster::new(Shape { season: None, ..shape(12) });
    fed(&mut live, 0..400, calm);
    live.observe(1e11);
    fed(&mut live, 401..404, calm);
    let after: [_; 12] = said(&mut live);
    assert!((after[0].point - 100.0).abs() < 5.0 && (after[11].point - 100.0).abs() < 5.0, "{after:?}");
}

/// Knows the future, or says nonsense.
#[derive(Debug)]
struct Told {
    step: usize,
    sane: bool,
}

impl Fitted for Told {
    fn update(&mut self, _value: f64, _covariates: &[f64]) {
        self.step += 1;
    }

    fn predict(&mut self, _future: &[&[f64]], out: &mut [Prediction]) {
        for (ahead, said) in out.iter_mut().enumerate() {
            said.point = if self.sane { walk(self.step + ahead) } else { f64::NAN };
        }
    }
}

/// Steps that nobody can foresee who does not know them.
fn walk(step: usize) -> f64 {
    100.0 + 10.0 * noise(step / 7) + 10.0 * noise(step)
}

#[test]
fn an_expert_wins_by_its_errors_and_a_broken_one_is_ignored() {
    let mut live = Forecaster::new(Shape { season: None, ..shape(12) });
    fed(&mut live, 0..200, walk);
    live.attach("oracle", Box::new(Told { step: 200, sane: true }));
    live.attach("broken", Box::new(Told { step: 200, sane: false }));
    let early: [_; 12] = said(&mut live);
    assert!(early[0].point.is_finite());
    assert!(live.contributions().iter().all(|part| part.model != "oracle"), "not judged yet");
    fed(&mut live, 200..400, walk);
    let late: [_; 12] = said(&mut live);
    for (index, said) in late.iter().enumerate() {
        assert!((said.point - walk(400 + index)).abs() < 1.0, "step {index}: {}", said.point);
    }
    let parts = live.contributions();
    let oracle: Vec<_> = parts.iter().filter(|part| part.model == "oracle").collect();
    assert!(oracle.iter().all(|part| part.weight > 0.9) && oracle.last().unwrap().end == 12, "{parts:?}");
    assert!(parts.iter().all(|part| part.model != "broken"));
    assert!(live.failures() > 10, "every failure is counted");
}

#[test]
fn the_combination_is_a_model_like_the_others() {
    let values: Vec<f64> = (0..4 * SEASON).map(wave).collect();
    let history = known(&values, Some(SEASON), 24);
    let mut combined = Combined::with(vec![Box::new(HoltWinters)]).fit(&history).unwrap();
    let mut live = Forecaster::new(shape(24));
    fed(&mut live, 0..4 * SEASON, wave);
    let got = points(combined.as_mut(), 24);
    let want: [_; 24] = said(&mut live);
    assert!((got[0] - want[0].point).abs() < 10.0);
    let shares: f64 =
        combined.contributions().iter().filter(|part| part.first == 0).map(|part| part.weight).sum();
    assert!((shares - 1.0).abs() < 1e-4, "{shares}");
    let window = BreachWindow { threshold: 0.0, steps: 3, of: 5, within: 10 };
    assert!(combined.breach(&[], &window).unwrap() > 0.9);
    assert!(points(Ridge.fit(&history).unwrap().as_mut(), 24).iter().all(|point| point.is_finite()));
}

#[test]
fn a_series_fits_into_twelve_kilobytes() {
    let mut live = Forecaster::new(Shape { season: Some(1440), ..shape(36) });
    fed(&mut live, 0..3000, wave);
    assert!(live.bytes() <= 12 * 1024 + 512, "{} bytes", live.bytes());
}
