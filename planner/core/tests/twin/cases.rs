//! Random small meshes, as the simulation and as the planner's inputs.
use crate::world::{NOW, World, policy};
use foremesh_core::{
    forecast::Forecast,
    history::{KEPT_QUANTILES, Metric},
    ids::ServiceId,
    inputs::{Measured, ServiceInputs},
    learned::{Call, Demand, Distance},
    splitmix::SplitMix,
    time::Step,
    topology::{Node, Replica, Workload},
    twin::events::{DemandShape, EventCall, EventMesh, EventNode, EventService, Times},
    units::Millicores,
};
use serde_json::json;

/// A mesh, with one replica that could go somewhere else.
pub(crate) struct Case {
    pub(crate) mesh: EventMesh,
    /// Service and its replica that moves.
    pub(crate) moving: (usize, usize),
    pub(crate) to: usize,
    pub(crate) kind: &'static str,
    rates: Vec<f64>,
    distances: Vec<Vec<f64>>,
}

/// What the simulation says of a service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) requests: usize,
    pub(crate) latency_ms: [f64; KEPT_QUANTILES.len()],
}

impl Seen {
    pub(crate) fn of(times: &Times) -> Self {
        Self {
            requests: times.requests(),
            latency_ms: KEPT_QUANTILES.map(|level| times.quantile(level).unwrap_or(0.0)),
        }
    }

    pub(crate) const fn p99(&self) -> f64 {
        self.latency_ms[3]
    }
}

const KINDS: [&str; 3] = ["exponential", "log-normal", "hyperexponential"];

fn shape(kind: &str, mean_ms: f64, scv: f64) -> DemandShape {
    match kind {
        "exponential" => DemandShape::Exponential { mean_ms },
        "log-normal" => DemandShape::LogNormal { mean_ms, scv },
        _ => DemandShape::Hyperexponential { mean_ms, scv },
    }
}

impl Case {
    /// 2 to 10 services on 2 to 6 nodes of 1 to 8 cores, the fullest node up to 90 % in use.
    pub(crate) fn random(seed: u64) -> Self {
        let mut random = SplitMix::new(seed.wrapping_mul(0x9e37_79b9) ^ 0x5eed);
        let kind = KINDS[random.below(KINDS.len())];
        let nodes = 2 + random.below(5);
        let services = 2 + random.below(9);
        let scv = match kind {
            "log-normal" => 0.3 + 1.7 * random.unit(),
            _ => 1.5 + 2.5 * random.unit(),
        };
        let mean_of = |random: &mut SplitMix| 1.0 * (30.0f64).powf(random.unit());
        let others = shape(kind, 5.0 * 6.0f64.powf(random.unit()), scv);
        let mut mesh = EventMesh::default();
        for _ in 0..nodes {
            let cores = [1.0, 2.0, 4.0, 8.0][random.below(4)];
            mesh.nodes.push(EventNode { cores, others_per_second: 0.0, others });
        }
        for service in 0..services {
            let count = 1 + random.below(3.min(nodes));
            let first = random.below(nodes);
            let replicas = (0..count).map(|at| ((first + at) % nodes, 1.0 / count as f64)).collect();
            let mut calls = Vec::new();
            for callee in service + 1..services {
                if random.unit() < 1.5 / (services - service) as f64 {
                    let often = [0.3, 1.0, 1.0, 2.0][random.below(4)];
                    let waits = random.unit() < 0.85;
                    calls.push(EventCall { callee, calls: often, waits, distance_ms: 0.0 });
                }
            }
            let wait_ms = if random.unit() < 0.3 { 20.0 * random.unit() } else { 0.0 };
            let demand = shape(kind, mean_of(&mut random), scv);
            mesh.services.push(EventService { arrivals_per_second: 0.0, replicas, demand, wait_ms, calls });
        }
        // Only what nobody calls is called from outside; then everything is scaled to the wanted use.
        let called: Vec<bool> = (0..services)
            .map(|service| mesh.services.iter().any(|other| other.calls.iter().any(|c| c.callee == service)))
            .collect();
        for (service, called) in called.iter().enumerate() {
            if !called || random.unit() < 0.2 {
                mesh.services[service].arrivals_per_second = 1.0 + 9.0 * random.unit();
            }
        }
        let fullest = 0.2 + 0.7 * random.unit();
        let used = uses(&mesh);
        let scale = fullest / used.iter().copied().fold(0.0, f64::max);
        for service in &mut mesh.services {
            service.arrivals_per_second *= scale;
        }
        for (node, used) in uses(&mesh).into_iter().enumerate() {
            let more = random.unit() * (0.9 - used).max(0.0);
            let node = &mut mesh.nodes[node];
            node.others_per_second = more * node.cores * 1e3 / node.others.mean_ms();
        }
        let mut distances = vec![vec![0.0; nodes]; nodes];
        let pairs = (0..nodes).flat_map(|a| (0..a).map(move |b| (a, b)));
        for (a, b) in pairs {
            let ms = 2.0 * random.unit();
            (distances[a][b], distances[b][a]) = (ms, ms);
        }
        let mut case = Self { rates: rates(&mesh), mesh, moving: (0, 0), to: 0, kind, distances };
        case.measure();
        case.choose(&mut random);
        case
    }

    /// A move after which no node is more than 95 % in use, if there is one.
    fn choose(&mut self, random: &mut SplitMix) {
        for _ in 0..100 {
            let service = random.below(self.mesh.services.len());
            let replicas = &self.mesh.services[service].replicas;
            let replica = random.below(replicas.len());
            let to = random.below(self.mesh.nodes.len());
            if replicas.iter().any(|(node, _)| *node == to) {
                continue;
            }
            self.moving = (service, replica);
            self.to = to;
            if uses(&self.moved()).into_iter().all(|used| used < 0.95) {
                return;
            }
        }
        self.to = self.mesh.services[self.moving.0].replicas[self.moving.1].0;
    }

    pub(crate) fn has_move(&self) -> bool {
        self.mesh.services[self.moving.0].replicas[self.moving.1].0 != self.to
    }

    /// After the move.
    pub(crate) fn moved(&self) -> EventMesh {
        let mut moved =
            Self { mesh: self.mesh.clone(), rates: Vec::new(), distances: self.distances.clone(), ..*self };
        moved.mesh.services[self.moving.0].replicas[self.moving.1].0 = self.to;
        moved.measure();
        moved.mesh
    }

    pub(crate) fn highest_use(&self) -> f64 {
        uses(&self.mesh).into_iter().fold(0.0, f64::max)
    }

    /// Sets the distance on every call.
    fn measure(&mut self) {
        let replicas: Vec<Vec<(usize, f64)>> =
            self.mesh.services.iter().map(|service| service.replicas.clone()).collect();
        for (from, service) in self.mesh.services.iter_mut().enumerate() {
            for call in &mut service.calls {
                let pairs =
                    replicas[from].iter().flat_map(|a| replicas[call.callee].iter().map(move |b| (a, b)));
                call.distance_ms = pairs.map(|(a, b)| a.1 * b.1 * self.distances[a.0][b.0]).sum();
            }
        }
    }

    /// The case as a planner sees it, which has measured latency like this, or not at all.
    pub(crate) fn world(&self, measured: Option<&[Seen]>) -> World {
        let mut world = World::new();
        world.policies = vec![policy(&json!({}))];
        world.snapshot.nodes.clear();
        world.snapshot.workloads.clear();
        world.services.clear();
        world.nodes.clear();
        let certain = |value: f64| Ok(Forecast::certain("x", "x", NOW, Step::MINUTE, &[value; 45]));
        for (ix, (node, used)) in self.mesh.nodes.iter().zip(uses(&self.mesh)).enumerate() {
            let name = name(ix);
            let cpu = |cores: f64| Millicores::new(cores * 1e3).unwrap();
            let made = Node { used: Some(cpu(node.cores * used)), ..Node::new(cpu(node.cores)) };
            world.snapshot.nodes.insert(name.as_str().into(), made);
            world.nodes.insert(name.as_str().into(), certain(node.cores * used * 1e3));
            for other in 0..ix {
                let distance = Distance { mean_ms: self.distances[ix][other], error_ms: 0.0, calls: 1000 };
                let pair = (crate::cases::name(other).as_str().into(), name.as_str().into(), distance);
                world.learned.proximity.nodes.push(pair);
            }
        }
        for (ix, service) in self.mesh.services.iter().enumerate() {
            let id = ServiceId::new(name(ix));
            let replicas = service.replicas.iter().enumerate().map(|(at, (node, _))| {
                (format!("{at}").as_str().into(), Replica::new(name(*node).as_str().into(), true))
            });
            let workload = Workload { replicas: replicas.collect(), ..Workload::new(id.clone()) };
            world.snapshot.workloads.insert(name(ix).as_str().into(), workload);
            let measured = measured.map(|seen| Measured {
                at: NOW,
                throughput_rps: self.rates[ix],
                latency_ms: seen[ix].latency_ms,
            });
            let forecasts = [(Metric::Throughput, certain(self.rates[ix]))].into_iter().collect();
            world.services.insert(id.clone(), ServiceInputs { measured, forecasts });
            let core_ms = service.demand.mean_ms();
            let demand = Demand {
                core_ms,
                low_core_ms: core_ms,
                high_core_ms: core_ms,
                idle_millicores: 0.0,
                steps: 99,
            };
            world.learned.demand.insert(name(ix).as_str().into(), demand);
            let calls = service.calls.iter().map(|call| Call {
                callee: name(call.callee).as_str().into(),
                per_request: call.calls,
                retries: 0.0,
                waits: call.waits,
            });
            world.learned.graph.0.insert(id, calls.collect());
        }
        world
    }
}

/// Two digits, so that names are in the order of numbers.
pub(crate) fn name(ix: usize) -> String {
    format!("n{ix:02}")
}

/// Requests per second of each service; callees come after their callers.
fn rates(mesh: &EventMesh) -> Vec<f64> {
    let mut rates: Vec<f64> = mesh.services.iter().map(|service| service.arrivals_per_second).collect();
    for (from, service) in mesh.services.iter().enumerate() {
        for call in &service.calls {
            rates[call.callee] += rates[from] * call.calls;
        }
    }
    rates
}

/// Share of each node's CPU in use.
fn uses(mesh: &EventMesh) -> Vec<f64> {
    let others = |node: &EventNode| node.others_per_second * node.others.mean_ms();
    let mut used: Vec<f64> = mesh.nodes.iter().map(others).collect();
    for (service, rate) in mesh.services.iter().zip(rates(mesh)) {
        for (node, share) in &service.replicas {
            used[*node] += rate * share * service.demand.mean_ms();
        }
    }
    used.iter().zip(&mesh.nodes).map(|(used, node)| used / 1e3 / node.cores).collect()
}
