#![allow(
    clippy::float_cmp,
    clippy::too_many_lines,
    clippy::type_complexity,
    reason = "tables of exact results"
)]
use super::*;
use crate::time::Step;

const MINUTE: i64 = 60_000;
const SEASON: usize = 20;

const fn at(minute: i64) -> Timestamp {
    Timestamp::from_unix_ms(minute * MINUTE)
}

/// A forecast made at minute 100 and 15 steps long, of which all outcomes are this day.
fn repeating(day: [f64; SEASON]) -> Forecast {
    Forecast::of_paths(at(100), Step::from_ms(MINUTE).unwrap(), &vec![day[..15].to_vec(); 64])
}

fn day(slow: &[usize]) -> [f64; SEASON] {
    std::array::from_fn(|step| if slow.contains(&step) { 400.0 + step as f64 } else { 10.0 + step as f64 })
}

fn rule(steps: usize, of: usize, within_min: i64) -> PredictedLatency {
    PredictedLatency {
        quantile: Quantile::new(0.99).unwrap(),
        above_ms: 250.0,
        steps,
        of,
        within_ms: within_min * MINUTE,
        probability: Probability::new(0.5).unwrap(),
    }
}

#[test]
fn the_first_sustained_breach_within_the_look_ahead_counts() {
    // name, slow steps, k, n, look-ahead in minutes, minutes until the breach
    let cases: &[(&str, &[usize], (usize, usize), i64, Option<i64>)] = &[
        ("nothing slow", &[], (3, 5), 15, None),
        ("one slow step is noise", &[5], (3, 5), 15, None),
        ("three of five", &[5, 7, 9], (3, 5), 15, Some(5)),
        ("three of six are not three of five", &[5, 7, 10], (3, 5), 15, None),
        ("a spike before does not move the start", &[1, 7, 8, 9], (3, 5), 15, Some(7)),
        ("one of one", &[14], (1, 1), 15, Some(14)),
        ("beyond the look-ahead", &[12, 13, 14], (3, 5), 10, None),
        ("only begun within the look-ahead", &[8, 9, 10], (3, 5), 10, Some(8)),
        ("slow now", &[0, 1, 2], (3, 3), 15, Some(0)),
    ];
    for (name, slow, (steps, of), within, want) in cases {
        let verdict = assess_rule(&rule(*steps, *of, *within), &repeating(day(slow)), at(100), MINUTE);
        let got = match verdict {
            Verdict::Breach(breach) => Some(breach.at.ms_since(at(100)) / MINUTE),
            Verdict::Healthy(_) => None,
            Verdict::Unknown { why } => panic!("case: {name}: {why}"),
        };
        assert_eq!(got, *want, "case: {name}");
    }
}

#[test]
fn a_breach_has_its_numbers() {
    let verdict = assess_rule(&rule(3, 5, 15), &repeating(day(&[5, 6, 7, 8])), at(100), MINUTE);
    let Verdict::Breach(breach) = verdict else { panic!("{verdict:?}") };
    assert_eq!((breach.at, breach.steps_above), (at(105), 4));
    // History is kept in 16 bits, which is good for four digits here.
    assert!((breach.worst_ms - 408.0).abs() < 0.1, "{breach:?}");
    assert!(breach.probability.get() > 0.98, "{breach:?}");
}

#[test]
fn steps_that_go_wrong_together_count_together() {
    // Of ten outcomes, four are slow from the fifth step on; in the others each step but one is as likely to be slow.
    let together = |slow: bool| (0..15).map(|step| if slow && step >= 5 { 400.0 } else { 10.0 }).collect();
    let apart =
        |outcome: usize| (0..15).map(|step| if step % 10 == outcome { 400.0 } else { 10.0 }).collect();
    let paths = |of: &dyn Fn(usize) -> Vec<f64>| {
        Forecast::of_paths(at(100), Step::from_ms(MINUTE).unwrap(), &(0..100).map(of).collect::<Vec<_>>())
    };
    let probability = |forecast: &Forecast| match assess_rule(&rule(3, 5, 15), forecast, at(100), MINUTE) {
        Verdict::Breach(breach) => breach.probability.get(),
        Verdict::Healthy(healthy) => healthy.probability.get(),
        Verdict::Unknown { why } => panic!("{why}"),
    };
    let (hangs, alone) =
        (paths(&|outcome| together(outcome % 10 < 4)), paths(&|outcome| apart(outcome % 10)));
    // 40.5 of 101, and one half of 101, by the rule of half an observation.
    assert!((probability(&hangs) - 0.4).abs() < 0.01, "{}", probability(&hangs));
    assert!(probability(&alone) < 0.01, "{}", probability(&alone));
}

#[test]
fn what_is_not_known_is_not_healthy() {
    let forecast = repeating(day(&[]));
    let said = |now, limit, within| match assess_rule(&rule(3, 5, within), &forecast, now, limit) {
        Verdict::Unknown { why } => why.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(said(at(103), MINUTE, 5), "the forecast is 3 min old, but at most 1 min are allowed");
    assert_eq!(
        said(at(100), MINUTE, 30),
        "the forecast reaches 15 min ahead, but the rule looks 30 min ahead; lengthen the horizon or shorten `within`"
    );
    assert_eq!(
        said(at(120), 60 * MINUTE, 5),
        "the forecast reaches -5 min ahead, but the rule looks 5 min ahead; lengthen the horizon or shorten `within`"
    );
}

#[test]
fn the_earliest_breach_counts_then_the_unknown() {
    let healthy = |p| Verdict::Healthy(Healthy { worst_ms: 1.0, probability: Probability::new(p).unwrap() });
    let breach = |minute| {
        let probability = Probability::new(0.9).unwrap();
        Verdict::Breach(Breach { at: at(minute), probability, worst_ms: 300.0, steps_above: 3 })
    };
    let unknown = Verdict::Unknown { why: UnknownReason::NoForecast { metric: "x".to_owned() } };
    let order = [breach(1), breach(2), unknown, healthy(0.4), healthy(0.1)];
    for (a, first) in order.iter().enumerate() {
        for (b, second) in order.iter().enumerate() {
            assert_eq!(breach_order(first, second), a < b, "{first:?} before {second:?}");
        }
    }
}
