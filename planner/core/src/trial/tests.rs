//! The verdict, in tables and over simulated copies.
mod simulated;

use super::*;
use crate::{
    policy::{Callees, TrialRequest},
    units::Quantile,
};
use std::collections::BTreeMap;

fn order_of(quantile: f64, objective_ms: f64) -> TrialOrder {
    let quantile = Quantile::new(quantile).unwrap();
    let pairs = order::pairs_needed(quantile);
    let request = TrialRequest {
        path: "/".to_owned(),
        method: "GET".to_owned(),
        headers: BTreeMap::new(),
        body: None,
        weight: 1,
    };
    TrialOrder {
        workload: "shop/cart".into(),
        service: "cart".into(),
        source: "a".into(),
        target: "b".into(),
        requests: vec![request],
        port: None,
        callees: Callees::None,
        copy_secrets: false,
        rate_rps: 50.0,
        peak_rps: 50.0,
        pairs,
        most_pairs: pairs * 2,
        warm_up_ms: 0,
        start_within_ms: 0,
        quantile,
        objective_ms,
        error_margin: 0.02,
        latency_factor: 1.2,
        seed: 7,
    }
}

/// Latencies that rise and fall evenly from 10 to 20 ms, the target's times a factor; so many fail of each hundred.
fn samples(count: usize, times: f64, failing: (usize, usize)) -> TrialSamples {
    let pairs = (0..count).map(|at| {
        let latency_ms = 10.0 + (at * 37 % 100) as f64 / 10.0;
        Pair {
            source: Answer { ok: at % 100 >= failing.0, latency_ms },
            target: Answer { ok: at % 100 >= failing.1, latency_ms: latency_ms * times },
        }
    });
    TrialSamples {
        pairs: pairs.collect(),
        late: 0,
        seconds: 10.0,
        source_node: "a".to_owned(),
        notes: Vec::new(),
    }
}

#[test]
fn verdicts() {
    use TrialVerdict::{Fail, Inconclusive, Pass};
    let order = order_of(0.95, 30.0);
    let cases = [
        (
            "as good as the source",
            samples(800, 1.0, (0, 0)),
            Pass,
            "latency of the target is at most 0.65 times",
        ),
        (
            "slower, and within the objective",
            samples(800, 1.4, (0, 0)),
            Pass,
            "latency of the target is at most",
        ),
        ("twice the objective", samples(800, 3.0, (0, 0)), Fail, "latency of the target is at least"),
        ("five of a hundred fail", samples(800, 1.0, (0, 5)), Fail, "failed 5.0 % more requests"),
        ("both fail alike, a little", samples(1600, 1.0, (1, 1)), Pass, "it fails at most"),
        ("the source itself fails", samples(800, 1.0, (30, 30)), Inconclusive, "failed on the source's copy"),
        (
            "nothing answers at either",
            samples(800, 1.0, (100, 100)),
            Inconclusive,
            "100 % of the requests failed",
        ),
        ("nothing answers at the target", samples(800, 1.0, (0, 100)), Fail, "failed 100.0 % more"),
        ("too few", samples(799, 1.0, (0, 0)), Inconclusive, "799 of 800 requests"),
        ("too few, and plainly worse", samples(200, 1.0, (0, 40)), Fail, "failed 40.0 % more"),
        ("none at all", samples(0, 1.0, (0, 0)), Inconclusive, "0 of 800 requests"),
        (
            "a busy generator",
            TrialSamples { late: 41, ..samples(800, 1.0, (0, 0)) },
            Inconclusive,
            "sent late",
        ),
    ];
    for (name, samples, want, why) in cases {
        let report = judge(&order, &samples, Timestamp::from_unix_ms(5));
        assert_eq!(report.verdict, want, "case: {name}: {}", report.why);
        assert!(report.why.contains(why), "case: {name}: {}", report.why);
        assert_eq!(Trial::Tried { report: Box::new(report.clone()) }.permits(), want == Pass, "case: {name}");
        // Through the journal and back, whatever the numbers are.
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<TrialReport>(&json).unwrap(), report, "case: {name}");
    }
}

#[test]
fn a_reader_learns_the_numbers() {
    let report = judge(&order_of(0.95, 30.0), &samples(800, 1.0, (0, 0)), Timestamp::from_unix_ms(5));
    assert_eq!(
        report.why,
        "latency of the target is at most 0.65 times what it may be, and it fails at most 0.48 % more, sure to 95 % (800 \
         requests to each copy at 50.0/s over 10 s, 100 % of the predicted peak of 50.0/s; target on b: 0 failed, 19.4 ms \
         at 95.0 %; source on a: 0 failed, 19.4 ms at 95.0 %)"
    );
}

#[test]
fn a_farther_quantile_needs_more_pairs() {
    assert_eq!(order_of(0.5, 1.0).pairs, 800);
    assert_eq!(order_of(0.99, 1.0).pairs, 3000);
    assert_eq!(order_of(0.99, 1.0).looks(), [750, 1500, 2250, 3000, 6000]);
}
