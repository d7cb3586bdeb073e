use super::*;
use crate::backtest::replay::ForecastStep;

fn task(origins: Vec<usize>, horizon: usize) -> Task {
    Task {
        season: None,
        first: origins[0],
        origins,
        horizon,
        scale: Some(2.0),
        threshold: 10.0,
        lowest: None,
        highest: None,
    }
}

#[test]
fn pinball_weighs_both_sides() {
    for (level, forecast, actual, want) in
        [(0.9, 10.0, 12.0, 1.8), (0.9, 12.0, 10.0, 0.2), (0.5, 1.0, 3.0, 1.0), (0.1, 5.0, 5.0, 0.0)]
    {
        let got = pinball(level, forecast, actual);
        assert!((got - want).abs() < 1e-12, "{level} {forecast} {actual}: {got}, not {want}");
    }
}

#[test]
fn scores_equal_those_by_hand() {
    // Two origins, four steps each; values from step 2 on are 1, 2, 3, 4, NaN, 6.
    let values = [0.0, 0.0, 1.0, 2.0, 3.0, 4.0, f64::NAN, 6.0];
    let step = |point: f64, band: Option<[f64; 2]>| ForecastStep { point, band };
    let forecasts = Forecasts {
        steps: vec![
            step(1.5, Some([0.0, 2.0])),  // actual 1: error 0.5, inside, loss of q90 0.1 * 1
            step(2.0, Some([2.5, 3.0])),  // actual 2: error 0, below the band, loss 0.1 * 1
            step(5.0, Some([0.0, 2.0])),  // actual 3: error 2, above the band, loss 0.9 * 1
            step(4.0, None),              // actual 4: error 0, no band
            step(0.0, Some([3.0, 3.0])),  // actual 3: error 3, inside, loss 0
            step(4.5, Some([4.0, 4.0])),  // actual 4: error 0.5, inside, loss 0
            step(9.0, Some([0.0, 9.0])),  // nothing was measured
            step(4.0, Some([0.0, 10.0])), // actual 6: error 2, inside, loss 0.1 * 4
        ],
    };
    let scores = Scores::new(&forecasts, &values, &task(vec![2, 4], 4), &[1, 2, 4]);
    let mae: Vec<f64> = scores.mae.iter().map(|error| error.unwrap()).collect();
    for (got, want) in mae.iter().zip([3.5 / 2.0, 4.0 / 4.0, 8.0 / 7.0]) {
        assert!((got - want).abs() < 1e-12, "{mae:?}");
    }
    assert_eq!(
        scores.covered.map(|share| (share.hits, share.count)),
        [(2, 2), (1, 2), (0, 1), (1, 1)],
        "by quarter of the horizon"
    );
    assert_eq!(scores.below_90, Share { hits: 5, count: 6 });
    assert!((scores.pinball_90.unwrap() - 1.5 / 6.0).abs() < 1e-12);
}

#[test]
fn nothing_observed_is_no_score() {
    let forecasts = Forecasts { steps: vec![ForecastStep { point: 1.0, band: Some([0.0, 2.0]) }] };
    let scores = Scores::new(&forecasts, &[1.0, f64::NAN], &task(vec![1], 1), &[1]);
    assert_eq!((scores.mae, scores.pinball_90, scores.below_90.get()), (vec![None], None, None));
}

#[test]
fn quarters_of_a_horizon_that_four_does_not_divide() {
    let forecasts = Forecasts { steps: vec![ForecastStep { point: 0.0, band: Some([0.0, 0.0]) }; 15] };
    let scores = Scores::new(&forecasts, &[0.0; 16], &task(vec![1], 15), &[15]);
    assert_eq!(scores.covered.map(|share| share.count), [4, 4, 4, 3]);
}

#[test]
fn ratios_are_floored_at_a_hundredth_of_the_scale() {
    for (error, reference, scale, want) in
        [(1.0, 2.0, 1.0, 0.5), (0.0, 0.0, 1.0, 1.0), (0.5, 0.0, 10.0, 5.0), (0.0, 1.0, 1.0, 0.01)]
    {
        let got = relative(error, reference, scale);
        assert!((got - want).abs() < 1e-12, "{error} {reference} {scale}: {got}, not {want}");
    }
}

#[test]
fn means_and_medians() {
    assert_eq!((mean([]), median([]), geometric_mean([])), (None, None, None));
    assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
    assert!((geometric_mean([0.5, 2.0]).unwrap() - 1.0).abs() < 1e-12);
}
