//! Moves with known ends, judged.
use super::*;
use crate::{
    time::Step,
    twin::{Calibration, CalibrationNote, Path, TwinStep},
};
use serde_json::json;

const MINUTE: i64 = 60_000;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_unix_ms(minute * MINUTE)
}

/// A move whose prediction is about minutes 100 to 120.
fn planned() -> Move {
    serde_json::from_value(json!({
        "workload": "cart", "service": "cart", "replica": "cart@a", "from": "a", "to": "b",
        "reason": {
            "policy": "p", "rule": "slow", "quantile": 0.99, "objective_ms": 250.0, "breach_at": 100 * MINUTE,
            "breach_probability": 0.9, "stay_ms": 400.0, "move_ms": 40.0, "model": "last_value", "lead_ms": 60000
        },
        "ramp_percent": [50, 100]
    }))
    .unwrap()
}

/// The same latency in both halves; none where the node is saturated.
fn prediction(stay_ms: Option<f64>, move_ms: Option<f64>) -> MovePrediction {
    let path = |ms| {
        let step = |minute| TwinStep { at: at(minute), utilisation: 0.3, latency_ms: ms };
        Path { steps: vec![step(100), step(110)] }
    };
    MovePrediction {
        workload: "cart".into(),
        demand_core_ms: 2.0,
        calibration: Calibration { ratio: 1.0, note: CalibrationNote::Measured },
        source: path(stay_ms),
        target: path(move_ms),
        confirmed: None,
    }
}

/// Measured minute by minute from 90 on.
fn measured(of: impl Fn(i64) -> f64) -> Series {
    Series::new(at(90), Step::from_ms(MINUTE).unwrap(), (90..130).map(of).collect())
}

fn judge(change: impl FnOnce(&mut Judged<'_>), stay: Option<f64>, latency: &Series) -> Option<Benefit> {
    let (planned, prediction) = (planned(), prediction(stay, Some(40.0)));
    let mut judged = Judged { prediction: Some(&prediction), ..unpredicted(&planned, latency) };
    change(&mut judged);
    benefit(&judged)
}

#[test]
fn the_verdict_follows_the_numbers() {
    // What was predicted for staying, what was measured, the verdict, and what is said.
    type Case = (&'static str, Option<f64>, fn(i64) -> f64, Worth, &'static str);
    let cases: &[Case] = &[
        ("a breach avoided", Some(400.0), |_| 42.0, Worth::WorthIt, "faster than staying"),
        ("a saturated node left", None, |_| 42.0, Worth::WorthIt, "and saturated for staying"),
        ("slower than before", Some(30.0), |_| 42.0, Worth::NotWorthIt, "slower than staying"),
        ("no difference", Some(44.0), |_| 42.0, Worth::CannotBeKnown, "within what predictions err"),
        (
            "as fast, and over the objective",
            Some(240.0),
            |minute| if minute % 4 == 0 { 300.0 } else { 215.0 },
            Worth::NotWorthIt,
            "22 % of the steps were over 250.0 ms, and 0 % predicted for staying",
        ),
        (
            "what came before it was over does not count",
            Some(400.0),
            |minute| if minute < 102 { 5_000.0 } else { 42.0 },
            Worth::WorthIt,
            "over 18 steps 42.0 ms were measured and 40.0 ms predicted, and 400.0 ms for staying",
        ),
    ];
    for (name, stay, values, verdict, says) in cases {
        let found = judge(|_| (), *stay, &measured(values)).unwrap();
        assert_eq!(found.verdict, *verdict, "case: {name}: {}", found.why);
        assert!(found.why.contains(says), "case: {name}: {}", found.why);
        assert_eq!(found.compared.unwrap().steps, 18, "case: {name}");
    }
}

#[test]
fn what_cannot_be_known_is_not_guessed() {
    let latency = measured(|_| 42.0);
    let says = |change: &dyn Fn(&mut Judged<'_>)| {
        let found = judge(|judged| change(judged), Some(400.0), &latency).unwrap();
        assert_eq!(found.verdict, Worth::CannotBeKnown, "{}", found.why);
        assert_eq!(found.compared, None);
        found.why
    };
    assert_eq!(says(&|judged| judged.prediction = None), "nothing was predicted of its latency");
    assert!(says(&|judged| judged.replicas = 3).contains("it has 3 replicas"));
    let again = says(&|judged| judged.moved_again = Some(at(106)));
    assert!(again.starts_with("4 steps") && again.contains("before it was moved again"), "{again}");
    let gaps = measured(|minute| if minute < 106 { 42.0 } else { f64::NAN });
    let found = judge(|_| (), Some(400.0), &gaps).unwrap();
    assert!(found.why.starts_with("4 steps"), "{}", found.why);

    let mut other = planned();
    other.reason.on_behalf_of = Some("checkout".into());
    let judged = unpredicted(&other, &latency);
    assert!(benefit(&judged).unwrap().why.contains("moved for checkout"));
    other.reason.cause = Cause::Undo { of: "plan-1.0".into() };
    let judged = unpredicted(&other, &latency);
    assert!(benefit(&judged).unwrap().why.contains("the way back of plan-1.0"));
}

/// A move without a prediction, looked at when all that could be said of it has passed.
fn unpredicted<'a>(planned: &'a Move, latency: &'a Series) -> Judged<'a> {
    Judged {
        planned,
        prediction: None,
        over: at(102),
        moved_again: None,
        latency,
        replicas: 1,
        spread: 0.15,
        now: at(125),
    }
}

#[test]
fn it_waits_until_what_was_predicted_has_passed() {
    let latency = measured(|_| 42.0);
    assert_eq!(judge(|judged| judged.now = at(119), Some(400.0), &latency), None);
    assert!(judge(|judged| judged.now = at(120), Some(400.0), &latency).is_some());
    // A move that ended sooner is judged sooner.
    let again =
        judge(|judged| (judged.now, judged.moved_again) = (at(112), Some(at(110))), Some(400.0), &latency);
    assert_eq!(again.unwrap().compared.unwrap().until, at(110));
}

#[test]
fn a_cheaper_place_must_only_be_no_worse() {
    let mut cheaper = planned();
    cheaper.reason.stay_ms = 0.0;
    for (measured_ms, verdict) in [(42.0, Worth::WorthIt), (60.0, Worth::NotWorthIt)] {
        let latency = measured(|_| measured_ms);
        let prediction = prediction(Some(41.0), Some(40.0));
        let judged = Judged { prediction: Some(&prediction), ..unpredicted(&cheaper, &latency) };
        assert_eq!(benefit(&judged).unwrap().verdict, verdict, "{measured_ms}");
    }
}
