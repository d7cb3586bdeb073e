//! Made-up meshes: nodes of which a few will be hot, services that call one another, and what is forecast of all.
//!
//! Forecasts are real ones of a few shapes, copied and scaled: making one costs more than the decision about it.
use super::{patterns::Patterns, problem::BenchError};
use foremesh_core::{
    history::Metric,
    ids::{NodeId, ReplicaId, ServiceId, WorkloadId},
    inputs::{Measured, OwnedInputs, Resources, ServiceInputs, Settings},
    learned::{Call, Demand, Distance, Learned},
    policy::{PolicyDocument, RelocationPolicy, validate},
    time::Timestamp,
    topology::{Node, Replica, Requests, Snapshot, Tier, Workload},
    units::Millicores,
};
use foremesh_models::SplitMix;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// 2026-01-05 00:00 UTC, a Monday.
pub(super) const NOW: Timestamp = Timestamp::from_unix_ms(1_767_571_200_000);

/// Objective of every service, at P99, in milliseconds.
const OBJECTIVE_MS: f64 = 250.0;

/// CPU of a node in millicores.
const CAPACITY: f64 = 8_000.0;

/// Zones of a large mesh.
const ZONES: usize = 6;

/// A large mesh.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Services, of one workload each.
    pub(super) services: usize,
    /// Nodes.
    pub(super) nodes: usize,
    /// Share of the services for which a breach is predicted, at least; 0 for a calm mesh.
    pub(super) at_risk: f64,
    /// Seed of everything.
    pub(super) seed: u64,
}

/// A mesh that is being made up.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) inputs: OwnedInputs,
    pub(super) patterns: Patterns,
}

/// One service to add.
#[derive(Clone, Copy, Debug)]
pub(super) struct Service<'a> {
    pub(super) name: &'a str,
    pub(super) tier: Tier,
    pub(super) rps: f64,
    /// CPU in use by one replica now, in millicores.
    pub(super) millicores: f64,
    /// P99 now, in milliseconds.
    pub(super) p99_ms: f64,
    pub(super) nodes: &'a [usize],
    /// Whether its latency is predicted to pass the objective.
    pub(super) breach: bool,
}

impl Made {
    /// A mesh of nothing but a policy for all services.
    pub(super) fn empty(limit: usize) -> Result<Self, BenchError> {
        let snapshot = Snapshot::empty(NOW);
        let inputs = OwnedInputs {
            now: NOW,
            snapshot,
            services: BTreeMap::new(),
            nodes: BTreeMap::new(),
            background: BTreeMap::new(),
            resources: Resources::default(),
            learned: Learned::default(),
            policies: vec![policy()?],
            freezes: Vec::new(),
            past_moves: Vec::new(),
            in_flight: Vec::new(),
            move_duration_ms: BTreeMap::new(),
            settings: Settings { max_concurrent_moves: limit, ..Settings::default() },
            newest: None,
        };
        Ok(Self { inputs, patterns: Patterns::new(NOW)? })
    }

    /// Adds a node of which so many millicores are in use now; a hot one fills up a quarter of an hour from now.
    pub(super) fn node(
        &mut self,
        number: usize,
        used: f64,
        hot: bool,
        price: f64,
        capacity: f64,
    ) -> Result<(), BenchError> {
        let node = Node {
            used: Some(millicores(used)?),
            zone: Some(zone(number)),
            cost_per_hour: price,
            memory_bytes: Some(32e9),
            ..Node::new(millicores(capacity)?)
        };
        let name = node_name(number);
        let forecast = if hot {
            self.patterns.rising(name.as_str(), "cpu_used_millicores", used, 0.96 * capacity)
        } else {
            self.patterns.flat(name.as_str(), "cpu_used_millicores", used)
        };
        self.inputs.nodes.insert(name.clone(), Ok(forecast));
        self.inputs.snapshot.nodes.insert(name, node);
        Ok(())
    }

    /// Adds a node of unlimited size that costs nothing and is near everything.
    pub(super) fn limbo(&mut self, number: usize) -> Result<(), BenchError> {
        self.node(number, 1.0, false, 0.0, 1e9)?;
        if let Some(node) = self.inputs.snapshot.nodes.get_mut(&node_name(number)) {
            node.zone = None;
            node.memory_bytes = None;
        }
        Ok(())
    }

    /// Lets a workload run on these nodes only.
    pub(super) fn allow(&mut self, workload: &str, nodes: BTreeSet<NodeId>) {
        if let Some(workload) = self.inputs.snapshot.workloads.get_mut(&WorkloadId::new(workload)) {
            workload.allowed_nodes = nodes;
        }
    }

    /// Adds a service with one workload.
    pub(super) fn service(&mut self, made: &Service<'_>) -> Result<(), BenchError> {
        let service = ServiceId::new(made.name);
        let replicas: BTreeMap<ReplicaId, Replica> = made
            .nodes
            .iter()
            .enumerate()
            .map(|(at, node)| {
                let replica = ReplicaId::new(format!("{}-{at}", made.name));
                (replica, Replica::new(node_name(*node), true))
            })
            .collect();
        let copies = made.nodes.len().max(1) as f64;
        let workload = Workload {
            tier: made.tier,
            replicas,
            used: Some(millicores(made.millicores * copies)?),
            requests: Requests { cpu_millicores: Some(made.millicores.round()), memory_bytes: Some(256e6) },
            ..Workload::new(service.clone())
        };
        self.inputs.snapshot.workloads.insert(WorkloadId::new(made.name), workload);
        let core_ms = made.millicores * copies / made.rps;
        let demand = Demand {
            core_ms,
            low_core_ms: core_ms * 0.9,
            high_core_ms: core_ms * 1.1,
            idle_millicores: 0.0,
            steps: 500,
        };
        self.inputs.learned.demand.insert(WorkloadId::new(made.name), demand);
        let latency = Metric::Latency(3);
        let of_latency = if made.breach {
            self.patterns.breach(made.name, &latency.name(), made.p99_ms)
        } else {
            self.patterns.calm(made.name, &latency.name(), made.p99_ms)
        };
        let of_throughput = self.patterns.flat(made.name, "throughput_rps", made.rps);
        let latency_ms = [0.2, 0.5, 0.65, 1.0, 1.5].map(|share| share * made.p99_ms);
        let known = ServiceInputs {
            measured: Some(Measured { at: NOW, throughput_rps: made.rps, latency_ms }),
            forecasts: BTreeMap::from([(latency, Ok(of_latency)), (Metric::Throughput, Ok(of_throughput))]),
        };
        self.inputs.services.insert(service, known);
        Ok(())
    }

    /// Adds a call.
    pub(super) fn call(&mut self, caller: &str, callee: &str, per_request: f64, waits: bool) {
        let call = Call { callee: ServiceId::new(callee), per_request, retries: 0.0, waits };
        self.inputs.learned.graph.0.entry(ServiceId::new(caller)).or_default().push(call);
    }

    /// Sets the distances between zones.
    pub(super) fn distances(&mut self, zones: usize) {
        for a in 0..zones {
            for b in a..zones {
                let mean_ms = if a == b { 0.3 } else { 0.8 + 0.2 * (b - a) as f64 };
                let distance = Distance { mean_ms, error_ms: 0.02, calls: 10_000 };
                self.inputs.learned.proximity.zones.push((zone(a), zone(b), distance));
            }
        }
    }
}

/// A large mesh. Replicas stand anywhere; as many nodes get hot as it takes to put the wanted share of services at risk.
pub(super) fn made_up(shape: Shape) -> Result<OwnedInputs, BenchError> {
    let mut random = SplitMix::new(shape.seed);
    let names: Vec<String> = (0..shape.services).map(|number| format!("s{number:05}")).collect();
    let mut made = Made::empty((shape.services / 4).max(1))?;
    // The most that a decision can have to think about.
    made.inputs.snapshot.capabilities.weights = true;
    let per_node = 0.4 * CAPACITY * shape.nodes as f64 / (2.0 * shape.services.max(1) as f64);
    let drawn: Vec<Drawn> = names.iter().map(|_| draw(&mut random, shape.nodes, per_node)).collect();
    let calls = calls(&mut random, shape.services);

    let mut risky: BTreeSet<usize> = BTreeSet::new();
    let mut hot: BTreeSet<usize> = BTreeSet::new();
    while (risky.len() as f64) < shape.at_risk * shape.services as f64 && hot.len() < shape.nodes / 2 {
        let node = random.below(shape.nodes);
        hot.insert(node);
        risky.extend((0..drawn.len()).filter(|service| drawn[*service].nodes.contains(&node)));
    }
    let suffering: Vec<usize> = calls
        .iter()
        .filter(|(_, callee, per_request)| risky.contains(callee) && *per_request >= 0.5)
        .map(|(caller, ..)| *caller)
        .collect();
    risky.extend(suffering);

    let mut used: Vec<f64> = (0..shape.nodes).map(|_| 100.0 + 400.0 * random.unit()).collect();
    for service in &drawn {
        service.nodes.iter().for_each(|node| used[*node] += service.millicores);
    }
    for (number, used) in used.into_iter().enumerate() {
        let price = 0.3 + 0.2 * random.unit();
        made.node(number, used.min(0.68 * CAPACITY), hot.contains(&number), price, CAPACITY)?;
    }
    for (number, service) in drawn.iter().enumerate() {
        made.service(&Service {
            name: &names[number],
            tier: service.tier,
            rps: service.rps,
            millicores: service.millicores,
            p99_ms: service.p99_ms,
            nodes: &service.nodes,
            breach: risky.contains(&number),
        })?;
    }
    for (caller, callee, per_request) in calls {
        made.call(&names[caller], &names[callee], per_request, per_request >= 0.5);
    }
    made.distances(ZONES);
    Ok(made.inputs)
}

#[derive(Clone, Debug)]
struct Drawn {
    tier: Tier,
    rps: f64,
    millicores: f64,
    p99_ms: f64,
    nodes: Vec<usize>,
}

fn draw(random: &mut SplitMix, nodes: usize, per_replica: f64) -> Drawn {
    let tier = match random.below(10) {
        0 => Tier::Critical,
        1..=7 => Tier::Standard,
        _ => Tier::BestEffort,
    };
    let copies = (1 + random.below(3)).min(nodes);
    let mut on: Vec<usize> = Vec::with_capacity(copies);
    while on.len() < copies {
        let node = random.below(nodes);
        if !on.contains(&node) {
            on.push(node);
        }
    }
    Drawn {
        tier,
        rps: 5.0 * (3.7 * random.unit()).exp(),
        millicores: per_replica * (0.3 + 1.4 * random.unit()),
        p99_ms: 30.0 + 70.0 * random.unit(),
        nodes: on,
    }
}

/// Caller, callee and calls for one request: three services in ten call one or two with a higher number, so there are no
/// circles.
fn calls(random: &mut SplitMix, services: usize) -> Vec<(usize, usize, f64)> {
    let mut calls = Vec::new();
    for caller in 0..services.saturating_sub(1) {
        if random.unit() >= 0.3 {
            continue;
        }
        for _ in 0..=random.below(2) {
            let callee = caller + 1 + random.below(services - caller - 1);
            if !calls.iter().rev().take(2).any(|(a, b, _)| (*a, *b) == (caller, callee)) {
                calls.push((caller, callee, 0.1 + 0.9 * random.unit() * random.unit()));
            }
        }
    }
    calls
}

pub(super) fn node_name(number: usize) -> NodeId {
    NodeId::new(format!("n{number:04}"))
}

fn zone(number: usize) -> foremesh_core::ids::Zone {
    foremesh_core::ids::Zone::new(format!("zone-{}", number % ZONES))
}

fn millicores(value: f64) -> Result<Millicores, BenchError> {
    Millicores::new(value).map_err(|error| BenchError::MadeUp(error.to_string()))
}

fn policy() -> Result<RelocationPolicy, BenchError> {
    let above = format!("{OBJECTIVE_MS}ms");
    let document = json!({
        "apiVersion": "foremesh.dev/v1alpha1",
        "kind": "RelocationPolicy",
        "metadata": {"name": "bench"},
        "spec": {
            "selector": {"services": ["*"]},
            "mode": "auto",
            "rules": [{"name": "slow", "predictedLatency": {"quantile": 0.99, "above": above, "within": "40m"}}],
            "trial": {"waivedBy": "bench", "reason": "nothing is carried out"}
        }
    });
    let failed = |why: String| BenchError::MadeUp(why);
    let document: PolicyDocument = serde_json::from_value(document).map_err(|e| failed(e.to_string()))?;
    validate(&document).map_err(|problems| failed(format!("{problems:?}")))
}
