use super::*;
use crate::backtest::replay::BreachForecast;

const DAY_MS: i64 = 86_400_000;

fn task(horizon: usize, last: usize) -> Task {
    Task {
        season: None,
        first: 2,
        origins: vec![2, last],
        horizon,
        scale: Some(1.0),
        threshold: 5.0,
        lowest: None,
        highest: None,
    }
}

fn warnings(values: &[f64], horizon: usize, breaches: &[(usize, f64)]) -> Warnings {
    let replay = Replay {
        breaches: breaches
            .iter()
            .map(|(origin, probability)| BreachForecast { origin: *origin, probability: *probability })
            .collect(),
        ..Replay::default()
    };
    Warnings::new(&replay, values, &task(horizon, values.len() - horizon), DAY_MS, 0.5)
}

struct Case {
    what: &'static str,
    values: Vec<f64>,
    raised: Vec<usize>,
    episodes: usize,
    warned: usize,
    leads: Vec<usize>,
    alarms: usize,
    true_alarms: usize,
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn episodes_alarms_and_leads() {
    let (low, high) = (1.0, 9.0);
    // Ten steps, of which 2 to 9 are looked at; the horizon is 3.
    let with = |at: &[usize]| (0..10).map(|step| if at.contains(&step) { high } else { low }).collect();
    let cases = [
        Case {
            what: "an alarm in time counts from the newest value, step 3, to the first high one",
            values: with(&[6, 7]),
            raised: vec![4],
            episodes: 1,
            warned: 1,
            leads: vec![3],
            alarms: 1,
            true_alarms: 1,
        },
        Case {
            what: "an alarm whose horizon ends before the episode does not warn of it",
            values: with(&[6]),
            raised: vec![3],
            episodes: 1,
            warned: 0,
            leads: vec![],
            alarms: 1,
            true_alarms: 0,
        },
        Case {
            what: "alarms while one stands belong to it, and the first one counts for the lead",
            values: with(&[6]),
            raised: vec![4, 5, 6],
            episodes: 1,
            warned: 1,
            leads: vec![3],
            alarms: 1,
            true_alarms: 1,
        },
        Case {
            what: "an alarm after one is over is another one",
            values: with(&[6]),
            raised: vec![2, 5],
            episodes: 1,
            warned: 1,
            leads: vec![2],
            alarms: 2,
            true_alarms: 1,
        },
        Case {
            what: "two episodes, one of them missed",
            values: with(&[3, 8]),
            raised: vec![7],
            episodes: 2,
            warned: 1,
            leads: vec![2],
            alarms: 1,
            true_alarms: 1,
        },
        Case {
            what: "an episode that began before is none, but an alarm before its second step would be late anyway",
            values: with(&[1, 2]),
            raised: vec![],
            episodes: 0,
            warned: 0,
            leads: vec![],
            alarms: 0,
            true_alarms: 0,
        },
        Case {
            what: "a gap ends an episode, and no alarm follows from it",
            values: vec![low, low, high, f64::NAN, high, low, low, low, low, low],
            raised: vec![2],
            episodes: 2,
            warned: 2,
            leads: vec![1, 3],
            alarms: 1,
            true_alarms: 1,
        },
    ];
    for case in cases {
        let breaches: Vec<(usize, f64)> = case.raised.iter().map(|at| (*at, 0.5)).collect();
        let got = warnings(&case.values, 3, &breaches);
        assert_eq!(
            (got.episodes, got.warned, &got.leads, got.alarms, got.true_alarms),
            (case.episodes, case.warned, &case.leads, case.alarms, case.true_alarms),
            "{}",
            case.what
        );
    }
}

#[test]
fn false_alarms_are_counted_by_day() {
    let got = warnings(&[1.0; 10], 3, &[(2, 0.9), (5, 0.9), (6, 0.2)]);
    assert!((got.days - 8.0).abs() < 1e-12, "steps 2 to 9 of a day each, not {}", got.days);
    assert_eq!(got.false_alarms_per_day(), Some(0.25));
    assert_eq!((got.precision(), got.recall(), got.median_lead_steps()), (Some(0.0), None, None));
}

#[test]
fn probabilities_are_compared_with_what_came() {
    let values = [1.0, 1.0, 1.0, 1.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0];
    let got = warnings(&values, 3, &[(2, 0.75), (5, 0.25), (6, 0.0), (7, 1.0)]).calibration;
    // Only the window from 2 holds the high value.
    assert_eq!(got.count(), 4);
    let squared = 0.25_f64.powi(2) + 0.25_f64.powi(2) + 0.0 + 1.0;
    assert!((got.brier().unwrap() - squared / 4.0).abs() < 1e-12);
    assert!((got.brier_of_base_rate().unwrap() - 0.25 * 0.75).abs() < 1e-12);
    assert!((got.expected_error().unwrap() - (0.25 + 0.25 + 0.0 + 1.0) / 4.0).abs() < 1e-12);
    assert_eq!(got.bins[9], (1, 1.0, 0), "1 belongs to the last bin");
}

#[test]
fn a_window_that_is_mostly_a_gap_is_not_compared() {
    let gap = f64::NAN;
    let values = [1.0, 1.0, gap, gap, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
    assert_eq!(warnings(&values, 3, &[(2, 0.4), (3, 0.4)]).calibration.count(), 1);
}

#[test]
fn an_alarm_that_is_prolonged_is_several_claims() {
    let mut values = vec![1.0; 14];
    values[9] = 9.0;
    let raised: Vec<(usize, f64)> = (2..=8).map(|at| (at, 0.6)).collect();
    let got = warnings(&values, 3, &raised);
    assert_eq!((got.alarms, got.true_alarms), (1, 1), "it stands from step 2 to 10");
    assert_eq!(
        (got.claims, got.true_claims),
        (3, 1),
        "claims begin at 2, 5 and 8, and the last one holds step 9"
    );
    assert_eq!(got.claim_precision(), Some(1.0 / 3.0));
    assert!((got.false_claims_per_day().unwrap() - 2.0 / got.days).abs() < 1e-12);
}
