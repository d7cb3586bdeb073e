//! Whatever the values are, Prophet and ARIMA do not panic, and what they say is finite, ordered and near the history.
use crate::{Arima, Mode, Prophet};
use foremesh_core::forecast::model::{BreachWindow, Covariate, History, Model, Prediction};
use foremesh_core::time::{Step, Timestamp};
use proptest::prelude::*;

fn models() -> Vec<Box<dyn Model>> {
    // Few paths: without optimisation they are most of the time.
    let additive = Prophet { paths: 100, ..Prophet::default() };
    let multiplicative = Prophet {
        season_mode: Mode::Multiplicative,
        regressor_mode: Mode::Multiplicative,
        ..additive.clone()
    };
    vec![Box::new(Arima::default()), Box::new(additive), Box::new(multiplicative)]
}

fn history<'a>(values: &'a [f64], covariates: &'a [Covariate<'a>], season: Option<usize>) -> History<'a> {
    History {
        start: Timestamp::from_unix_ms(1_700_000_000_000),
        step: Step::from_ms(3_600_000).unwrap(),
        season,
        horizon: 24,
        values,
        covariates,
        lowest: None,
        highest: None,
    }
}

/// Fits, forecasts, updates, forecasts again, and checks all that is said.
fn check(model: &dyn Model, history: &History<'_>, later: &[f64], future: &[&[f64]]) -> Vec<Prediction> {
    let observed = history.values.iter().filter(|value| value.is_finite()).count();
    let mut fitted = match model.fit(history) {
        Ok(fitted) => fitted,
        Err(error) => {
            // A reason, and none where there is plenty.
            assert!(!error.to_string().is_empty());
            assert!(observed < 200 || observed * 2 < history.values.len(), "{}: {error}", model.name());
            return Vec::new();
        }
    };
    let mut out = vec![Prediction::UNKNOWN; 24];
    for update in std::iter::once(None).chain(later.iter().map(Some)) {
        if let Some(value) = update {
            fitted.update(*value, &vec![*value; history.covariates.len()]);
        }
        fitted.predict(future, &mut out);
        let seen = || history.values.iter().chain(later).copied().filter(|value| value.is_finite());
        let (low, high) = (seen().fold(f64::INFINITY, f64::min), seen().fold(f64::NEG_INFINITY, f64::max));
        let margin = 0.25 * (high - low) + 1e-9 * high.abs().max(low.abs());
        for prediction in &out {
            let name = model.name();
            let quantiles =
                prediction.quantiles.unwrap_or_else(|| panic!("{name} has no band: {prediction:?}"));
            assert!(prediction.point.is_finite(), "{name}: {prediction:?}");
            assert!(quantiles.windows(2).all(|pair| pair[0] <= pair[1]), "{name}: {prediction:?}");
            for value in quantiles.into_iter().chain([prediction.point]) {
                assert!((low - margin..=high + margin).contains(&value), "{name}: {value} for {low}..{high}");
            }
        }
    }
    let window = BreachWindow { threshold: 1.0, steps: 2, of: 3, within: 10 };
    if let Some(probability) = fitted.breach(future, &window) {
        assert!((0.0..=1.0).contains(&probability), "{}: {probability}", model.name());
    }
    out
}

#[test]
fn odd_histories() {
    let wave = |t: usize| 10.0 + (t as f64 / 4.0).sin();
    let mut jump: Vec<f64> = (0..300).map(wave).collect();
    jump[150..].iter_mut().for_each(|value| *value *= 1e9);
    let mut spike: Vec<f64> = (0..300).map(wave).collect();
    spike[200] = 1e15;
    let gap: Vec<f64> =
        (0..9000).map(|t| if (200..8960).contains(&t) { f64::NAN } else { wave(t) }).collect();
    let sparse: Vec<f64> = (0..800).map(|t| if t % 2 == 0 { wave(t) } else { f64::NAN }).collect();
    let cases: Vec<(&str, Vec<f64>)> = vec![
        ("none", vec![]),
        ("one", vec![5.0]),
        ("gaps only", vec![f64::NAN; 300]),
        ("constant", vec![7.0; 300]),
        ("zeros", vec![0.0; 300]),
        ("constant then one other", [vec![7.0; 299], vec![8.0]].concat()),
        ("jump of 10^9", jump),
        ("spike", spike),
        ("a year of gap", gap),
        ("every other one missing", sparse),
        ("infinite", (0..300).map(|t| if t == 9 { f64::INFINITY } else { wave(t) }).collect()),
        ("line", (0..300).map(f64::from).collect()),
        ("parabola", (0..300).map(|t| f64::from(t * t)).collect()),
        (
            "wave without noise",
            (0..300).map(|t| (std::f64::consts::TAU * f64::from(t) / 24.0).sin()).collect(),
        ),
        ("negative", (0..300).map(|t| -wave(t)).collect()),
        ("tiny", (0..300).map(|t| 1e-300 * wave(t)).collect()),
        ("huge", (0..300).map(|t| 1e306 * wave(t)).collect()),
        ("largest", (0..300).map(|t| if t % 2 == 0 { f64::MAX } else { -f64::MAX }).collect()),
    ];
    for (name, values) in &cases {
        for season in [None, Some(24), Some(168)] {
            for model in models() {
                println!("{name}, {season:?}, {}", model.name());
                check(model.as_ref(), &history(values, &[], season), &[f64::NAN, 3.0, 1e12], &[]);
            }
        }
    }
}

#[test]
fn too_little_is_refused_with_numbers() {
    for model in models() {
        let error = model.fit(&history(&[1.0, f64::NAN, 2.0], &[], None)).unwrap_err().to_string();
        assert!(error.starts_with("2 observed steps, but "), "{}: {error}", model.name());
        assert!(model.warm_up(Some(24), 12) >= 3);
    }
}

#[test]
fn the_same_history_gives_the_same_bits() {
    let values: Vec<f64> = (0..500).map(|t| f64::from((t * 7919) % 101 + t % 24)).collect();
    for model in models() {
        let one = check(model.as_ref(), &history(&values, &[], Some(24)), &[4.0], &[]);
        let two = check(model.as_ref(), &history(&values, &[], Some(24)), &[4.0], &[]);
        assert_eq!(one, two, "{}", model.name());
    }
}

#[test]
fn limits_hold() {
    let values: Vec<f64> = (0..300).map(|t| f64::from(t % 24 < 2)).collect();
    for model in models() {
        let limited = History { lowest: Some(0.0), highest: Some(1.0), ..history(&values, &[], Some(24)) };
        for prediction in check(model.as_ref(), &limited, &[], &[]) {
            let quantiles = prediction.quantiles.unwrap();
            assert!(quantiles[0] >= 0.0 && quantiles[6] <= 1.0, "{}: {prediction:?}", model.name());
        }
    }
}

#[test]
fn a_known_campaign_is_forecast() {
    let values: Vec<f64> = (0..400)
        .map(|t| 50.0 + f64::from(t * 7919 % 13) / 13.0 + if t % 90 > 80 { 20.0 } else { 0.0 })
        .collect();
    let flags: Vec<f64> = (0..400).map(|t| f64::from(t % 90 > 80)).collect();
    let covariates = [Covariate { name: "campaign", values: &flags }];
    for model in models() {
        let with = check(model.as_ref(), &history(&values, &covariates, None), &[], &[&[1.0; 40]]);
        let without = check(model.as_ref(), &history(&values, &covariates, None), &[], &[&[0.0; 40]]);
        let effect = with[12].point - without[12].point;
        assert!((effect - 20.0).abs() < 1.0, "{}: {effect}", model.name());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn any_history_is_survived(
        values in prop::collection::vec(
            prop_oneof![
                6 => -1e3..1e3_f64,
                2 => Just(f64::NAN),
                1 => Just(5.0),
                1 => -1e12..1e12_f64,
                1 => any::<f64>(),
            ],
            0..260,
        ),
        season in prop::option::of(1_usize..60),
        later in prop::collection::vec(prop_oneof![4 => -1e3..1e3_f64, 1 => Just(f64::NAN), 1 => any::<f64>()], 0..4),
        seed in 0_usize..100,
    ) {
        let other: Vec<f64> = (0..values.len()).map(|t| if (t + seed) % 17 == 0 { f64::NAN } else { ((t * seed) % 7) as f64 }).collect();
        let covariates = [Covariate { name: "x", values: &other }];
        for model in models() {
            check(model.as_ref(), &history(&values, &covariates, season), &later, &[&[1.0, f64::NAN]]);
        }
    }
}
