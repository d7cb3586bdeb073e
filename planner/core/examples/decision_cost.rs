//! Assesses many healthy services by several rules, so many times over. What one round costs is measured from outside,
//! because the core reads no clock: the difference of two runs, over the difference of their rounds.
//!
//! `time cargo run --release -p foremesh-core --example decision_cost -- 1000 101`
use foremesh_core::{
    decide::assess_services,
    forecast::{ForecastSettings, forecast},
    history::Metric,
    ids::{NodeId, ServiceId, WorkloadId},
    inputs::{OwnedInputs, Resources, ServiceInputs, Settings},
    learned::Learned,
    policy::{PolicyDocument, Verdict, validate},
    series::Series,
    time::{Step, Timestamp},
    topology::{Node, Replica, Snapshot, Workload},
    units::Millicores,
};
use std::{collections::BTreeMap, error::Error};

const NOW: Timestamp = Timestamp::from_unix_ms(1_767_571_200_000);
const DAY: usize = 1440;

const POLICIES: &str = r#"[
  {"apiVersion": "foremesh.dev/v1alpha1", "kind": "RelocationPolicy", "metadata": {"name": "shop"},
   "spec": {"selector": {"services": ["service-*"]}, "mode": "recommend", "rules": [
     {"name": "slow", "predictedLatency": {"quantile": 0.99, "above": "250ms"}},
     {"name": "failing", "predictedAvailability": {"below": "99%"}},
     {"name": "unserved", "predictedThroughput": {"belowDemandBy": "10%"}},
     {"name": "full", "predictedUsage": {"of": "node", "resource": "cpu", "above": "85%"}}]}},
  {"apiVersion": "foremesh.dev/v1alpha1", "kind": "RelocationPolicy", "metadata": {"name": "other"},
   "spec": {"selector": {"services": ["*-9*", "*nobody*"]}, "mode": "recommend", "rules": [
     {"name": "slow", "predictedLatency": {"quantile": 0.95, "above": "250ms"}}]}}
]"#;

fn series(level: f64) -> Series {
    let value = |step: usize| {
        level * (1.0 + 0.2 * (step as f64 / DAY as f64 * std::f64::consts::TAU).sin())
            + (step % 7) as f64 * level * 0.01
    };
    let start = NOW.plus_ms(-Step::MINUTE.times(2 * DAY));
    Series::new(start, Step::MINUTE, (0..2 * DAY).map(value).collect())
}

fn main() -> Result<(), Box<dyn Error>> {
    let number = |at: usize, usual: usize| std::env::args().nth(at).map_or(Ok(usual), |count| count.parse());
    let (services, rounds) = (number(1, 1_000)?, number(2, 1)?);
    let settings = ForecastSettings::new(60, Some(DAY), 300_000);
    let made = |metric: &str, level: f64, highest| {
        let settings = ForecastSettings { highest, ..settings };
        forecast("service", metric, &series(level), &[], &settings, NOW)
    };
    let latency = made("latency", 40.0, None);
    let (rps, share, cpu) =
        (made("rps", 50.0, None), made("share", 0.999, Some(1.0)), made("cpu", 300.0, None));
    let mut inputs = OwnedInputs {
        now: NOW,
        snapshot: Snapshot::empty(NOW),
        services: BTreeMap::new(),
        nodes: BTreeMap::new(),
        background: BTreeMap::new(),
        resources: Resources::default(),
        learned: Learned::default(),
        policies: Vec::new(),
        freezes: Vec::new(),
        past_moves: Vec::new(),
        in_flight: Vec::new(),
        move_duration_ms: BTreeMap::new(),
        settings: Settings::default(),
        newest: None,
    };
    for document in serde_json::from_str::<Vec<PolicyDocument>>(POLICIES)? {
        let policy = validate(&document).map_err(|problems| format!("{problems:?}"))?;
        inputs.policies.push(policy);
    }
    let nodes = services.div_ceil(10);
    for node in 0..nodes {
        let id = NodeId::new(format!("node-{node}"));
        inputs.nodes.insert(id.clone(), cpu.clone());
        inputs.snapshot.nodes.insert(id, Node::new(Millicores::new(1000.0)?));
    }
    for number in 0..services {
        let service = ServiceId::new(format!("service-{number}"));
        let forecasts = [(3, &latency), (2, &latency)].map(|(at, made)| (Metric::Latency(at), made.clone()));
        let mut forecasts = BTreeMap::from(forecasts);
        forecasts.insert(Metric::Throughput, rps.clone());
        forecasts.insert(Metric::Availability, share.clone());
        inputs.services.insert(service.clone(), ServiceInputs { measured: None, forecasts });
        let mut workload = Workload::new(service.clone());
        for replica in 0..3 {
            let node = NodeId::new(format!("node-{}", (number * 3 + replica) % nodes));
            let id = format!("{service}-{replica}");
            workload.replicas.insert(id.as_str().into(), Replica::new(node, true));
        }
        inputs.snapshot.workloads.insert(WorkloadId::new(service.as_str()), workload);
    }
    let borrowed = inputs.borrow();
    for _ in 0..rounds {
        let assessed = assess_services(&borrowed);
        let healthy = assessed.iter().filter(|a| matches!(a.verdict(), Some(Verdict::Healthy(_)))).count();
        if healthy != services {
            return Err(
                format!("{healthy} of {services} services are healthy: {:?}", assessed.first()).into()
            );
        }
    }
    println!("{services} healthy services, 4 rules, assessed {rounds} times");
    Ok(())
}
