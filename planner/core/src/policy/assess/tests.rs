#![allow(
    clippy::float_cmp,
    clippy::too_many_lines,
    clippy::type_complexity,
    reason = "tables of exact results"
)]
mod conditions;
mod together;

use super::*;
use crate::{
    forecast::Forecast,
    ids::NodeId,
    inputs::{OwnedInputs, ServiceInputs, Settings},
    policy::{PredictedLatency, Sustained, quantity::Quantity},
    time::{Step, Timestamp},
    topology::{Node, Replica, Snapshot, Workload},
    units::{Millicores, Probability, Quantile},
};
use std::collections::BTreeMap;

const MINUTE: i64 = 60_000;

const fn at(minute: i64) -> Timestamp {
    Timestamp::from_unix_ms(minute * MINUTE)
}

fn probability(value: f64) -> Probability {
    Probability::new(value).unwrap()
}

/// A forecast made at minute 100 of these outcomes.
fn of_paths(paths: &[Vec<f64>]) -> Forecast {
    Forecast::of_paths(at(100), Step::from_ms(MINUTE).unwrap(), paths)
}

/// A forecast made at minute 100 and 15 steps long, of which all outcomes are this.
fn certain(steps: [f64; 15]) -> Forecast {
    of_paths(&vec![steps.to_vec(); 64])
}

/// One value, but another at some steps.
fn steps(usual: f64, at: &[usize], other: f64) -> [f64; 15] {
    std::array::from_fn(|step| if at.contains(&step) { other } else { usual })
}

/// Service `cart` at minute 100, with a replica on each of the nodes `a` and `b` of one core and 1000 bytes.
fn world() -> OwnedInputs {
    let node = || Node { memory_bytes: Some(1000.0), ..Node::new(Millicores::new(1000.0).unwrap()) };
    let nodes = ["a", "b"].map(|name| (NodeId::new(name), node()));
    let replicas =
        ["a", "b"].map(|name| (format!("cart-{name}").as_str().into(), Replica::new(name.into(), true)));
    let mut workload = Workload { replicas: BTreeMap::from(replicas), ..Workload::new("cart".into()) };
    workload.requests.cpu_millicores = Some(200.0);
    OwnedInputs {
        now: at(100),
        snapshot: Snapshot {
            nodes: BTreeMap::from(nodes),
            workloads: BTreeMap::from([("cart".into(), workload)]),
            ..Snapshot::empty(at(100))
        },
        services: BTreeMap::from([("cart".into(), ServiceInputs::default())]),
        nodes: BTreeMap::new(),
        background: BTreeMap::new(),
        resources: crate::inputs::Resources::default(),
        learned: crate::learned::Learned::default(),
        policies: Vec::new(),
        freezes: Vec::new(),
        past_moves: Vec::new(),
        in_flight: Vec::new(),
        move_duration_ms: BTreeMap::new(),
        settings: Settings { forecast_limit_ms: MINUTE, ..Settings::default() },
        newest: None,
    }
}

fn put(world: &mut OwnedInputs, metric: Metric, forecast: Forecast) {
    world.services.get_mut(&ServiceId::new("cart")).unwrap().forecasts.insert(metric, Ok(forecast));
}

fn said(world: &OwnedInputs, condition: &Condition) -> Verdict {
    let inputs = world.borrow();
    assess_condition(condition, &"cart".into(), &Sight::new(&inputs))
}

fn sustained(steps: usize, of: usize, within_min: i64) -> Sustained {
    Sustained { steps, of, within_ms: within_min * MINUTE, probability: probability(0.5) }
}

fn latency(steps: usize, of: usize, within_min: i64) -> Condition {
    let Sustained { steps, of, within_ms, probability } = sustained(steps, of, within_min);
    let quantile = Quantile::new(0.99).unwrap();
    Condition::PredictedLatency(PredictedLatency {
        quantile,
        above_ms: 250.0,
        steps,
        of,
        within_ms,
        probability,
    })
}

/// What a latency rule says of a forecast.
fn of_latency(forecast: Forecast, rule: &Condition, now: Timestamp, limit_ms: i64) -> Verdict {
    let mut world = world();
    put(&mut world, Metric::latency(0.99).unwrap(), forecast);
    world.now = now;
    world.settings.forecast_limit_ms = limit_ms;
    said(&world, rule)
}

fn day(slow: &[usize]) -> [f64; 15] {
    std::array::from_fn(|step| if slow.contains(&step) { 400.0 + step as f64 } else { 10.0 + step as f64 })
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
        let verdict = of_latency(certain(day(slow)), &latency(*steps, *of, *within), at(100), MINUTE);
        let got = match verdict {
            Verdict::Breach(breach) => Some(breach.at.ms_since(at(100)) / MINUTE),
            Verdict::Healthy(_) => None,
            other => panic!("case: {name}: {other:?}"),
        };
        assert_eq!(got, *want, "case: {name}");
    }
}

#[test]
fn a_breach_has_its_numbers() {
    let verdict = of_latency(certain(day(&[5, 6, 7, 8])), &latency(3, 5, 15), at(100), MINUTE);
    let Verdict::Breach(breach) = verdict else { panic!("{verdict:?}") };
    assert_eq!((breach.at, breach.steps_beyond), (at(105), 4));
    assert_eq!((breach.threshold, breach.subject), (Quantity::ms(250.0), None));
    assert!((breach.worst.as_ms().unwrap() - 408.0).abs() < 0.1, "{:?}", breach.worst);
    assert!(breach.probability.get() > 0.98, "{:?}", breach.probability);
}

#[test]
fn steps_that_go_wrong_together_count_together() {
    // Of ten outcomes, four are slow from the fifth step on; in the others each step but one is as likely to be slow.
    let together = |slow: bool| (0..15).map(|step| if slow && step >= 5 { 400.0 } else { 10.0 }).collect();
    let apart =
        |outcome: usize| (0..15).map(|step| if step % 10 == outcome { 400.0 } else { 10.0 }).collect();
    let paths = |of: &dyn Fn(usize) -> Vec<f64>| of_paths(&(0..100).map(of).collect::<Vec<_>>());
    let probability = |forecast| match of_latency(forecast, &latency(3, 5, 15), at(100), MINUTE) {
        Verdict::Breach(breach) => breach.probability.get(),
        Verdict::Healthy(healthy) => healthy.probability.get(),
        other => panic!("{other:?}"),
    };
    let hangs = probability(paths(&|outcome| together(outcome % 10 < 4)));
    let alone = probability(paths(&|outcome| apart(outcome % 10)));
    // 40.5 of 101, and one half of 101, by the rule of half an observation.
    assert!((hangs - 0.4).abs() < 0.01, "{hangs}");
    assert!(alone < 0.01, "{alone}");
}

#[test]
fn what_is_not_known_is_not_healthy() {
    let said = |now, limit, within| match of_latency(certain(day(&[])), &latency(3, 5, within), now, limit) {
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
fn the_earliest_breach_counts_then_the_unknown_then_money() {
    let healthy = |p| {
        let (worst, threshold) = (Quantity::ms(1.0), Quantity::ms(250.0));
        Verdict::Healthy(Healthy { worst, threshold, subject: None, probability: probability(p) })
    };
    let unknown = Verdict::Unknown { why: UnknownReason::NoForecast { metric: "x".to_owned() } };
    let saving = |at_least| Verdict::Opportunity(Opportunity { at_least });
    let order =
        [breach(1, 0.9), breach(2, 0.9), unknown, saving(0.1), saving(0.2), healthy(0.4), healthy(0.1)];
    for (a, first) in order.iter().enumerate() {
        for (b, second) in order.iter().enumerate() {
            assert_eq!(verdict_order(first, second), a < b, "{first:?} before {second:?}");
        }
    }
}

fn breach(minute: i64, p: f64) -> Verdict {
    Verdict::Breach(Breach {
        at: at(minute),
        probability: probability(p),
        worst: Quantity::ms(300.0),
        threshold: Quantity::ms(250.0),
        subject: None,
        steps_beyond: 3,
        saving_at_least: None,
    })
}
