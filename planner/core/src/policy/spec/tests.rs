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
            "spec.trial is `required`, but a trial needs to know which requests it sends; write `trial: {requests: [{path: /...}]}`, or waive it: `trial: {waivedBy: your name, reason: why}`",
        ),
        (
            "/spec/trial",
            Value::Null,
            "spec.trial is missing, but mode auto needs a trial in a staging mesh, and that needs requests; write `trial: {requests: [{path: /...}]}`, or waive it: `trial: {waivedBy: your name, reason: why}`",
        ),
        (
            "/spec/trial",
            json!({"requests": []}),
            "spec.trial.requests is empty, but a trial needs to know which requests it sends; write `requests: [{path: /...}]`, or waive it: `trial: {waivedBy: your name, reason: why}`",
        ),
        (
            "/spec/trial",
            json!({"requests": [{"path": "/a"}, {"path": "b"}]}),
            "spec.trial.requests[1].path is `b`, but a path begins with `/` and has no blanks; write for example `/cart`",
        ),
        (
            "/spec/trial",
            json!({"requests": [{"path": "/a", "weight": 0}]}),
            "spec.trial.requests[0].weight is 0, but a request that never comes tries nothing; leave the request out",
        ),
        (
            "/spec/trial",
            json!({"requests": [{"path": "/a"}], "callees": "all"}),
            "spec.trial.callees is `all`, but the copies call `none` or `production`; choose one of the two",
        ),
        (
            "/spec/trial",
            json!({"requests": [{"path": "/a"}], "waivedBy": "ana", "reason": "why"}),
            "spec.trial is both, but it is either waived, or tried with `requests`; leave out one of the two",
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

/// What the rules of a document are read as.
fn conditions(rules: Value) -> Vec<crate::policy::Condition> {
    let policy = checked(with("/spec/rules", rules)).unwrap();
    policy.rules.into_iter().map(|rule| rule.when).collect()
}

#[test]
fn every_condition_is_read() {
    use crate::policy::{
        Base, Bound, Condition, Consumer, CostSaving, PredictedAvailability, PredictedExhaustion,
        PredictedThroughput, PredictedUsage, Resource, Sustained,
    };
    use crate::units::Probability;
    let usual =
        Sustained { steps: 3, of: 5, within_ms: 1_800_000, probability: Probability::new(0.5).unwrap() };
    let usage = |of, resource, above| {
        Condition::PredictedUsage(PredictedUsage { of, resource, above, sustained: usual })
    };
    let availability = Condition::PredictedAvailability(PredictedAvailability {
        below: 0.999,
        sustained: Sustained {
            steps: 2,
            of: 3,
            within_ms: 600_000,
            probability: Probability::new(0.7).unwrap(),
        },
    });
    let saving = Condition::CostSaving(CostSaving { at_least: 0.5 });
    let share = |share, of| Bound::Share { share, of };
    for (rule, want) in [
        (
            json!({"predictedThroughput": {"belowDemandBy": "25%"}}),
            Condition::PredictedThroughput(PredictedThroughput { below_demand_by: 0.25, sustained: usual }),
        ),
        (
            json!({"predictedAvailability": {
                "below": "99.9%", "for": {"steps": 2, "of": 3}, "within": "10m", "probability": 0.7
            }}),
            availability.clone(),
        ),
        (
            json!({"predictedUsage": {"of": "node", "resource": "cpu", "above": "75%"}}),
            usage(Consumer::Node, Resource::Cpu, share(0.75, Base::Capacity)),
        ),
        (
            json!({"predictedUsage": {"of": "workload", "resource": "memory", "above": "75%"}}),
            usage(Consumer::Workload, Resource::Memory, share(0.75, Base::Request)),
        ),
        (
            json!({"predictedUsage": {"of": "workload", "resource": "cpu", "above": "75%", "shareOf": "limit"}}),
            usage(Consumer::Workload, Resource::Cpu, share(0.75, Base::Limit)),
        ),
        (
            json!({"predictedUsage": {"of": "node", "resource": "disk_io", "above": "50MB/s"}}),
            usage(Consumer::Node, Resource::DiskIo, Bound::Absolute(5e7)),
        ),
        (
            json!({"predictedExhaustion": {"of": "node", "resource": "disk", "within": "6h"}}),
            Condition::PredictedExhaustion(PredictedExhaustion {
                of: Consumer::Node,
                resource: Resource::Disk,
                sustained: Sustained { steps: 1, of: 1, within_ms: 21_600_000, ..usual },
            }),
        ),
        (json!({"costSaving": {"atLeast": 0.5}}), saving.clone()),
        (
            json!({"all": [
                {"costSaving": {"atLeast": 0.5}},
                {"predictedAvailability": {
                    "below": "99.9%", "for": {"steps": 2, "of": 3}, "within": "10m", "probability": 0.7
                }}
            ]}),
            Condition::All(vec![saving, availability]),
        ),
    ] {
        let mut named = rule.clone();
        named["name"] = json!("a");
        assert_eq!(conditions(json!([named])), [want], "{rule}");
    }
}

#[test]
fn guard_rails_are_read() {
    use crate::policy::{FreezeTime, FreezeWindow, Limits, TierWeights};
    let mut document = good();
    document["spec"]["mode"] = json!("approve");
    document["spec"]["limits"] =
        json!({"concurrent": {"perNode": 2, "perWorkload": 1, "perNamespace": 3, "all": 5}, "perDay": 10});
    document["spec"]["priority"] = json!(-7);
    document["spec"]["tiers"] = json!({"critical": 50});
    document["spec"]["freeze"] = json!([
        {"name": "night", "between": "22:00-06:30", "days": ["fri", "mon"], "timeZone": "Europe/Berlin"},
        {"name": "patch", "cron": "0 3 * * *", "duration": "2h"},
        {"name": "christmas", "from": "2026-12-24", "to": "2026-12-27T12:00"}
    ]);
    let policy = checked(document).unwrap();
    let limits = Limits {
        per_node: Some(2),
        per_workload: 1,
        per_namespace: Some(3),
        all: Some(5),
        per_day: Some(10),
    };
    assert_eq!((policy.mode, policy.limits, policy.priority), (Mode::Approve, limits, -7));
    assert_eq!(policy.tiers, TierWeights { critical: 50.0, standard: 1.0, best_effort: 0.1 });
    let window = |name: &str, when, time_zone: &str| FreezeWindow {
        name: name.to_owned(),
        when,
        time_zone: time_zone.to_owned(),
    };
    let night = FreezeTime::Daily { from_minute: 22 * 60, to_minute: 6 * 60 + 30, days: vec![0, 4] };
    let patch = FreezeTime::Cron { cron: "0 3 * * *".to_owned(), duration_ms: 7_200_000 };
    let christmas = FreezeTime::Once { from: "2026-12-24".to_owned(), to: "2026-12-27T12:00".to_owned() };
    let want = [
        window("night", night, "Europe/Berlin"),
        window("patch", patch, "UTC"),
        window("christmas", christmas, "UTC"),
    ];
    assert_eq!(policy.freezes, want);
}

#[test]
fn what_a_condition_cannot_be_is_refused_at_its_field() {
    let all = |parts: Value| json!([{"name": "a", "all": parts}]);
    let usage = |of: &str, resource: &str, above: &str, base: Option<&str>| json!([{"name": "a", "predictedUsage": {"of": of, "resource": resource, "above": above, "shareOf": base}}]);
    let saving = json!({"costSaving": {"atLeast": 1}});
    for (rules, want) in [
        (all(json!([saving])), "spec.rules[0].all is 1 conditions, but `all` is for two or more"),
        (
            all(json!([saving, {}])),
            "spec.rules[0].all[1] is without a condition, but it must be exactly one of",
        ),
        (
            usage("pod", "cpu", "1%", None),
            "spec.rules[0].predictedUsage.of is `pod`, but use is that of a node",
        ),
        (
            usage("node", "disk", "1%", None),
            "spec.rules[0].predictedUsage.resource is `disk`, but what is known here is",
        ),
        (
            usage("node", "cpu", "some", None),
            "spec.rules[0].predictedUsage.above is `some`, but it must be a share",
        ),
        (
            usage("node", "cpu", "0m", None),
            "spec.rules[0].predictedUsage.above is `0m`, but it must be a share",
        ),
        (
            usage("node", "cpu", "1001%", None),
            "spec.rules[0].predictedUsage.above is `1001%`, but it must be above 0%",
        ),
        (
            usage("node", "cpu", "80%", Some("request")),
            "spec.rules[0].predictedUsage.shareOf is `request`, but cpu of a node is a share of its capacity",
        ),
        (
            usage("workload", "memory", "80%", Some("limit")),
            "spec.rules[0].predictedUsage.shareOf is `limit`, but memory of a workload is a share of its request",
        ),
        (
            usage("node", "cpu", "800m", Some("capacity")),
            "spec.rules[0].predictedUsage.shareOf is `capacity`, but `above` is an amount",
        ),
        (
            json!([{"name": "a", "predictedExhaustion": {"of": "workload", "resource": "memory"}}]),
            "spec.rules[0].predictedExhaustion.resource is `memory`, but what is known here is cpu",
        ),
        (
            json!([{"name": "a", "predictedAvailability": {"below": "100%"}}]),
            "spec.rules[0].predictedAvailability.below is `100%`, but it must be a share above 0% and below 100%",
        ),
        (
            json!([{"name": "a", "predictedThroughput": {"belowDemandBy": "0%", "within": "0s"}}]),
            "spec.rules[0].predictedThroughput.belowDemandBy is `0%`, but it must be a share",
        ),
    ] {
        let problems = checked(with("/spec/rules", rules.clone())).expect_err("refused");
        assert!(problems[0].to_string().starts_with(want), "{rules}: {}", problems[0]);
    }
    let nested = json!({"name": "a", "all": [{"all": [saving]}, saving]});
    let error = serde_json::from_value::<RuleSpec>(nested).unwrap_err().to_string();
    assert!(error.contains("unknown field `all`"), "{error}");
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
