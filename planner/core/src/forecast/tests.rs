#![allow(
    clippy::float_cmp,
    clippy::too_many_lines,
    clippy::type_complexity,
    reason = "tables of exact results"
)]
use super::{
    model::{BreachWindow, Fitted, History, Model, ModelError, Prediction},
    *,
};
use crate::units::Quantile;

mod bad_data;
mod forecaster;
mod gram;
mod restrict;

const MINUTE: i64 = 60_000;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_unix_ms(minute * MINUTE)
}

fn series(values: Vec<f64>) -> Series {
    Series::new(at(0), Step::from_ms(MINUTE).unwrap(), values)
}

fn made(values: Vec<f64>, settings: &ForecastSettings) -> Forecast {
    let now = at(i64::try_from(values.len()).unwrap());
    forecast("cart", "latency_p99_ms", &series(values), &[], settings, now).unwrap()
}

/// A day of 24 steps: 10 by night, 100 from step 12 to step 17.
fn day_and_night(steps: usize) -> Vec<f64> {
    (0..steps).map(|step| if (12..18).contains(&(step % 24)) { 100.0 } else { 10.0 }).collect()
}

fn known(values: &[f64], season: Option<usize>, horizon: usize) -> History<'_> {
    let step = Step::from_ms(MINUTE).unwrap();
    let start = at(0);
    History { start, step, season, horizon, values, covariates: &[], lowest: Some(0.0), highest: None }
}

fn points(fitted: &mut dyn Fitted, horizon: usize) -> Vec<f64> {
    let mut out = vec![Prediction::UNKNOWN; horizon];
    fitted.predict(&[], &mut out);
    out.iter().map(|prediction| prediction.point).collect()
}

#[test]
fn models_predict_by_the_book() {
    let gap = f64::NAN;
    let cases: &[(&str, &dyn Model, &[f64], &[f64])] = &[
        ("last value is carried on", &LastValue, &[1.0, 2.0], &[2.0, 2.0]),
        ("last value passes over a gap", &LastValue, &[1.0, gap], &[1.0, 1.0]),
        ("last season", &SeasonalNaive, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[4.0, 5.0, 6.0, 4.0]),
        ("a gap takes the season before", &SeasonalNaive, &[1.0, 2.0, 3.0, 4.0, gap, 6.0], &[4.0, 2.0, 6.0]),
        ("a phase never seen", &SeasonalNaive, &[1.0, gap, 3.0], &[1.0, gap, 3.0]),
        ("history off the season", &SeasonalNaive, &[9.0, 1.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 1.0]),
        ("less than a season", &SeasonalNaive, &[1.0, 2.0], &[gap, 1.0, 2.0]),
        ("one spike is no hour", &MedianLastHour, &[3.0, 3.0, gap, 4.0, 900.0], &[3.5, 3.5]),
        (
            "the usual of a slot",
            &SlotProfile,
            &[1.0, 5.0, 9.0, 1.0, 6.0, 9.0, 2.0, 5.0, 90.0],
            &[1.0, 5.0, 9.0],
        ),
    ];
    for (name, model, history, want) in cases {
        let mut fitted = model.fit(&known(history, Some(3), want.len())).unwrap();
        assert_eq!(format!("{:?}", points(fitted.as_mut(), want.len())), format!("{want:?}"), "case: {name}");
        // The same by updates: a fit to the first value and the rest one by one.
        let mut updated = model.fit(&known(&history[..1], Some(3), want.len())).unwrap();
        for value in &history[1..] {
            updated.update(*value, &[]);
        }
        assert_eq!(
            format!("{:?}", points(updated.as_mut(), want.len())),
            format!("{want:?}"),
            "updated: {name}"
        );
    }
}

#[test]
fn smoothing_finds_season_and_trend() {
    let season = |step: usize| [10.0, 10.0, 40.0, 20.0][step % 4];
    let seasonal: Vec<f64> = (0..80).map(season).collect();
    for model in [&HoltWinters as &dyn Model, &Theta] {
        let got = points(model.fit(&known(&seasonal, Some(4), 8)).unwrap().as_mut(), 8);
        for (ahead, point) in got.iter().enumerate() {
            assert!((point - season(ahead)).abs() < 1.5, "{}: {got:?}", model.name());
        }
    }
    let rising: Vec<f64> = (0..100).map(|step| f64::from(step) * 2.0).collect();
    let got = points(Theta.fit(&known(&rising, None, 4)).unwrap().as_mut(), 4);
    assert!(got[0] > 198.0 && got[3] > got[0] && got[3] < 208.0, "half of the trend: {got:?}");
}

#[test]
fn models_refuse_what_they_cannot_fit() {
    for model in cheap_models() {
        assert!(model.fit(&known(&[], Some(3), 4)).is_err(), "{} of nothing", model.name());
        assert!(model.fit(&known(&[f64::NAN; 9], Some(3), 4)).is_err(), "{} of gaps", model.name());
        assert!(model.cost(2880).fit_us > 0.0);
    }
    assert_eq!(SlotProfile.fit(&known(&[1.0; 9], None, 4)).unwrap_err(), ModelError::NoSeason);
}

#[test]
fn a_season_is_found_and_a_level_shift_is_not_mistaken_for_one() {
    let seasonal = made(day_and_night(96), &ForecastSettings::new(24, Some(24), MINUTE));
    for (step, want) in seasonal.steps.iter().zip(day_and_night(24)) {
        assert!((step.point - want).abs() < 3.0, "{} instead of {want}", step.point);
    }
    assert!(seasonal.backtest_mae < 10.0, "{}", seasonal.backtest_mae);
    let weight: f64 = seasonal.parts.iter().filter(|part| part.first == 0).map(|part| part.weight).sum();
    assert!((weight - 1.0).abs() < 1e-4, "the weights of a part add up to 1, not {weight}");

    // A slow walk without a season: near the newest value, and less sure the farther ahead.
    let walk: Vec<f64> =
        (0..96).map(f64::from).map(|step| 50.0 + (step / 9.0).sin() * 5.0 + step * 0.3).collect();
    let newest = walk[95];
    let walking = made(walk, &ForecastSettings::new(4, Some(48), MINUTE));
    assert!((walking.steps[0].point - newest).abs() < 2.0, "{} after {newest}", walking.steps[0].point);
    let width = |step: &ForecastStep| step.quantiles[5] - step.quantiles[1];
    assert!(width(&walking.steps[0]) < width(&walking.steps[3]), "errors grow with the distance");
}

#[test]
fn questions_to_a_forecast_agree_with_its_bands() {
    let values = (0..400).map(|step| 150.0 + 50.0 * forecaster::noise(step)).collect();
    let made = made(values, &ForecastSettings::new(12, None, MINUTE));
    for (index, step) in made.steps.iter().enumerate() {
        for (place, (level, value)) in LEVELS.iter().zip(step.quantiles).enumerate() {
            if step.quantiles.get(place + 1) == Some(&value) {
                continue; // A value that several levels share lies at the highest of them.
            }
            assert_eq!(made.quantile(index, Quantile::new(*level).unwrap()).unwrap(), value);
            let above = made.exceedance(index, value).unwrap().get();
            assert!((above - (1.0 - level)).abs() < 0.041, "step {index}, level {level}: {above}");
        }
    }
    assert_eq!(made.exceedance(12, 13.0), None, "beyond the horizon");
    let window = |threshold, steps, of, within| BreachWindow { threshold, steps, of, within };
    let said = |window: BreachWindow| made.breach(&window, 0).unwrap().get();
    // Values are even between 100 and 200: above 150 is a coin for a step, and all but sure within twelve.
    let (one, three, all) =
        (said(window(150.0, 1, 1, 1)), said(window(150.0, 3, 5, 8)), said(window(150.0, 1, 1, 12)));
    assert!((0.3..0.7).contains(&one), "{one}");
    assert!(one < all && three < all && all > 0.9, "{one} {three} {all}");
    assert!(said(window(150.0, 5, 5, 8)) < three, "five of five are rarer than three of five");
    assert!(said(window(250.0, 1, 1, 12)) < 0.1);
    assert_eq!(made.breach(&window(1.0, 1, 1, 1), 12), None, "beyond the horizon");
    assert!(made.exhaustion(400.0).is_none());
    let soon = made.exhaustion(120.0).unwrap();
    assert!(soon.probability.get() > 0.9 && soon.possible_at == Some(made.steps[0].at), "{soon:?}");
}

#[test]
fn a_leak_is_seen_to_fill_memory() {
    let values = (0..300).map(|step| 200.0 + f64::from(step) * 2.0 + f64::from(step * 31 % 7)).collect();
    let made = made(values, &ForecastSettings::new(60, None, MINUTE));
    let full = made.exhaustion(850.0).unwrap();
    let likely = made.index_at(full.likely_at.unwrap()).unwrap();
    assert!((10..50).contains(&likely), "850 is 25 steps away, not {likely}");
    assert!(full.possible_at <= full.likely_at && full.probability.get() > 0.4, "{full:?}");
}

#[test]
fn refusals_name_what_is_missing() {
    let settings = ForecastSettings::new(5, None, 2 * MINUTE);
    let run = |values: Vec<f64>, now| {
        forecast("cart", "x", &series(values), &[], &settings, now).unwrap_err().to_string()
    };
    let cases = [
        (
            "nothing at all",
            vec![],
            at(0),
            "the history is empty; check that the filter is installed and that data arrives",
        ),
        (
            "only gaps",
            vec![f64::NAN; 99],
            at(99),
            "the history is empty; check that the filter is installed and that data arrives",
        ),
        (
            "one point",
            vec![1.0],
            at(1),
            "the history has 1 observed steps, but 3 are needed; wait for more traffic",
        ),
        (
            "a year of gap",
            vec![1.0; 99],
            at(99 + 365 * 1440),
            "the newest value is 31536000000 ms old, but at most 120000 ms are allowed; check that data arrives",
        ),
        (
            "the clock went back before all data",
            vec![1.0; 99],
            at(-5),
            "the history is empty; check that the filter is installed and that data arrives",
        ),
    ];
    for (name, values, now, want) in cases {
        assert_eq!(run(values, now), want, "case: {name}");
    }
    let none = forecast("cart", "x", &series(vec![1.0; 99]), &[], &ForecastSettings::new(0, None, 1), at(99));
    assert_eq!(none.unwrap_err(), ForecastError::NoHorizon);
}

#[test]
fn excluded_steps_are_not_learned_from() {
    let mut values = vec![10.0; 60];
    for value in &mut values[55..60] {
        *value = 900.0;
    }
    let settings = ForecastSettings::new(3, None, 2 * MINUTE);
    // Half of step 55 is excluded, so all of it is.
    let excluded = [Excluded { from: Timestamp::from_unix_ms(55 * MINUTE + 30_000), to: at(60) }];
    let forecast = forecast("cart", "x", &series(values), &excluded, &settings, at(60)).unwrap();
    assert_eq!(forecast.steps[0].quantiles, [10.0; 7]);
    assert_eq!(forecast.highest, 10.0);
    assert_eq!(forecast.data_age_ms, 0, "excluded data still proves that data arrives");
}

#[test]
fn the_step_that_is_not_over_is_not_used() {
    let mut values = vec![10.0; 61];
    values[60] = 500.0;
    let settings = ForecastSettings::new(3, None, 2 * MINUTE);
    let now = Timestamp::from_unix_ms(60 * MINUTE + 20_000);
    let forecast = forecast("cart", "x", &series(values), &[], &settings, now).unwrap();
    assert_eq!((forecast.steps[0].at, forecast.steps[0].point), (at(60), 10.0));
    assert_eq!(forecast.index_at(now), Some(0));
    assert_eq!(forecast.data_age_ms, 20_000);
}

#[test]
fn bands_cover_what_they_promise() {
    // 60 series of eight noisy days; the ninth is what comes. Noise by a linear congruential generator (Knuth's MMIX
    // constants), so that the figures are the same everywhere.
    let (mut inside, mut below_q90, mut count) = ([0_u32; 4], 0_u32, 0_u32);
    for seed in 0..60_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / f64::from(1_u32 << 24)
        };
        let wave = |step: u32| 100.0 + 50.0 * (f64::from(step) / 60.0 * std::f64::consts::TAU).sin();
        let values: Vec<f64> = (0..600).map(|step| wave(step) + 20.0 * noise()).collect();
        // Origins all over the day: at a single phase what the bands miss there does not even out.
        let origin = 480 + seed as usize;
        let made = made(values[..origin].to_vec(), &ForecastSettings::new(12, Some(60), MINUTE));
        for (index, (step, actual)) in made.steps.iter().zip(&values[origin..]).enumerate() {
            inside[index / 3] += u32::from((step.quantiles[1]..=step.quantiles[5]).contains(actual));
            below_q90 += u32::from(*actual <= step.quantiles[5]);
            count += 1;
        }
    }
    for (quarter, inside) in inside.iter().enumerate() {
        let share = f64::from(*inside) / f64::from(count / 4);
        assert!(
            (0.72..0.88).contains(&share),
            "80 % band covers {share:.3} in quarter {quarter} of the horizon"
        );
    }
    let share = f64::from(below_q90) / f64::from(count);
    assert!((0.86..0.94).contains(&share), "{share:.3} are below the 0.9 quantile");
}

#[test]
fn a_share_stays_a_share() {
    let values = (0..60).map(|step| if step % 3 == 0 { 0.9 } else { 1.0 }).collect();
    let settings = ForecastSettings { highest: Some(1.0), ..ForecastSettings::new(5, None, MINUTE) };
    let made = made(values, &settings);
    assert!(made.steps.iter().all(|step| step.quantiles.iter().all(|value| *value <= 1.0)));
    assert!(made.quantile(0, Quantile::new(0.99).unwrap()).unwrap() <= 1.0);
}
