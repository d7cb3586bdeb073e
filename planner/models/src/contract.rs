//! What every model of this crate keeps, whatever the values are.
use crate::{
    ExtraTrees, Lstm, Network, TrainingBudget,
    sample::{daily, history},
    splitmix::SplitMix,
};
use foremesh_core::forecast::{
    LEVELS,
    model::{Fitted, Model, ModelError, Prediction},
};
use proptest::prelude::*;
use std::sync::{Arc, OnceLock};

const HORIZON: usize = 9;

/// Trained once for all tests of this module.
fn common_net() -> Arc<Network> {
    static NET: OnceLock<Arc<Network>> = OnceLock::new();
    let train = || {
        let series = [daily(200, 1), daily(200, 2)];
        let corpus = [history(&series[0], Some(24), HORIZON), history(&series[1], Some(24), HORIZON)];
        Arc::new(Network::train(&corpus, TrainingBudget { examples: 160 }, 1).unwrap())
    };
    Arc::clone(NET.get_or_init(train))
}

fn models() -> Vec<Box<dyn Model>> {
    vec![Box::new(ExtraTrees::default()), Box::new(Lstm::with(common_net()))]
}

fn predicted(fitted: &mut dyn Fitted) -> Vec<Prediction> {
    let mut out = vec![Prediction::UNKNOWN; HORIZON];
    fitted.predict(&[], &mut out);
    out
}

/// Finite, ordered, and within a quarter of the range around it.
fn check(name: &str, values: &[f64], out: &[Prediction]) {
    let usable = || values.iter().copied().filter(|value| value.is_finite() && *value >= 0.0);
    let (least, most) = (usable().fold(f64::INFINITY, f64::min), usable().fold(0.0, f64::max));
    let slack = 0.25 * (most - least) + 1e-9 * most;
    for (ahead, said) in out.iter().enumerate() {
        let quantiles = said.quantiles.unwrap_or_else(|| panic!("{name} has no band at {ahead}"));
        assert!(quantiles.windows(2).all(|pair| pair[0] <= pair[1]), "{name} at {ahead}: {quantiles:?}");
        for value in quantiles.iter().chain([&said.point]) {
            let inside = *value >= (least - slack).max(0.0) && *value <= most + slack;
            assert!(inside, "{name} at {ahead}: {value} for values from {least} to {most}");
        }
        assert!(quantiles[0] <= said.point && said.point <= quantiles[LEVELS.len() - 1], "{name}: {said:?}");
    }
}

#[test]
fn too_short_a_history_is_refused_and_one_of_the_warm_up_is_not() {
    let mut all = models();
    all.push(Box::new(Lstm::alone(1)));
    for model in all {
        let need = model.warm_up(Some(24), HORIZON);
        let values = daily(need, 3);
        for have in [0, 1, need - 1] {
            let refused = model.fit(&history(&values[..have], Some(24), HORIZON)).err();
            assert_eq!(refused, Some(ModelError::NotEnoughHistory { have, need }), "{}", model.name());
        }
        if let Err(error) = model.fit(&history(&values, Some(24), HORIZON)) {
            panic!("{} refuses its own warm-up: {error}", model.name());
        }
    }
}

#[test]
fn values_that_do_not_vary_are_refused() {
    for model in models() {
        for value in [0.0, 1.0, 1e-300, 1e90] {
            let refused = model.fit(&history(&[value; 300], Some(24), HORIZON)).err();
            assert!(
                matches!(refused, Some(ModelError::Degenerate { .. })),
                "{} {value}: {refused:?}",
                model.name()
            );
        }
        let refused = model.fit(&history(&[f64::NAN; 300], Some(24), HORIZON)).err();
        assert!(matches!(refused, Some(ModelError::NotEnoughHistory { have: 0, .. })), "{}", model.name());
    }
}

#[test]
fn the_same_history_gives_the_same_bits_and_another_seed_does_not() {
    let values = daily(250, 9);
    let bits = |model: &dyn Model| {
        let mut fitted = model.fit(&history(&values, Some(24), HORIZON)).unwrap();
        fitted.update(21.5, &[]);
        predicted(fitted.as_mut()).iter().map(|said| said.point.to_bits()).collect::<Vec<u64>>()
    };
    for (first, again) in models().iter().zip(models()) {
        assert_eq!(bits(first.as_ref()), bits(again.as_ref()), "{}", first.name());
    }
    assert_ne!(bits(&ExtraTrees::seeded(1)), bits(&ExtraTrees::seeded(2)));
    assert_eq!(bits(&Lstm::alone(3)), bits(&Lstm::alone(3)));
    assert_ne!(bits(&Lstm::alone(3)), bits(&Lstm::alone(4)));
}

/// An updated net has seen what a net fitted later has; only the range it is held within comes from the same values.
#[test]
fn an_update_is_as_good_as_a_later_fit_for_the_net() {
    let values = daily(250, 10);
    let model = Lstm::with(common_net());
    let mut early = model.fit(&history(&values[..230], Some(24), HORIZON)).unwrap();
    values[230..].iter().for_each(|value| early.update(*value, &[]));
    let mut late = model.fit(&history(&values, Some(24), HORIZON)).unwrap();
    assert_eq!(predicted(early.as_mut()), predicted(late.as_mut()));
}

/// Many more updates than are kept: what is dropped must not move the clock or the season.
#[test]
fn a_long_run_of_updates_keeps_the_phase() {
    let values = daily(3_000, 12);
    for model in [Box::new(ExtraTrees::default()) as Box<dyn Model>, Box::new(Lstm::with(common_net()))] {
        let mut fitted = model.fit(&history(&values[..240], Some(24), HORIZON)).unwrap();
        values[240..2_960].iter().for_each(|value| fitted.update(*value, &[]));
        let out = predicted(fitted.as_mut());
        let mut later = model.fit(&history(&values[..2_960], Some(24), HORIZON)).unwrap();
        let near: f64 =
            out.iter().zip(predicted(later.as_mut())).map(|(a, b)| (a.point - b.point).abs()).sum();
        assert!(near / (HORIZON as f64) < 2.0, "{}: {near} apart over the horizon", model.name());
    }
}

fn bad_values() -> impl Strategy<Value = Vec<f64>> {
    let value = prop_oneof![
        8 => 0.0..100.0_f64,
        2 => Just(5.0),
        1 => Just(f64::NAN),
        1 => prop_oneof![Just(f64::INFINITY), Just(-1.0), Just(f64::MAX), Just(1e11), Just(0.0), Just(1e-300)],
    ];
    (prop::collection::vec(value, 0..160), 0_usize..160, 0_usize..80).prop_map(|(mut values, at, gap)| {
        let end = (at + gap).min(values.len());
        values.get_mut(at..end).unwrap_or_default().fill(f64::NAN);
        values
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn bad_values_give_a_sound_forecast_or_a_typed_refusal(
        values in bad_values(),
        more in bad_values(),
        season in prop_oneof![Just(None), (0_usize..60).prop_map(Some)],
    ) {
        for model in models() {
            let Ok(mut fitted) = model.fit(&history(&values, season, HORIZON)) else { continue };
            let mut seen: Vec<f64> = values.iter().map(|value| if *value > 1e100 { f64::NAN } else { *value }).collect();
            check(model.name(), &seen, &predicted(fitted.as_mut()));
            for value in &more { fitted.update(*value, &[]); }
            seen.extend(more.iter().map(|value| if *value > 1e100 { f64::NAN } else { *value }));
            check(model.name(), &seen, &predicted(fitted.as_mut()));
        }
    }
}

/// A year of gap, and jumps of a thousand million times, in the middle of an honest series.
#[test]
fn a_long_gap_and_a_huge_jump_do_no_harm() {
    let mut random = SplitMix::new(1);
    let mut values = daily(400, 13);
    values.extend(vec![f64::NAN; 8_760]);
    values.extend(daily(200, 14));
    values.extend([4e10, 5e10]);
    values.extend((0..60).map(|_| 20.0 + random.unit()));
    for model in models() {
        let mut fitted = model.fit(&history(&values, Some(24), HORIZON)).unwrap();
        let out = predicted(fitted.as_mut());
        check(model.name(), &values, &out);
        assert!(out.iter().all(|said| said.point < 200.0), "{} was thrown off: {out:?}", model.name());
    }
}
