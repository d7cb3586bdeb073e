//! Whatever comes in, nothing panics and nothing silly comes out.
use super::*;
use crate::forecast::model::Prediction;
use proptest::prelude::*;

/// Values as bad as they get: gaps, negatives, infinities, denormals, jumps of nine orders of magnitude and more.
fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => 0.0..1e3,
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(f64::NEG_INFINITY),
        1 => -1e3..0.0,
        1 => 1e9..1e12,
        1 => Just(f64::MIN_POSITIVE / 8.0),
        1 => Just(f64::MAX),
    ]
}

/// Runs of the same value, as counters that stand still and constants give.
fn any_values() -> impl Strategy<Value = Vec<f64>> {
    let run = (any_value(), 1_usize..30).prop_map(|(value, length)| vec![value; length]);
    prop_oneof![
        prop::collection::vec(any_value(), 0..200),
        prop::collection::vec(run, 0..12).prop_map(|runs| runs.concat()),
    ]
}

fn sound(out: &[Prediction], bounds: (f64, f64)) -> Result<(), TestCaseError> {
    for said in out {
        let quantiles = said.quantiles.unwrap();
        prop_assert!(said.point.is_finite() && quantiles.iter().all(|value| value.is_finite()), "{said:?}");
        prop_assert!(quantiles.is_sorted(), "{quantiles:?}");
        prop_assert!(
            bounds.0 <= quantiles[0] && quantiles[6] <= bounds.1,
            "{quantiles:?} outside {bounds:?}"
        );
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_forecast_is_ordered_finite_and_within_range(
        values in any_values(),
        horizon in 1_usize..40,
        season in prop::option::of(0_usize..60),
        threshold in 0.0..2e3,
    ) {
        let now = at(i64::try_from(values.len()).unwrap());
        let settings = ForecastSettings::new(horizon, season, 10 * MINUTE);
        let possible: Vec<f64> = values.iter().copied().filter(|v| v.is_finite() && *v >= 0.0).collect();
        let lowest = possible.iter().copied().fold(f64::MAX, f64::min);
        let highest = possible.iter().copied().fold(0.0, f64::max);
        match forecast("cart", "x", &series(values), &[], &settings, now) {
            Ok(made) => {
                prop_assert_eq!(made.steps.len(), horizon);
                // A quarter of the range, but more where a few values do not tell it.
                let share = (24.0 / possible.len() as f64).clamp(0.25, 4.0);
                let beyond = (highest - lowest) * share * (1.0 + 1e-9);
                for (index, step) in made.steps.iter().enumerate() {
                    prop_assert!(step.point.is_finite() && step.quantiles.iter().all(|q| q.is_finite()));
                    prop_assert!(step.quantiles.is_sorted(), "{:?}", step.quantiles);
                    prop_assert!(step.quantiles[0] >= (lowest - beyond).max(0.0));
                    prop_assert!(step.quantiles[6] <= highest + beyond);
                    let (low, high) = (made.exceedance(index, threshold), made.exceedance(index, threshold * 2.0));
                    prop_assert!(low >= high, "a higher threshold is less likely passed");
                }
                let window = |threshold| BreachWindow { threshold, steps: 2, of: 3, within: horizon };
                let (low, high) = (made.breach(&window(threshold), 0), made.breach(&window(threshold * 2.0), 0));
                prop_assert!(low >= high && low.is_some());
                let json = serde_json::to_string(&made).unwrap();
                prop_assert_eq!(serde_json::from_str::<Forecast>(&json).unwrap(), made);
            }
            Err(ForecastError::NotEnoughHistory { have, need }) => prop_assert!(have < need),
            Err(ForecastError::Empty) => prop_assert!(possible.is_empty()),
            Err(ForecastError::Stale { age_ms, limit_ms }) => prop_assert!(age_ms > limit_ms),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn a_stream_with_interventions_and_gaps_stays_sound_and_repeatable(
        events in prop::collection::vec((any_value(), 0_u8..12), 0..150),
        season in prop::option::of(2_usize..30),
    ) {
        let shape = Shape {
            step: Step::from_ms(MINUTE).unwrap(), season, horizon: 7, lowest: None, highest: None,
        };
        let mut out = [Prediction::UNKNOWN; 7];
        let mut run = || -> Result<String, TestCaseError> {
            let mut live = Forecaster::new(shape);
            let mut said = String::new();
            for (value, event) in &events {
                match event {
                    0 => live.reseed(),
                    1 => live.skip(525_600),
                    2 => live.skip(9),
                    _ => live.observe(*value),
                }
                if live.forecast(&mut out).is_ok() {
                    sound(&out, live.bounds())?;
                    said = format!("{out:?}");
                }
            }
            Ok(said)
        };
        prop_assert_eq!(run()?, run()?, "the same bits for the same input");
    }
}

#[test]
fn a_year_of_gap_costs_no_year_of_steps() {
    let shape = Shape {
        step: Step::from_ms(1_000).unwrap(),
        season: Some(86_400),
        horizon: 36,
        lowest: None,
        highest: None,
    };
    let mut live = Forecaster::new(shape);
    (0..100).for_each(|step| live.observe(f64::from(step % 10)));
    // Thirty thousand years of seconds: walking them one by one would never end.
    live.skip(1_000_000_000_000);
    live.observe(55.0);
    let mut out = [Prediction::UNKNOWN; 36];
    live.forecast(&mut out).unwrap();
    assert!((out[0].point - 55.0).abs() < 10.0, "the level starts anew, not at {}", out[0].point);
}
