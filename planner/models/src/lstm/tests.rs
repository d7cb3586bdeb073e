use super::{cell, head, network::WEIGHTS, *};
use crate::{sample::*, splitmix::SplitMix};
use cell::Tape;
use std::ops::ControlFlow;

/// Finite differences of the loss, for the weights that matter most in each part of the net.
#[test]
fn the_gradient_is_that_of_the_loss() {
    let values = daily(200, 3);
    let history = history(&values, Some(24), 12);
    let mut recent = Recent::new(history.start, history.step, history.season, values.len());
    for value in &values {
        recent.push(*value);
    }
    let window = Window::at(&recent, 150, None).unwrap();
    // Far from every quantile, where the loss has no kink.
    let targets = [(0, 3.0), (2, -3.0), (11, 4.0)];
    let mut network = Network::random(12, &mut SplitMix::new(5));
    let mut gradient = vec![0.0; WEIGHTS];
    network.learn(&window, &targets, &mut Tape::default(), &mut gradient);

    let gates = 4 * cell::UNITS;
    let from_state = cell::INPUTS * gates;
    let biases = from_state + cell::UNITS * gates;
    let outputs = WEIGHTS - head::QUANTILES * head::COLUMNS;
    let parts =
        [0..from_state, from_state..biases, biases..cell::WEIGHTS, cell::WEIGHTS..outputs, outputs..WEIGHTS];
    for part in parts {
        let mut order: Vec<usize> = part.clone().collect();
        order.sort_by(|a, b| gradient[*b].abs().total_cmp(&gradient[*a].abs()));
        for weight in &order[..20] {
            let mut loss_at = |shift: f32| {
                let kept = network.weights[*weight];
                network.weights[*weight] = kept + shift;
                let mut unused = vec![0.0; WEIGHTS];
                let loss = network.learn(&window, &targets, &mut Tape::default(), &mut unused);
                network.weights[*weight] = kept;
                f64::from(loss)
            };
            let step = 4e-3;
            let measured = (loss_at(step) - loss_at(-step)) / (2.0 * f64::from(step));
            let told = f64::from(gradient[*weight]);
            let close = (measured - told).abs() <= 0.02 * told.abs() + 2e-4;
            assert!(close, "weight {weight} of {part:?}: {told} told, {measured} measured");
        }
    }
}

#[test]
fn tanh_is_tanh() {
    for at in -2_000..=2_000 {
        let x = at as f32 / 200.0;
        assert!((math::tanh(x) - x.tanh()).abs() < 2e-6, "{x}: {} {}", math::tanh(x), x.tanh());
    }
}

#[test]
fn training_teaches_what_the_series_have_in_common() {
    let series: Vec<Vec<f64>> = (0..6).map(|seed| daily(600, seed)).collect();
    let corpus: Vec<History<'_>> =
        series.iter().map(|values| history(&values[..500], Some(24), 12)).collect();
    let mut losses = Vec::new();
    let mut watch = |progress: &Progress| {
        losses.push(progress.loss);
        ControlFlow::Continue(())
    };
    let network = Network::train_watched(&corpus, TrainingBudget { examples: 3_000 }, 1, &mut watch).unwrap();
    assert_eq!(losses.len(), 3_000_usize.div_ceil(16));
    assert!(losses[losses.len() - 1] < 0.6 * losses[0], "{} then {}", losses[0], losses[losses.len() - 1]);
    // A series that it never saw, and at another size.
    let other: Vec<f64> = daily(600, 99).iter().map(|value| 1_000.0 * value).collect();
    let model = Lstm::with(Arc::new(network));
    let (mut ours, mut last) = (0.0, 0.0);
    for origin in (480..580).step_by(10) {
        let mut fitted = model.fit(&history(&other[..origin], Some(24), 12)).unwrap();
        let mut out = [Prediction::UNKNOWN; 12];
        fitted.predict(&[], &mut out);
        for (ahead, said) in out.iter().enumerate() {
            ours += (said.point - other[origin + ahead]).abs();
            last += (other[origin - 1] - other[origin + ahead]).abs();
        }
    }
    assert!(ours < 0.5 * last, "error {ours}, of the last value {last}");
}

#[test]
fn a_corpus_that_teaches_nothing_is_refused() {
    let budget = TrainingBudget { examples: 32 };
    let short = [1.0; 10];
    let flat = [1.0; 300];
    let gap = [f64::NAN; 300];
    let train = |values: &[f64]| Network::train(&[history(values, None, 5)], budget, 1).unwrap_err();
    assert!(matches!(Network::train(&[], budget, 1), Err(ModelError::NotEnoughHistory { .. })));
    assert!(matches!(train(&short), ModelError::NotEnoughHistory { .. }));
    assert!(matches!(train(&gap), ModelError::NotEnoughHistory { .. }));
    assert!(matches!(train(&flat), ModelError::Degenerate { .. }));
    let values = daily(100, 1);
    let stopped =
        Network::train_watched(&[history(&values, None, 5)], budget, 1, &mut |_| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(ModelError::Failed { .. })));
}

#[test]
fn a_kept_net_is_the_same_net_and_a_broken_one_is_refused() {
    let values = daily(100, 1);
    let budget = TrainingBudget { examples: 32 };
    let network = Network::train(&[history(&values, None, 5)], budget, 7).unwrap();
    assert_eq!(network, Network::train(&[history(&values, None, 5)], budget, 7).unwrap());
    assert_ne!(network, Network::train(&[history(&values, None, 5)], budget, 8).unwrap());
    let kept = serde_json::to_value(&network).unwrap();
    assert_eq!(serde_json::from_value::<Network>(kept.clone()).unwrap(), network);
    let mut of_another_format = kept.clone();
    of_another_format["format"] = 0.into();
    let mut cut_off = kept;
    cut_off["weights"].as_array_mut().unwrap().pop();
    for (broken, want) in [(of_another_format, "has format 0"), (cut_off, "weights, but")] {
        let error = serde_json::from_value::<Network>(broken).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
}
