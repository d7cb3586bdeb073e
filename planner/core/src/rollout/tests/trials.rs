//! A move that has to be tried before production is touched.
use super::*;
use crate::{
    policy::Callees,
    rollout::gate::GateSample,
    trial::{Trial, TrialOrder, TrialReport, TrialVerdict},
    units::Quantile,
};

fn order() -> TrialOrder {
    TrialOrder {
        workload: "shop/cart".into(),
        service: "cart".into(),
        source: "h1".into(),
        target: "h2".into(),
        requests: Vec::new(),
        port: None,
        callees: Callees::None,
        copy_secrets: false,
        rate_rps: 10.0,
        peak_rps: 10.0,
        pairs: 800,
        most_pairs: 1600,
        warm_up_ms: 10_000,
        start_within_ms: 60_000,
        quantile: Quantile::new(0.95).unwrap(),
        objective_ms: 50.0,
        error_margin: 0.02,
        latency_factor: 1.2,
        seed: 1,
    }
}

/// What came of a trial: 0..=6 pass, 7 inconclusive, else a failure.
pub(super) fn tried(kind: u8, at: Timestamp) -> Trial {
    let verdict = match kind {
        0..=6 => TrialVerdict::Pass,
        7 => TrialVerdict::Inconclusive,
        _ => TrialVerdict::Fail,
    };
    let end = GateSample { requests: 800, server_errors: 0, latency_ms: 10.0 };
    let report = TrialReport {
        verdict,
        why: "numbers".to_owned(),
        at,
        rate_rps: 10.0,
        peak_rps: 10.0,
        seconds: 80.0,
        quantile: Quantile::new(0.95).unwrap(),
        objective_ms: 50.0,
        source: end,
        target: end,
        source_node: "h1".to_owned(),
        slowness: None,
        more_errors_at_most: 0.0,
    };
    Trial::Tried { report: Box::new(report) }
}

fn owing() -> Run {
    let mut run = start(&Task::whole(&[50, 100]));
    run.record.trial = Trial::Owed { order: Box::new(order()) };
    run
}

/// The turns after the one that reaches the trial, and where they end.
#[test]
fn only_a_pass_goes_on_to_production() {
    let minute = |turn: Turn| Turn { passes_ms: 60_000, ..turn };
    let cases = [
        ("it passes", calm(), calm(), "Reserving", "the trial passed: numbers"),
        (
            "it fails",
            Turn { gate: 9, ..calm() },
            calm(),
            "Aborted",
            "the trial failed: numbers; nothing was done",
        ),
        (
            "it says nothing",
            Turn { gate: 7, ..calm() },
            calm(),
            "Aborted",
            "the trial was inconclusive, which is not a pass",
        ),
        (
            "it cannot be made",
            Turn { action: 6, ..calm() },
            minute(Turn { action: 6, ..calm() }),
            "Aborted",
            "the move could not be tried, so nothing was done: exit code 1",
        ),
        ("somebody stops it", Turn { abort: true, ..calm() }, calm(), "Aborted", "sre asked to stop: no"),
        (
            "the breach is gone meanwhile",
            calm(),
            minute(Turn { validity: 11, ..calm() }),
            "Aborted",
            "the trial passed, but the plan does not hold any more",
        ),
        (
            "nobody says whether it holds",
            calm(),
            minute(Turn { validity: 10, ..calm() }),
            "Aborted",
            "could not be validated after its trial",
        ),
        (
            "the planner is killed in it",
            Turn { action: 8, ..calm() },
            calm(),
            "Reserving",
            "the trial passed",
        ),
    ];
    for (name, first, then, state, why) in cases {
        let mut run = owing();
        run.record = run.record.entered(State::Trial, "validated", &run.limits, run.now);
        run.take(&Turn { passes_ms: 1, validity: then.validity, ..first }).unwrap();
        for _ in 0..8 {
            let over = run.record.history.iter().find(|change| change.from == State::Trial);
            if over.is_some() {
                break;
            }
            run.take(&then).unwrap();
        }
        let left = run.record.history.iter().find(|change| change.from == State::Trial).unwrap();
        assert_eq!(left.to.to_string(), state, "case: {name}: {}", left.why);
        assert!(left.why.contains(why), "case: {name}: {}", left.why);
    }
}

#[test]
fn the_time_for_a_trial_is_that_of_its_order() {
    let mut run = owing();
    while run.record.state != State::Trial {
        run.record = run.record.entered(State::Trial, "validated", &run.limits, run.now);
    }
    let own_ms = run.record.deadline.ms_since(run.now);
    assert_eq!(own_ms, run.limits.trial_ms + 2 * order().limit_ms());
    assert_eq!(order().limit_ms(), 10_000 + 160_000 + 60_000 + 30_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn production_is_never_touched_before_a_pass(turns in prop::collection::vec(turn(), 1..120)) {
        let mut run = owing();
        for turn in &turns {
            run.take(turn)?;
            let beyond = run.record.history.iter().any(|change| change.to == State::Reserving);
            prop_assert!(!beyond || run.record.is_permitted());
        }
    }
}
