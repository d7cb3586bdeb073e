//! What the twin costs: building the model of a large mesh, and looking at moves.
//!
//! `cargo run --release -p foremesh-core --example twin_cost -- [services] [nodes]`
#![allow(clippy::unwrap_used, clippy::too_many_lines, reason = "an example")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]
use foremesh_core::{
    forecast::Forecast,
    history::Metric,
    ids::{NodeId, ServiceId, WorkloadId},
    inputs::{Inputs, Measured, Resources, ServiceInputs, Settings},
    learned::{Call, Learned},
    policy::{PolicyDocument, validate},
    splitmix::SplitMix,
    time::{Step, Timestamp},
    topology::{Node, Replica, Snapshot, Workload},
    twin::MeshModel,
    units::Millicores,
};
use std::{collections::BTreeMap, time::Instant};

fn main() {
    let mut sizes = std::env::args().skip(1).map(|text| text.parse::<usize>().unwrap());
    let (services, nodes) = (sizes.next().unwrap_or(10_000), sizes.next().unwrap_or(2_000));
    let now = Timestamp::from_unix_ms(1_767_571_200_000);
    let mut random = SplitMix::new(1);
    let cpu = |value: f64| Millicores::new(value).unwrap();
    let certain = |value: f64| Ok(Forecast::certain("x", "x", now, Step::MINUTE, &[value; 60]));
    let mut snapshot = Snapshot::empty(now);
    let mut forecasts = BTreeMap::new();
    for node in 0..nodes {
        let id = NodeId::new(format!("node-{node}"));
        let used = 2_000.0 + 3_000.0 * random.unit();
        snapshot.nodes.insert(id.clone(), Node { used: Some(cpu(used)), ..Node::new(cpu(8_000.0)) });
        forecasts.insert(id, certain(used));
    }
    let mut known = BTreeMap::new();
    let mut learned = Learned::default();
    for service in 0..services {
        let id = ServiceId::new(format!("service-{service}"));
        let mut workload = Workload { used: Some(cpu(200.0)), ..Workload::new(id.clone()) };
        for replica in 0..2 {
            let node = NodeId::new(format!("node-{}", random.below(nodes)));
            workload.replicas.insert(format!("{replica}").as_str().into(), Replica::new(node, true));
        }
        snapshot.workloads.insert(WorkloadId::new(id.as_str()), workload);
        let measured = Measured { at: now, throughput_rps: 50.0, latency_ms: [4.0, 12.0, 16.0, 25.0, 40.0] };
        let forecasts = [(Metric::Throughput, certain(50.0))].into_iter().collect();
        known.insert(id.clone(), ServiceInputs { measured: Some(measured), forecasts });
        // Groups of ten that call one another, as teams do.
        let calls =
            (0..2).map(|_| service + 1 + random.below(5)).filter(|callee| callee / 10 == service / 10);
        let call = |callee| Call {
            callee: ServiceId::new(format!("service-{callee}")),
            per_request: 1.0,
            retries: 0.0,
            waits: true,
        };
        learned.graph.0.insert(id, calls.map(call).collect());
    }
    let document: PolicyDocument = serde_json::from_value(serde_json::json!({
        "apiVersion": "foremesh.dev/v1alpha1",
        "kind": "RelocationPolicy",
        "metadata": {"name": "all"},
        "spec": {
            "selector": {"services": ["*"]},
            "rules": [{"name": "slow", "predictedLatency": {"quantile": 0.99, "above": "50ms", "within": "30m"}}]
        }
    }))
    .unwrap();
    let policies = vec![validate(&document).unwrap()];
    let (resources, background, durations) = (Resources::default(), BTreeMap::new(), BTreeMap::new());
    let settings = Settings::default();
    let inputs = Inputs {
        now,
        snapshot: &snapshot,
        services: &known,
        nodes: &forecasts,
        background: &background,
        resources: &resources,
        learned: &learned,
        policies: &policies,
        freezes: &[],
        past_moves: &[],
        in_flight: &[],
        move_duration_ms: &durations,
        settings: &settings,
        newest_generation: 0,
        parent: None,
    };
    let begin = Instant::now();
    let mesh = MeshModel::build(&inputs);
    let built = begin.elapsed();
    let begin = Instant::now();
    let mut evaluation = mesh.start();
    let started = begin.elapsed();
    let peeks = 20_000;
    let moves: Vec<(usize, usize)> =
        (0..peeks).map(|_| (random.below(mesh.replicas()), random.below(mesh.nodes()))).collect();
    let touched: usize = moves.iter().take(1_000).map(|(r, n)| evaluation.touched(*r, *n).count()).sum();
    let begin = Instant::now();
    let better = moves.iter().filter(|(replica, node)| evaluation.peek(*replica, *node).risk < 0.0).count();
    let peeked = begin.elapsed();
    println!("{services} services, {} replicas, {nodes} nodes", mesh.replicas());
    println!("build {built:?}, start {started:?}");
    println!(
        "peek {:.1} us each, {:.1} services touched, {better} of {peeks} lower the risk",
        peeked.as_secs_f64() * 1e6 / f64::from(peeks),
        touched as f64 / 1_000.0
    );
}
