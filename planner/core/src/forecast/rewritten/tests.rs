//! The forecasts here have a few known paths, so that what they say can be counted.
#![allow(clippy::float_cmp, reason = "tables of exact results")]
use super::*;
use crate::{forecast::model::BreachWindow, time::Step};

const FREE: (Option<f64>, Option<f64>) = (Some(0.0), None);

fn at(step: usize) -> Timestamp {
    Timestamp::from_unix_ms(1_763_985_600_000).plus_ms(Step::MINUTE.times(step))
}

/// Twenty paths of six steps: 100, 101, ... 119, each level all along.
fn level_paths() -> Forecast {
    let paths: Vec<Vec<f64>> = (0..20).map(|path| vec![100.0 + f64::from(path); 6]).collect();
    let mut forecast = Forecast::of_paths(at(0), Step::MINUTE, &paths);
    (forecast.lowest, forecast.highest) = (90.0, 130.0);
    forecast
}

fn paths(forecast: &Forecast) -> Vec<Vec<f32>> {
    forecast.paths.iter().map(<[f32]>::to_vec).collect()
}

fn breach(forecast: &Forecast, threshold: f64) -> f64 {
    let window = BreachWindow { threshold, steps: 2, of: 3, within: 6 };
    forecast.breach(&window, 0).map_or(0.0, crate::units::Probability::get)
}

#[test]
fn an_added_effect_moves_bands_paths_and_breach_probability() {
    for (name, factor, difference) in
        [("a difference", 1.0, 50.0), ("a factor", 2.0, 0.0), ("both", 3.0, 7.0)]
    {
        let before = level_paths();
        let mut after = before.clone();
        let of = |value: f64| value * factor + difference;
        after.rewrite(
            FREE,
            |index, _, point, band| {
                if index >= 2 { (of(point), band.map(of)) } else { (point, band) }
            },
        );
        for (index, (old, new)) in before.steps.iter().zip(&after.steps).enumerate() {
            let want = if index >= 2 { old.quantiles.map(of) } else { old.quantiles };
            assert_eq!(new.quantiles, want, "{name}, step {index}");
        }
        for (old, new) in paths(&before).iter().zip(paths(&after)) {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                let want = if index >= 2 { of(f64::from(*old)) } else { f64::from(*old) };
                assert!((f64::from(new) - want).abs() < 0.01, "{name}, step {index}: {old} became {new}");
            }
        }
        // Half of the paths are above what the middle was moved to, as half were above the middle.
        let (old, new) = (breach(&before, 109.5), breach(&after, of(109.5)));
        assert!((old - 0.5).abs() < 0.03 && (new - old).abs() < 1e-9, "{name}: {old} and {new}");
        assert!(breach(&before, of(109.5)) < 0.05, "{name}: without the effect nothing is near");
        assert!(after.highest >= of(119.0) && after.lowest <= 90.0, "{name}: {after:?}");
    }
}

#[test]
fn a_wider_band_spreads_the_paths() {
    let mut forecast = level_paths();
    let narrow = breach(&forecast, 125.0);
    forecast.rewrite(FREE, |_, _, point, band| (point, band.map(|value| point + 3.0 * (value - point))));
    let wide = breach(&forecast, 125.0);
    assert!(narrow < 0.05 && (0.15..0.35).contains(&wide), "{narrow} before, {wide} after");
}

type Change = fn(f64, [f64; LEVELS.len()]) -> (f64, [f64; LEVELS.len()]);

#[test]
fn bounds_and_order_hold_whatever_the_change_says() {
    let share = (Some(0.0), Some(1.0));
    let changes: [(&str, Change); 6] = [
        ("far below", |point, band| (point - 1e9, band.map(|value| value - 1e9))),
        ("far above", |point, band| (point + 1e9, band.map(|value| value + 1e9))),
        ("upside down", |point, band| (point, band.map(|value| 1.0 - value))),
        ("infinite", |_, band| (f64::INFINITY, band.map(|_| f64::INFINITY))),
        ("no number", |_, band| (f64::NAN, band.map(|_| f64::NAN))),
        ("one no number", |point, mut band| {
            band[3] = f64::NAN;
            (point, band)
        }),
    ];
    for (name, change) in changes {
        let paths: Vec<Vec<f64>> = (0..20).map(|path| vec![0.7 + 0.01 * f64::from(path); 4]).collect();
        let mut forecast = Forecast::of_paths(at(0), Step::MINUTE, &paths);
        (forecast.lowest, forecast.highest) = (0.5, 1.0);
        forecast.rewrite(share, |_, _, point, band| change(point, band));
        for step in &forecast.steps {
            assert!(step.quantiles.windows(2).all(|two| two[0] <= two[1]), "{name}: {step:?}");
            let all = step.quantiles.iter().chain([&step.point]);
            assert!(all.clone().all(|value| (0.0..=1.0).contains(value)), "{name}: {step:?}");
            assert!((step.quantiles[0]..=step.quantiles[LAST]).contains(&step.point), "{name}: {step:?}");
        }
        let inside = forecast.paths.iter().flatten().all(|value| (0.0..=1.0).contains(value));
        assert!(inside, "{name}: {:?}", forecast.paths);
        assert!((0.0..=1.0).contains(&forecast.lowest) && (0.0..=1.0).contains(&forecast.highest), "{name}");
    }
}

#[test]
fn a_band_of_no_width_does_not_throw_paths_far_away() {
    let mut paths = vec![vec![100.0; 4]; 40];
    paths[0] = vec![140.0; 4];
    let mut forecast = Forecast::of_paths(at(0), Step::MINUTE, &paths);
    for step in &mut forecast.steps {
        step.quantiles = [-3e-9, -2e-9, -1e-9, 0.0, 1e-9, 2e-9, 3e-9].map(|by| 100.0 + by);
    }
    forecast.rewrite(FREE, |_, _, point, band| {
        (point, std::array::from_fn(|level| band[level] + 10.0 * (level as f64 - 3.0)))
    });
    let highest = forecast.paths.iter().flatten().fold(0.0f32, |a, b| a.max(*b));
    assert!((130.0..=1_000.0).contains(&highest), "{highest}");
}

#[test]
fn a_forecast_begins_later_and_ends_sooner() {
    let paths: Vec<Vec<f64>> =
        (0..8).map(|path| (0..6).map(|step| f64::from(10 * path + step)).collect()).collect();
    let whole = Forecast::of_paths(at(0), Step::MINUTE, &paths);
    for (name, first, horizon, left) in [
        ("as it is", 0, 6, 0..6),
        ("later", 2, 6, 2..6),
        ("sooner", 0, 3, 0..3),
        ("both", 2, 3, 2..5),
        ("before it", 0, 9, 0..6),
        ("nothing left", 7, 6, 6..6),
    ] {
        let mut forecast = whole.clone();
        let part = |first, end| crate::forecast::model::Contribution {
            first,
            end,
            model: "ridge".to_owned(),
            weight: 1.0,
            mae: 1.0,
            errors: 9,
        };
        forecast.parts = vec![part(0, 2), part(2, 4), part(4, 6)];
        let cut = forecast.beginning_at(at(first)).up_to(horizon);
        let starts: Vec<Timestamp> = cut.steps.iter().map(|step| step.at).collect();
        assert_eq!(starts, left.clone().map(at).collect::<Vec<_>>(), "{name}");
        for (path, found) in cut.paths.iter().enumerate() {
            let want: Vec<f32> = left.clone().map(|step| (10 * path + step) as f32).collect();
            assert_eq!(found, want, "{name}");
        }
        let covered: Vec<(usize, usize)> = cut.parts.iter().map(|part| (part.first, part.end)).collect();
        let begin = |part: usize| part.clamp(left.start, left.end) - left.start;
        let want: Vec<(usize, usize)> = [(0, 2), (2, 4), (4, 6)]
            .map(|(first, end)| (begin(first), begin(end)))
            .into_iter()
            .filter(|(first, end)| first < end)
            .collect();
        assert_eq!(covered, want, "{name}");
        let window = BreachWindow { threshold: 0.0, steps: 1, of: 1, within: 1 };
        assert_eq!(cut.breach(&window, 0).is_some(), !left.is_empty(), "{name}");
    }
}
