//! Random policies, written as operators write them, with what the checks hold the planner to.
use crate::{cluster::Cluster, random::Random};
use foremesh_core::{
    ids::{PolicyId, ServiceId},
    inputs::Freeze,
    policy::{PolicyDocument, RelocationPolicy, validate},
    time::Timestamp,
};
use serde_json::{Value, json};

const MINUTE: i64 = 60_000;

/// A policy with its guard rails in plain numbers, for checks that do not read [`RelocationPolicy`].
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) policy: RelocationPolicy,
    /// Services that it is about; all of them when `None`.
    only: Option<ServiceId>,
    pub(crate) mode: &'static str,
    /// As it was written.
    pub(crate) text: String,
    pub(crate) cooldown_ms: i64,
    pub(crate) per_node: Option<usize>,
    pub(crate) per_namespace: Option<usize>,
    pub(crate) all: Option<usize>,
    pub(crate) per_day: Option<usize>,
    pub(crate) freezes: Vec<Freeze>,
}

impl Wanted {
    pub(crate) fn is_about(&self, service: &ServiceId) -> bool {
        self.only.as_ref().is_none_or(|only| only == service)
    }
}

/// One policy for most services, and one or two for all of them.
pub(crate) fn policies(
    random: &mut Random,
    cluster: &Cluster,
    from: Timestamp,
    to: Timestamp,
) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for (at, (service, described)) in cluster.services.iter().enumerate() {
        if random.chance(0.85) {
            let id = format!("own-{at}");
            let mut rules = vec![latency(random, described.objective_ms)];
            if random.chance(0.4) {
                rules.push(condition(random, described.objective_ms));
            }
            wanted.push(policy(random, &id, Some(service.clone()), &rules, (from, to)));
        }
    }
    for at in 0..random.count(0, 2) {
        let rules = [condition(random, 200.0)];
        wanted.push(policy(random, &format!("all-{at}"), None, &rules, (from, to)));
    }
    wanted
}

fn policy(
    random: &mut Random,
    id: &str,
    only: Option<ServiceId>,
    rules: &[Value],
    (from, to): (Timestamp, Timestamp),
) -> Wanted {
    let mode = random.one_of(&["auto", "auto", "auto", "auto", "auto", "observe", "recommend", "approve"]);
    let cooldown_min = random.one_of(&[1, 5, 15, 15, 60, 180, 480]);
    let limit =
        |random: &mut Random, probability, most| random.chance(probability).then(|| random.count(1, most));
    let (per_node, per_namespace) = (limit(random, 0.3, 2), limit(random, 0.2, 2));
    let (all, per_day) = (limit(random, 0.2, 2), limit(random, 0.4, 4));
    let named: Vec<Value> = rules
        .iter()
        .enumerate()
        .map(|(at, rule)| {
            let mut rule = rule.clone();
            rule["name"] = json!(format!("rule-{at}"));
            rule
        })
        .collect();
    let document = json!({
        "apiVersion": "foremesh.dev/v1alpha1",
        "kind": "RelocationPolicy",
        "metadata": {"name": id},
        "spec": {
            "selector": {"services": [only.as_ref().map_or("*", ServiceId::as_str)]},
            "mode": mode,
            "rules": named,
            "cooldown": format!("{cooldown_min}m"),
            "margin": {
                "target": random.one_of(&[0.0, 0.1, 0.3]),
                "gain": random.one_of(&[0.0, 0.2, 0.4]),
            },
            "limits": limits(per_node, per_namespace, all, per_day),
            "priority": random.one_of(&[0, 0, 5, -5]),
            "trial": {"waivedBy": "ops@example.com", "reason": "no staging mesh"}
        }
    });
    let parsed: PolicyDocument = serde_json::from_value(document.clone()).unwrap();
    let policy = validate(&parsed).unwrap_or_else(|problems| panic!("{document}: {problems:?}"));
    let freezes = freezes(random, &policy.id, from, to);
    let cooldown_ms = cooldown_min * MINUTE;
    let text = document.to_string();
    Wanted { policy, only, mode, text, cooldown_ms, per_node, per_namespace, all, per_day, freezes }
}

fn limits(
    per_node: Option<usize>,
    per_namespace: Option<usize>,
    all: Option<usize>,
    per_day: Option<usize>,
) -> Value {
    let mut concurrent = json!({});
    for (name, limit) in [("perNode", per_node), ("perNamespace", per_namespace), ("all", all)] {
        if let Some(limit) = limit {
            concurrent[name] = json!(limit);
        }
    }
    let mut limits = json!({"concurrent": concurrent});
    if let Some(per_day) = per_day {
        limits["perDay"] = json!(per_day);
    }
    limits
}

/// Windows as whoever knows time zones would expand them.
fn freezes(random: &mut Random, policy: &PolicyId, from: Timestamp, to: Timestamp) -> Vec<Freeze> {
    let windows = if random.chance(0.25) { random.count(1, 3) } else { 0 };
    let length = to.ms_since(from) as f64;
    let window = |at: usize| {
        let begin = from.plus_ms(random.between(0.0, length) as i64);
        let lasts = random.between(10.0, 240.0) as i64 * MINUTE;
        Freeze {
            policy: policy.clone(),
            window: format!("window-{at}"),
            from: begin,
            to: begin.plus_ms(lasts),
        }
    };
    (0..windows).map(window).collect()
}

fn sustained(random: &mut Random) -> (Value, &'static str, f64) {
    let (steps, of) = random.one_of(&[(1, 1), (2, 3), (3, 5)]);
    let within = random.one_of(&["10m", "30m", "30m", "40m"]);
    (json!({"steps": steps, "of": of}), within, random.one_of(&[0.3, 0.5, 0.5, 0.8]))
}

fn latency(random: &mut Random, objective_ms: f64) -> Value {
    let (lasting, within, probability) = sustained(random);
    json!({"predictedLatency": {
        "quantile": 0.99, "above": format!("{}ms", objective_ms.ceil()),
        "for": lasting, "within": within, "probability": probability,
    }})
}

/// Any condition; seldom one about money, which is looked for anew at each step and takes most of the time.
fn condition(random: &mut Random, objective_ms: f64) -> Value {
    if random.chance(0.2) {
        let (a, b) = (random.count(0, 6), random.count(0, 6));
        return json!({"all": [single(random, objective_ms, a), single(random, objective_ms, b)]});
    }
    let kind = if random.chance(0.05) { 7 } else { random.count(0, 6) };
    single(random, objective_ms, kind)
}

fn single(random: &mut Random, objective_ms: f64, kind: usize) -> Value {
    let (lasting, within, probability) = sustained(random);
    let mut rule = match kind {
        0 => return latency(random, objective_ms),
        1 => json!({"predictedThroughput": {"belowDemandBy": random.one_of(&["1%", "5%"])}}),
        2 => json!({"predictedAvailability": {"below": random.one_of(&["99.5%", "95%"])}}),
        3 => {
            json!({"predictedUsage": {"of": "node", "resource": "cpu", "above": random.one_of(&["60%", "80%"])}})
        }
        4 => {
            let above = random.one_of(&["70%", "90%", "3Gi"]);
            json!({"predictedUsage": {"of": "node", "resource": "memory", "above": above}})
        }
        5 => {
            let above = random.one_of(&["150%", "300m"]);
            json!({"predictedUsage": {"of": "workload", "resource": "cpu", "above": above}})
        }
        6 => json!({"predictedExhaustion": {"of": "node", "resource": random.one_of(&["cpu", "memory"])}}),
        _ => return json!({"costSaving": {"atLeast": random.one_of(&[0.04, 0.2])}}),
    };
    let fields = rule.as_object_mut().unwrap().values_mut().next().unwrap();
    fields["for"] = lasting;
    fields["within"] = json!(within);
    fields["probability"] = json!(probability);
    rule
}
