//! Coefficients of simulated processes come back; gaps, regressors and seasons do what they should.
use super::*;
use crate::paths::NormalDraws;
use foremesh_core::forecast::LEVELS;
use foremesh_core::forecast::model::{BreachWindow, Covariate, Prediction};
use foremesh_core::time::{Step, Timestamp};
use order::Search;
use regression::{Order, Sample};

fn normals(count: usize, seed: u64) -> Vec<f64> {
    NormalDraws::new(count, seed).shuffled().to_vec()
}

/// A process `u = sum(ar u) + e + sum(ma e)`.
fn simulate(ar: &[f64], ma: &[f64], count: usize, seed: u64) -> Vec<f64> {
    let shocks = normals(count, seed);
    let mut values: Vec<f64> = Vec::new();
    for t in 0..count {
        let past = |series: &[f64], lag: usize| if lag <= t { series[t - lag] } else { 0.0 };
        let autoregression: f64 = ar.iter().enumerate().map(|(i, c)| c * past(&values, i + 1)).sum();
        let moving: f64 = ma.iter().enumerate().map(|(i, c)| c * past(&shocks, i + 1)).sum();
        values.push(shocks[t] + autoregression + moving);
    }
    values
}

fn history<'a>(values: &'a [f64], covariates: &'a [Covariate<'a>], season: Option<usize>) -> History<'a> {
    History {
        start: Timestamp::from_unix_ms(0),
        step: Step::MINUTE,
        season,
        horizon: 12,
        values,
        covariates,
        lowest: None,
        highest: None,
    }
}

fn predict(fitted: &mut dyn Fitted, future: &[&[f64]], steps: usize) -> Vec<Prediction> {
    let mut out = vec![Prediction::UNKNOWN; steps];
    fitted.predict(future, &mut out);
    out
}

#[test]
fn coefficients_of_simulated_processes_come_back() {
    for (ar, ma) in [
        (vec![0.7], vec![]),
        (vec![], vec![0.6]),
        (vec![1.2, -0.5], vec![]),
        (vec![0.8], vec![-0.4]),
        (vec![0.5, -0.3], vec![0.4]),
        (vec![], vec![-0.5, 0.3]),
    ] {
        let values: Vec<f64> = simulate(&ar, &ma, 4000, 11).iter().map(|value| value + 3.0).collect();
        let sample = Sample { values, columns: Vec::new(), season: 1, burn: 5 };
        let order = Order { ar: ar.len(), ma: ma.len(), seasonal_ar: 0, seasonal_ma: 0, constant: true };
        let found = sample.estimate(order).unwrap();
        // Three standard errors of 4 000 values at most (0.014 to 0.028).
        for (found, want) in found.ar.iter().chain(&found.ma).zip(ar.iter().chain(&ma)) {
            assert!((found - want).abs() < 0.08, "{ar:?} {ma:?} became {found} for {want}");
        }
        assert!((found.constant - 3.0).abs() < 0.25, "{ar:?} {ma:?}: mean {}", found.constant);
        assert!((found.variance - 1.0).abs() < 0.05, "{ar:?} {ma:?}: variance {}", found.variance);
    }
}

#[test]
fn seasonal_coefficients_come_back() {
    // (1 - 0.5 B)(1 - 0.6 B^12) u = e
    let mut ar = vec![0.0; 13];
    (ar[0], ar[11], ar[12]) = (0.5, 0.6, -0.3);
    let values = simulate(&ar, &[], 3000, 5);
    let sample = Sample { values, columns: Vec::new(), season: 12, burn: 17 };
    let order = Order { ar: 1, ma: 0, seasonal_ar: 1, seasonal_ma: 0, constant: false };
    let found = sample.estimate(order).unwrap();
    assert!((found.ar[0] - 0.5).abs() < 0.05 && (found.seasonal_ar[0] - 0.6).abs() < 0.05, "{found:?}");
}

#[test]
fn the_search_is_no_worse_than_the_true_order() {
    for (ar, ma) in [(vec![0.7], vec![]), (vec![], vec![0.6]), (vec![0.6, 0.2], vec![-0.3])] {
        let values = simulate(&ar, &ma, 800, 3);
        let mut search = Search::new(&values, Vec::new(), None, None).unwrap();
        let best = search.walk().unwrap();
        let sample = Sample { values, columns: Vec::new(), season: 1, burn: 5 };
        let order = Order { ar: ar.len(), ma: ma.len(), seasonal_ar: 0, seasonal_ma: 0, constant: false };
        let truth = sample.estimate(order).unwrap();
        assert_eq!(search.differences.ordinary, 0, "{ar:?} {ma:?}");
        assert!(best.aicc <= truth.aicc + 2.0, "{ar:?} {ma:?}: {} against {}", best.aicc, truth.aicc);
    }
}

#[test]
fn an_autoregression_is_forecast_by_its_formula() {
    let values = simulate(&[0.7], &[], 600, 9);
    let mut fitted = Arima::default().fit_to(&history(&values, &[], None)).unwrap();
    let out = predict(&mut fitted, &[], 6);
    let estimate = &fitted.estimate;
    if estimate.ar.len() == 1 && estimate.ma.is_empty() {
        let phi = estimate.ar[0];
        let mean = out[5].point - (out[4].point - out[5].point) * phi / (1.0 - phi);
        for h in 1..6 {
            let want = mean + phi * (out[h - 1].point - mean);
            assert!((out[h].point - want).abs() < 1e-6, "step {h}");
        }
    }
    // The spread of an autoregression of order one: 1, 1 + phi², ...
    let width = |p: &Prediction| p.quantiles.unwrap()[6] - p.quantiles.unwrap()[0];
    let grown = width(&out[1]) / width(&out[0]);
    assert!((grown - (1.0_f64 + 0.49).sqrt()).abs() < 0.1, "{grown}");
}

#[test]
fn bands_cover_what_comes() {
    let values = simulate(&[0.8], &[0.3], 3000, 21);
    let mut fitted = Arima::default().fit(&history(&values[..1000], &[], None)).unwrap();
    let (mut inside, mut total) = (0, 0);
    for t in 1000..2988 {
        let out = predict(fitted.as_mut(), &[], 12);
        for (ahead, prediction) in out.iter().enumerate() {
            let quantiles = prediction.quantiles.unwrap();
            inside += usize::from((quantiles[1]..=quantiles[5]).contains(&values[t + ahead]));
            total += 1;
        }
        fitted.update(values[t], &[]);
    }
    let coverage = inside as f64 / f64::from(total);
    assert!((0.77..0.83).contains(&coverage), "80 % bands cover {coverage}");
}

#[test]
fn a_regressor_is_used() {
    let noise = simulate(&[0.5], &[], 500, 2);
    let load: Vec<f64> = (0..520).map(|t| if t % 37 < 9 { 10.0 } else { f64::from(t % 5) }).collect();
    let values: Vec<f64> = noise.iter().zip(&load).map(|(noise, load)| 100.0 + 3.0 * load + noise).collect();
    let covariates = [Covariate { name: "load", values: &load[..500] }];
    let mut fitted = Arima::default().fit_to(&history(&values, &covariates, None)).unwrap();
    let at = |load: f64, fitted: &mut FittedArima| predict(fitted, &[&[load; 12]], 12)[11].point;
    let effect = at(10.0, &mut fitted) - at(0.0, &mut fitted);
    assert!((effect - 30.0).abs() < 1.5, "10 more load became {effect}");
}

#[test]
fn a_long_season_enters_by_fourier_pairs() {
    let noise = normals(900, 8);
    let season = |t: usize| 20.0 * (std::f64::consts::TAU * t as f64 / 288.0).sin();
    let values: Vec<f64> = (0..900).map(|t| 100.0 + season(t) + noise[t]).collect();
    let mut fitted = Arima::default().fit(&history(&values, &[], Some(288))).unwrap();
    let out = predict(fitted.as_mut(), &[], 144);
    for (ahead, prediction) in out.iter().enumerate() {
        let want = 100.0 + season(900 + ahead);
        assert!((prediction.point - want).abs() < 2.0, "{ahead}: {} for {want}", prediction.point);
    }
}

#[test]
fn a_gap_moves_the_level_and_widens_the_band() {
    let mut sum = 50.0;
    let mut values: Vec<f64> = normals(400, 6)
        .iter()
        .map(|shock| {
            sum += shock;
            sum
        })
        .collect();
    let mut fitted = Arima::default().fit_to(&history(&values, &[], None)).unwrap();
    assert_eq!(fitted.order.0, 1, "a walk is differenced");
    let width = |fitted: &mut FittedArima| {
        let quantiles = predict(fitted, &[], 1)[0].quantiles.unwrap();
        quantiles[5] - quantiles[1]
    };
    let before = width(&mut fitted);
    (0..30).for_each(|_| fitted.update(f64::NAN, &[]));
    let during = width(&mut fitted);
    assert!(during > 3.0 * before, "{before} became {during} in a gap of 30 steps");
    let there = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    fitted.update(there, &[]);
    let after = predict(&mut fitted, &[], 1)[0].point;
    assert!((after - there).abs() < 1.5, "{after} after {there}");
    // A gap in the history that is learnt from does not matter much.
    values[100..140].fill(f64::NAN);
    let gapped = Arima::default().fit_to(&history(&values, &[], None)).unwrap();
    assert_eq!(gapped.order.0, 1);
    let (a, b) = (gapped.estimate.variance.sqrt(), fitted.estimate.variance.sqrt());
    assert!((a / b - 1.0).abs() < 0.1, "{a} {b}");
}

#[test]
fn updates_continue_as_a_fit_would() {
    let values = simulate(&[0.6], &[0.2], 900, 14);
    let mut short = Arima::default().fit(&history(&values[..850], &[], None)).unwrap();
    values[850..].iter().for_each(|value| short.update(*value, &[]));
    let mut long = Arima::default().fit(&history(&values, &[], None)).unwrap();
    let (a, b) = (predict(short.as_mut(), &[], 3), predict(long.as_mut(), &[], 3));
    for (a, b) in a.iter().zip(&b) {
        assert!((a.point - b.point).abs() < 0.3, "{} {}", a.point, b.point);
    }
}

#[test]
fn breaches_agree_with_the_band_of_a_step() {
    let values = simulate(&[0.9], &[], 800, 17);
    let mut fitted = Arima::default().fit(&history(&values, &[], None)).unwrap();
    let first = predict(fitted.as_mut(), &[], 1)[0].quantiles.unwrap();
    for (level, threshold) in LEVELS.iter().zip(first) {
        let window = BreachWindow { threshold, steps: 1, of: 1, within: 1 };
        let breach = fitted.breach(&[], &window).unwrap();
        assert!((breach - (1.0 - level)).abs() < 0.005, "{breach} above the quantile of {level}");
    }
    let longer = BreachWindow { threshold: first[5], steps: 1, of: 1, within: 12 };
    let sustained = BreachWindow { steps: 3, of: 5, ..longer };
    let (any, held) = (fitted.breach(&[], &longer).unwrap(), fitted.breach(&[], &sustained).unwrap());
    assert!(0.1 < held && held < any && any < 1.0, "{held} {any}");
}
