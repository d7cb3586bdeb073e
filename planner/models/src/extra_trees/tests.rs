use super::*;
use crate::sample::{daily, history};
use foremesh_core::forecast::model::Covariate;

fn mean_error(values: &[f64], covariate: Option<&[f64]>, origins: std::ops::Range<usize>) -> f64 {
    let (mut sum, mut count) = (0.0, 0);
    for origin in origins.step_by(7) {
        let known = covariate.map(|values| [Covariate { name: "load", values: &values[..origin] }]);
        let mut history = history(&values[..origin], Some(24), 12);
        history.covariates = known.as_ref().map_or(&[], |known| known);
        let mut fitted = ExtraTrees::default().fit(&history).unwrap();
        let future = covariate.map(|values| [&values[origin..]]);
        let mut out = [Prediction::UNKNOWN; 12];
        fitted.predict(future.as_ref().map_or(&[], |future| future), &mut out);
        for (ahead, said) in out.iter().enumerate() {
            sum += (said.point - values[origin + ahead]).abs();
            count += 1;
        }
    }
    sum / f64::from(count)
}

#[test]
fn a_daily_wave_is_learnt() {
    let values = daily(300, 4);
    let flat = (240..276).step_by(7).flat_map(|origin| (0..12).map(move |ahead| (origin, ahead)));
    let errors: Vec<f64> =
        flat.map(|(origin, ahead)| (values[origin - 1] - values[origin + ahead]).abs()).collect();
    let last = errors.iter().sum::<f64>() / errors.len() as f64;
    let ours = mean_error(&values, None, 240..276);
    assert!(ours < 0.2 * last, "error {ours}, of the last value {last}");
}

/// What drives the series is unforeseeable from the series itself, and known beforehand.
#[test]
fn a_regressor_is_used() {
    let mut random = crate::splitmix::SplitMix::new(11);
    let load: Vec<f64> = (0..400).map(|_| if random.unit() < 0.2 { 1.0 } else { 0.0 }).collect();
    let values: Vec<f64> = daily(400, 5).iter().zip(&load).map(|(value, load)| value + 15.0 * load).collect();
    let without = mean_error(&values, None, 300..380);
    let with = mean_error(&values, Some(&load), 300..380);
    assert!(with < 0.6 * without, "error {with} with the regressor, {without} without");
}

#[test]
fn a_season_is_not_needed() {
    let values = daily(60, 6);
    for season in [None, Some(0), Some(1), Some(1_000)] {
        let mut fitted = ExtraTrees::default().fit(&history(&values, season, 6)).unwrap();
        let mut out = [Prediction::UNKNOWN; 6];
        fitted.predict(&[], &mut out);
        assert!(out.iter().all(|said| said.point.is_finite()), "season {season:?}");
    }
}

/// On a stretch that it has not seen, the band holds about what it says.
#[test]
fn the_band_covers_what_it_claims() {
    let values = daily(700, 8);
    let (mut inside, mut all) = (0, 0);
    for origin in (400..680).step_by(8) {
        let mut fitted =
            ExtraTrees::default().fit(&history(&values[origin - 240..origin], Some(24), 12)).unwrap();
        let mut out = [Prediction::UNKNOWN; 12];
        fitted.predict(&[], &mut out);
        for (ahead, said) in out.iter().enumerate() {
            let quantiles = said.quantiles.unwrap();
            inside +=
                i32::from(quantiles[1] <= values[origin + ahead] && values[origin + ahead] <= quantiles[5]);
            all += 1;
        }
    }
    let share = f64::from(inside) / f64::from(all);
    assert!((0.72..0.92).contains(&share), "{share} of the values are inside the band of 0.8");
}
