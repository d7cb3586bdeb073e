#![allow(
    clippy::float_cmp,
    clippy::too_many_lines,
    clippy::type_complexity,
    reason = "tables of exact results"
)]
use super::*;
use crate::document::API_VERSION;
use serde_json::{Value, json};

fn good() -> Value {
    json!({
        "apiVersion": "foremesh.dev/v1alpha1",
        "kind": "RelocationPolicy",
        "metadata": {"name": "shop"},
        "spec": {
            "selector": {"services": ["cart*"]},
            "mode": "auto",
            "rules": [{"name": "slow", "predictedLatency": {
                "quantile": 0.99, "above": "250ms", "for": {"steps": 2, "of": 4}, "within": "30m", "probability": 0.4
            }}],
            "cooldown": "20m",
            "margin": {"target": 0.2, "gain": 0.3},
            "ramp": [5, 50, 100],
            "trial": {"waivedBy": "ana", "reason": "no staging mesh"}
        }
    })
}

/// The good document with the value at a JSON pointer replaced.
fn with(pointer: &str, value: Value) -> Value {
    let mut document = good();
    *document.pointer_mut(pointer).expect(pointer) = value;
    document
}

fn checked(document: Value) -> Result<RelocationPolicy, Vec<SpecProblem>> {
    validate(&serde_json::from_value(document).expect("a document"))
}

#[test]
fn a_whole_policy_is_read() {
    let policy = checked(good()).unwrap();
    assert_eq!((policy.id.as_str(), policy.mode, policy.cooldown_ms), ("shop", Mode::Auto, 1_200_000));
    assert_eq!(policy.margin, Margin { target: 0.2, gain: 0.3 });
    assert_eq!(policy.ramp_percent, [5, 50, 100]);
    assert_eq!(policy.waiver.as_ref().map(|w| w.by.as_str()), Some("ana"));
    assert!(policy.selects(&"cart-eu".into()) && !policy.selects(&"shop".into()));
    let rule = policy.rules[0].latency().unwrap();
    assert_eq!((rule.above_ms, rule.steps, rule.of, rule.within_ms), (250.0, 2, 4, 1_800_000));
}

#[test]
fn what_is_left_out_has_a_careful_default() {
    let document = json!({
        "apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "shop"},
        "spec": {
            "selector": {"services": ["*"]},
            "rules": [{"name": "slow", "predictedLatency": {"quantile": 0.95, "above": "1s"}}]
        }
    });
    let policy = checked(document).unwrap();
    assert_eq!((policy.mode, policy.cooldown_ms, policy.waiver), (Mode::Observe, 900_000, None));
    assert_eq!(policy.margin, Margin { target: 0.1, gain: 0.2 });
    assert_eq!(policy.ramp_percent, [10, 25, 50, 100]);
    let rule = policy.rules[0].latency().unwrap();
    assert_eq!((rule.steps, rule.of, rule.within_ms, rule.probability.get()), (3, 5, 1_800_000, 0.5));
}

#[test]
fn models_are_chosen_by_name() {
    let chosen = |models: Value| {
        let mut document = good();
        document["spec"]["forecast"] = json!({"models": models});
        checked(document)
    };
    assert_eq!(chosen(json!(["ridge", "prophet"])).unwrap().models, ["ridge", "prophet"]);
    let problems: Vec<String> =
        chosen(json!(["ridge", "arma", "ridge"])).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems[0].starts_with("spec.forecast.models[1] is `arma`, but a model is one of last_value"),
        "{problems:?}"
    );
    assert!(problems[1].contains("it is named before"), "{problems:?}");
}

#[test]
fn each_problem_names_field_value_limit_and_remedy() {
    let rule = "/spec/rules/0/predictedLatency";
    let cases: &[(&str, Value, &str)] = &[
        (
            "/apiVersion",
            json!("v2"),
            "apiVersion is `v2`, but no other version is known; write `apiVersion: foremesh.dev/v1alpha1`",
        ),
        (
            "/kind",
            json!("Policy"),
            "kind is `Policy`, but no other kind is known; write `kind: RelocationPolicy`",
        ),
        (
            "/metadata/name",
            json!(" "),
            "metadata.name is empty, but a policy needs a name; name it after what it protects",
        ),
        (
            "/spec/selector/services",
            json!([]),
            "spec.selector.services is empty, but a policy must select at least one service; list names, or `\"*\"` for all",
        ),
        (
            "/spec/selector/services/0",
            json!("cart "),
            "spec.selector.services[0] is `cart `, but a name is not empty and has no space around it; write the service's name, with `*` for any part of it",
        ),
        (
            "/spec/mode",
            json!("on"),
            "spec.mode is `on`, but a mode is one of observe, recommend, approve, auto; choose one of them",
        ),
        (
            "/spec/rules",
            json!([]),
            "spec.rules is empty, but a policy without a rule never does anything; add a rule",
        ),
        (
            &format!("{rule}/quantile"),
            json!(0.42),
            "spec.rules[0].predictedLatency.quantile is 0.42, but latency is kept at 0.5, 0.9, 0.95, 0.99, 0.999; use one of these",
        ),
        (
            &format!("{rule}/above"),
            json!("fast"),
            "spec.rules[0].predictedLatency.above is `fast`, but it must be a duration; write a whole number and a unit, such as 250ms, 30s, 15m, 2h or 1d",
        ),
        (
            &format!("{rule}/above"),
            json!("0ms"),
            "spec.rules[0].predictedLatency.above is `0ms`, but it must be from 1ms to 1h; choose a length in this range",
        ),
        (
            &format!("{rule}/for"),
            json!({"steps": 6, "of": 5}),
            "spec.rules[0].predictedLatency.for is 6 of 5, but it must be 1 <= steps <= of <= 1000; write `for: {steps: 3, of: 5}` for 3 of 5 steps",
        ),
        (
            &format!("{rule}/probability"),
            json!(1),
            "spec.rules[0].predictedLatency.probability is 1, but it must be above 0 and below 1, as no forecast is certain; use 0.5 for more likely than not",
        ),
        (
            "/spec/cooldown",
            json!("30d"),
            "spec.cooldown is `30d`, but it must be from 0ms to 7d; choose a length in this range",
        ),
        (
            "/spec/margin/gain",
            json!(20),
            "spec.margin.gain is 20, but it must be at least 0 and below 1: a share, 0.2 for 20 %; write it as a share",
        ),
        (
            "/spec/ramp",
            json!([10, 10, 100]),
            "spec.ramp is [10, 10, 100], but it must rise from at least 1 and end with 100; write for example `ramp: [10, 25, 50, 100]`",
        ),
        (
            "/spec/trial",
            json!("required"),
            "spec.trial is `required`, but trials are not supported yet; waive it: `trial: {waivedBy: your name, reason: why}`",
        ),
        (
            "/spec/trial",
            Value::Null,
            "spec.trial is missing, but mode auto needs a trial in a staging mesh, which is not supported yet; waive it: `trial: {waivedBy: your name, reason: why}`",
        ),
        (
            "/spec/trial/reason",
            json!(""),
            "spec.trial.reason is empty, but a waiver names who takes the responsibility, and why; fill it in",
        ),
    ];
    for (pointer, value, want) in cases {
        let problems = checked(with(pointer, value.clone())).expect_err(pointer);
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(texts, [*want], "{pointer} = {value}");
    }
}

#[test]
fn all_problems_come_at_once() {
    let mut document = with("/spec/mode", json!("on"));
    document["spec"]["cooldown"] = json!("soon");
    let rules = document["spec"]["rules"].as_array_mut().unwrap();
    rules.push(rules[0].clone());
    let paths: Vec<String> = checked(document).unwrap_err().into_iter().map(|p| p.path).collect();
    assert_eq!(paths, ["spec.mode", "spec.rules[1].name", "spec.cooldown"]);
}

#[test]
fn unknown_fields_are_refused_by_name() {
    for (pointer, field) in [
        ("", "specs"),
        ("/metadata", "nmae"),
        ("/spec", "rule"),
        ("/spec/rules/0/predictedLatency", "withn"),
        ("/spec/trial", "by"),
    ] {
        let mut document = good();
        document.pointer_mut(pointer).unwrap()[field] = json!(1);
        let error = serde_json::from_value::<PolicyDocument>(document).unwrap_err().to_string();
        assert!(error.contains(&format!("unknown field `{field}`")), "{pointer}/{field}: {error}");
    }
}

#[test]
fn documents_survive_being_written_and_read() {
    for document in [good(), with("/spec/trial", json!("required"))] {
        let read: PolicyDocument = serde_json::from_value(document).unwrap();
        let written = serde_json::to_value(&read).unwrap();
        assert_eq!(serde_json::from_value::<PolicyDocument>(written).unwrap(), read);
    }
}
