//! Policies that a file would be refused for.
use super::{By, Case, compare};
use foremesh_calendar::check_freezes;
use foremesh_core::policy::{PolicyDocument, validate};
use serde_json::{Value, json};

fn good() -> Value {
    json!({
        "selector": {"services": ["cart*"]},
        "mode": "auto",
        "rules": [{"name": "slow", "predictedLatency": {
            "quantile": 0.99, "above": "250ms", "for": {"steps": 2, "of": 4}, "within": "30m", "probability": 0.4
        }}],
        "cooldown": "20m",
        "margin": {"target": 0.2, "gain": 0.3},
        "ramp": [5, 50, 100],
        "trial": {"waivedBy": "ana", "reason": "no staging mesh"}
    })
}

/// What the planner says of a file with this policy.
fn checked(spec: &Value) -> Result<(), String> {
    let document = json!({
        "apiVersion": "foremesh.dev/v1alpha1", "kind": "RelocationPolicy", "metadata": {"name": "shop"}, "spec": spec
    });
    let document: PolicyDocument = serde_json::from_value(document).map_err(|error| error.to_string())?;
    let said = |problems: Vec<_>| {
        let texts: Vec<String> = problems
            .iter()
            .map(|problem: &foremesh_core::document::SpecProblem| problem.to_string())
            .collect();
        texts.join("; ")
    };
    let policy = validate(&document).map_err(said)?;
    let problems = check_freezes(&policy);
    if problems.is_empty() { Ok(()) } else { Err(said(problems)) }
}

/// The good policy with the value at a JSON pointer replaced, or removed by `null`.
fn with(pointer: &str, value: Value) -> Value {
    let mut spec = good();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    let parent = if parent.is_empty() { Some(&mut spec) } else { spec.pointer_mut(parent) };
    match parent.expect(pointer) {
        Value::Object(fields) if value.is_null() => drop(fields.remove(field)),
        Value::Object(fields) => drop(fields.insert(field.to_owned(), value)),
        Value::Array(list) => list[field.parse::<usize>().unwrap()] = value,
        other => panic!("{pointer}: {other}"),
    }
    spec
}

fn rule(condition: Value) -> Value {
    let mut rule = condition;
    rule["name"] = json!("a");
    with("/rules", json!([rule]))
}

fn usage(of: &str, resource: &str, above: &str, base: Option<&str>) -> Value {
    let mut usage = json!({"of": of, "resource": resource, "above": above});
    if let Some(base) = base {
        usage["shareOf"] = json!(base);
    }
    rule(json!({"predictedUsage": usage}))
}

fn freeze(window: Value) -> Value {
    let mut window = window;
    if window["name"].is_null() {
        window["name"] = json!("a");
    }
    with("/freeze", json!([window]))
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn wrong() -> Vec<(Value, By)> {
    let saving = json!({"costSaving": {"atLeast": 1}});
    let latency = "/rules/0/predictedLatency";
    let zone = By::Planner("which time zones there are");
    let cron = By::Planner("what a cron pattern may say");
    let date = By::Planner("which days a month has, and which time is later");
    let mut cases: Vec<(Value, By)> = vec![
        (with("/selector/services", json!([])), By::Server),
        (with("/selector/services/0", json!("cart ")), By::Server),
        (with("/selector/services/0", json!("")), By::Server),
        (with("/selector/services", json!(vec!["a"; 257])), By::Server),
        (with("/selector/services/0", json!("a".repeat(254))), By::Server),
        (with("/mode", json!("on")), By::Server),
        (with("/mode", json!("Auto")), By::Server),
        (with("/rules", json!([])), By::Server),
        (with("/rules", Value::Null), By::Server),
        (with("/selector", Value::Null), By::Server),
        (with("/rules/0/name", json!(" ")), By::Server),
        (with("/rules/0/name", json!("a".repeat(254))), By::Server),
        (with("/rules/0/name", Value::Null), By::Server),
        (with(&format!("{latency}/quantile"), json!(0.42)), By::Server),
        (with(&format!("{latency}/quantile"), json!(1)), By::Server),
        (with(&format!("{latency}/above"), json!("fast")), By::Server),
        (with(&format!("{latency}/above"), json!("0ms")), By::Server),
        (with(&format!("{latency}/above"), json!("1.5s")), By::Server),
        (with(&format!("{latency}/above"), json!("2h")), By::Server),
        (with(&format!("{latency}/above"), json!("99999999999999999999d")), By::Server),
        (with(&format!("{latency}/above"), json!(250)), By::Server),
        (with(&format!("{latency}/for"), json!({"steps": 6, "of": 5})), By::Server),
        (with(&format!("{latency}/for"), json!({"steps": 0, "of": 5})), By::Server),
        (with(&format!("{latency}/for"), json!({"steps": 1, "of": 1001})), By::Server),
        (with(&format!("{latency}/for"), json!({"steps": 1})), By::Server),
        (with(&format!("{latency}/within"), json!("8d")), By::Server),
        (with(&format!("{latency}/within"), json!("999ms")), By::Server),
        (with(&format!("{latency}/probability"), json!(1)), By::Server),
        (with(&format!("{latency}/probability"), json!(0)), By::Server),
        (with(&format!("{latency}/probability"), json!("likely")), By::Server),
        (with("/cooldown", json!("30d")), By::Server),
        (with("/cooldown", json!("soon")), By::Server),
        (with("/margin/gain", json!(20)), By::Server),
        (with("/margin/target", json!(-0.1)), By::Server),
        (with("/ramp", json!([10, 10, 100])), By::Server),
        (with("/ramp", json!([50, 10, 100])), By::Server),
        (with("/ramp", json!([0, 100])), By::Server),
        (with("/ramp", json!([10, 50])), By::Server),
        (with("/ramp", json!([10, 100, 200])), By::Server),
        (with("/ramp", json!([])), By::Server),
        (with("/trial", Value::Null), By::Server),
        (with("/trial", json!("waived")), By::Server),
        (with("/trial/reason", json!("")), By::Server),
        (with("/trial/waivedBy", json!(" ")), By::Server),
        (with("/trial/reason", Value::Null), By::Server),
        (with("/trial", json!("required")), By::Server),
        (with("/trial", json!(["ana"])), By::Server),
        (with("/trial/by", json!("ana")), By::Server),
        (with("/trial", json!({})), By::Server),
        (with("/trial", json!({"requests": []})), By::Server),
        (with("/trial/requests", json!([{"path": "/"}])), By::Server),
        (with("/trial", json!({"requests": [{"path": "cart"}]})), By::Server),
        (with("/trial", json!({"requests": [{"path": "/a b"}]})), By::Server),
        (with("/trial", json!({"requests": [{"path": "/", "method": "get"}]})), By::Server),
        (with("/trial", json!({"requests": [{"path": "/", "weight": 0}]})), By::Server),
        (with("/trial", json!({"requests": [{"path": "/", "weight": -1}]})), By::Server),
        (with("/trial", json!({"requests": [{"path": "/", "body": "a".repeat(65_537)}]})), By::Server),
        (with("/trial", json!({"requests": vec![json!({"path": "/"}); 33]})), By::Server),
        (with("/trial", json!({"requests": [{"path": "/"}], "port": 0})), By::Server),
        (with("/trial", json!({"requests": [{"path": "/"}], "callees": "all"})), By::Server),
        (with("/trial", json!({"requests": [{"path": "/"}], "duration": "1s"})), By::Server),
        (with("/forecast", json!({"models": ["arma"]})), By::Server),
        (with("/forecast", json!({"models": ["ridge", "ridge"]})), By::Server),
        (with("/priority", json!(1001)), By::Server),
        (with("/priority", json!(-1001)), By::Server),
        (with("/tiers", json!({"critical": 0})), By::Server),
        (with("/tiers", json!({"bestEffort": 1_000_001})), By::Server),
        (with("/tiers", json!({"best_effort": 1})), By::Server),
        (with("/limits", json!({"perDay": 0})), By::Server),
        (with("/limits", json!({"concurrent": {"all": 1001}})), By::Server),
        (with("/limits", json!({"concurrent": {"perNode": 0}})), By::Server),
        (with("/limits", json!({"concurrent": {"perNamespace": -1}})), By::Server),
        (with("/limits", json!({"concurrent": {"perWorkload": 2}})), By::Server),
        // Rules.
        (rule(json!({})), By::Server),
        (rule(json!({"costSaving": {"atLeast": 1}, "predictedAvailability": {"below": "99%"}})), By::Server),
        (rule(json!({"costSaving": {"atLeast": 1}, "all": [saving, saving]})), By::Server),
        (rule(json!({"all": [saving]})), By::Server),
        (rule(json!({"all": [saving, {}]})), By::Server),
        (rule(json!({"all": [saving, {"all": [saving, saving]}]})), By::Server),
        (rule(json!({"all": vec![saving.clone(); 17]})), By::Server),
        (rule(json!({"all": [saving, {"predictedAvailability": {"below": "1"}}]})), By::Server),
        (rule(json!({"costSaving": {"atLeast": 0}})), By::Server),
        (rule(json!({"costSaving": {}})), By::Server),
        (rule(json!({"predictedExhaustion": {"of": "workload", "resource": "memory"}})), By::Server),
        (rule(json!({"predictedExhaustion": {"of": "pod", "resource": "cpu"}})), By::Server),
        (rule(json!({"predictedExhaustion": {"of": "node", "resource": "disk_io"}})), By::Server),
        (rule(json!({"predictedAvailability": {"below": "100%"}})), By::Server),
        (rule(json!({"predictedAvailability": {"below": "99.9"}})), By::Server),
        (rule(json!({"predictedAvailability": {"below": "1.2.3%"}})), By::Server),
        (rule(json!({"predictedThroughput": {"belowDemandBy": "0%"}})), By::Server),
        (rule(json!({"predictedThroughput": {"belowDemandBy": "10%", "within": "0s"}})), By::Server),
        (
            with(
                "/rules",
                json!([{"name": "a", "costSaving": {"atLeast": 1}}, {"name": "a", "costSaving": {"atLeast": 2}}]),
            ),
            By::Server,
        ),
        // Freeze windows.
        (freeze(json!({})), By::Server),
        (freeze(json!({"between": "22:00-06:00", "cron": "0 3 * * *", "duration": "2h"})), By::Server),
        (freeze(json!({"days": ["mon"]})), By::Server),
        (freeze(json!({"cron": "0 3 * * *"})), By::Server),
        (freeze(json!({"duration": "2h"})), By::Server),
        (freeze(json!({"from": "2026-12-24"})), By::Server),
        (freeze(json!({"to": "2026-12-24"})), By::Server),
        (freeze(json!({"between": "22:00"})), By::Server),
        (freeze(json!({"between": "22:00-24:01"})), By::Server),
        (freeze(json!({"between": "7:00-8:00"})), By::Server),
        (freeze(json!({"between": "22:00-06:00", "days": []})), By::Server),
        (freeze(json!({"between": "22:00-06:00", "days": ["monday"]})), By::Server),
        (freeze(json!({"between": "22:00-06:00", "days": ["mon", "mon"]})), By::Server),
        (freeze(json!({"cron": "0 3 * * *", "duration": "30s"})), By::Server),
        (freeze(json!({"from": "tomorrow", "to": "2026-12-24"})), By::Server),
        (freeze(json!({"between": "22:00-06:00", "timeZone": ""})), By::Server),
        (freeze(json!({"between": "22:00-06:00", "name": " "})), By::Server),
        (freeze(json!({"between": "22:00-06:00", "timeZone": "Mars/Olympus"})), zone),
        (freeze(json!({"cron": "61 3 * * *", "duration": "2h"})), cron),
        (freeze(json!({"cron": "0 3 * *", "duration": "2h"})), cron),
        (freeze(json!({"from": "2026-12-24", "to": "2026-12-23"})), date),
        (freeze(json!({"from": "2026-02-30", "to": "2026-12-23"})), date),
        (
            with(
                "/freeze",
                json!([{"name": "a", "between": "22:00-06:00"}, {"name": "a", "between": "08:00-09:00"}]),
            ),
            By::Server,
        ),
        // Unknown fields.
        (with("/rule", json!([])), By::Server),
        (with(&format!("{latency}/withn"), json!("5m")), By::Server),
    ];
    for (of, resource, above, base) in [
        ("pod", "cpu", "1%", None),
        ("node", "disk", "1%", None),
        ("node", "cpu", "some", None),
        ("node", "cpu", "0m", None),
        ("node", "cpu", "0%", None),
        ("node", "cpu", "1001%", None),
        ("node", "cpu", "512Mi", None),
        ("node", "memory", "800m", None),
        ("node", "memory", "1e9", None),
        ("node", "memory", "100iB", None),
        ("node", "disk_io", "50MB", None),
        ("node", "disk_io", "50MB /s", None),
        ("node", "disk_io", "50%", None),
        ("node", "cpu", "80%", Some("request")),
        ("workload", "cpu", "80%", Some("capacity")),
        ("workload", "memory", "80%", Some("limit")),
        ("node", "cpu", "800m", Some("capacity")),
        ("node", "cpu", "80%", Some("half")),
        ("node", "cpu", "", None),
    ] {
        cases.push((usage(of, resource, above, base), By::Server));
    }
    let rules: Vec<Value> =
        (0..65).map(|n| json!({"name": format!("r{n}"), "costSaving": {"atLeast": 1}})).collect();
    cases.push((with("/rules", json!(rules)), By::Server));
    let windows: Vec<Value> =
        (0..65).map(|n| json!({"name": format!("w{n}"), "between": "22:00-06:00"})).collect();
    cases.push((with("/freeze", json!(windows)), By::Server));
    cases
}

fn right() -> Vec<Value> {
    let saving = json!({"costSaving": {"atLeast": 0.5}});
    let mut cases = vec![
        good(),
        json!({"selector": {"services": ["*"]}, "rules": [{"name": "a", "costSaving": {"atLeast": 1}}]}),
        with("/mode", json!("approve")),
        with("/trial/requests", json!([])),
        with("/trial/copySecrets", json!(false)),
        with(
            "/trial",
            json!({
                "requests": [{"path": "/cart?id=7", "method": "POST", "headers": {"a": "b"}, "body": "{}", "weight": 3}],
                "port": 8080, "callees": "production", "copySecrets": true, "duration": "5m",
            }),
        ),
        with("/cooldown", json!("0s")),
        with("/cooldown", json!("7d")),
        with("/ramp", json!([100])),
        with("/margin", json!({"target": 0})),
        with("/priority", json!(-1000)),
        with("/tiers", json!({"critical": 0.001})),
        with("/limits", json!({"concurrent": {"perWorkload": 1}, "perDay": 1000})),
        with("/forecast", json!({"models": ["ridge", "prophet"]})),
        rule(json!({"all": [saving, {"predictedThroughput": {"belowDemandBy": " 10 % "}}]})),
        rule(json!({"predictedExhaustion": {"of": "node", "resource": "disk", "within": "6h"}})),
        freeze(json!({"between": "22:00-06:30", "days": ["fri", "mon"], "timeZone": "Europe/Berlin"})),
        freeze(json!({"between": "00:00 - 24:00"})),
        freeze(json!({"cron": "0 3 * * fri", "duration": "2h"})),
        freeze(json!({"from": "2026-12-24", "to": "2026-12-27T12:00"})),
        freeze(json!({"from": "2026-12-24T00:00:00Z", "to": "2026-12-27 12:00"})),
    ];
    for (of, resource, above, base) in [
        ("node", "cpu", "75%", None),
        ("node", "cpu", "1000%", Some("capacity")),
        ("node", "cpu", "800m", None),
        ("workload", "cpu", "1.5", None),
        ("workload", "cpu", "75%", Some("limit")),
        ("workload", "memory", "75.5 %", Some("request")),
        ("workload", "memory", "512MiB", None),
        ("node", "memory", "100", None),
        ("node", "memory", "2 GB", None),
        ("node", "disk_io", "50MB/s", None),
        ("node", "disk_io", "20 Mi/s", None),
    ] {
        cases.push(usage(of, resource, above, base));
    }
    cases
}

#[tokio::test]
#[ignore = "needs an API server, by KUBECONFIG"]
async fn the_api_server_refuses_what_files_are_refused_for() {
    let wrong = wrong().into_iter().map(|(spec, by)| (spec, Some(by)));
    let all = wrong.chain(right().into_iter().map(|spec| (spec, None)));
    let cases = all.map(|(spec, by)| Case { name: spec.to_string(), wrong: checked(&spec), spec, by });
    compare("relocationpolicies", "RelocationPolicy", cases.collect()).await;
}
