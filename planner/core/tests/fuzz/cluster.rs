//! The true state of a small mesh: what runs where, and what that makes of load and latency.
use crate::{
    random::Random,
    rollouts::Flight,
    signal::{Range, faults, signal},
};
use foremesh_core::{
    ids::{NodeId, ReplicaId, ServiceId, WorkloadId},
    topology::{Node, Replica, Workload},
    units::Millicores,
};
use std::collections::BTreeMap;

/// A node with what it does besides our replicas.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) node: Node,
    /// CPU of other things, in millicores.
    pub(crate) background: Vec<f64>,
    /// Memory of other things, in bytes.
    pub(crate) memory: Vec<f64>,
}

/// A service; its requests are shared by all replicas of its workloads, by their weights.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) rps: Vec<f64>,
    /// How many times slower the code is than usual.
    pub(crate) slowness: Vec<f64>,
    /// Share of requests that fail.
    pub(crate) failing: Vec<f64>,
    /// Latency without any load, in milliseconds.
    pub(crate) base_ms: f64,
    pub(crate) objective_ms: f64,
    pub(crate) demand_core_ms: f64,
    pub(crate) memory_bytes: f64,
}

#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) machines: BTreeMap<NodeId, Machine>,
    pub(crate) services: BTreeMap<ServiceId, Service>,
    pub(crate) workloads: BTreeMap<WorkloadId, Workload>,
    /// Whether replicas can have weights of their own for good.
    pub(crate) weights: bool,
    noise: Random,
}

/// What truly happened in a step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Happened {
    pub(crate) node_cpu: BTreeMap<NodeId, f64>,
    pub(crate) node_background: BTreeMap<NodeId, f64>,
    pub(crate) node_memory: BTreeMap<NodeId, f64>,
    pub(crate) workload_cpu: BTreeMap<WorkloadId, f64>,
    pub(crate) workload_memory: BTreeMap<WorkloadId, f64>,
    pub(crate) services: BTreeMap<ServiceId, Answered>,
}

/// What a service did in a step.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answered {
    pub(crate) rps: f64,
    pub(crate) p99_ms: f64,
    pub(crate) failed: f64,
}

pub(crate) const GIB: f64 = (1_u64 << 30) as f64;

impl Cluster {
    /// Nodes and services with their signals; nothing runs yet.
    pub(crate) fn new(random: &mut Random, steps: usize, season: Option<usize>) -> Self {
        let mut cluster = Self {
            machines: BTreeMap::new(),
            services: BTreeMap::new(),
            workloads: BTreeMap::new(),
            weights: false,
            noise: random.fork(),
        };
        let (nodes, services) = (random.count(3, 8), random.count(2, 6));
        for at in 0..nodes {
            let cores = random.one_of(&[1.0, 2.0, 2.0, 4.0]);
            let capacity = cores * 1000.0;
            let usual = (0.05 * capacity, 0.45 * capacity);
            let memory = random.one_of(&[4.0, 8.0]) * GIB;
            let machine = Machine {
                node: Node {
                    memory_bytes: random.chance(0.8).then_some(memory),
                    cost_per_hour: random.one_of(&[0.0, 0.05, 0.1, 0.4]),
                    ..Node::new(Millicores::new(capacity).unwrap())
                },
                background: signal(random, steps, Range { usual, most: 1.05 * capacity }, season),
                memory: signal(
                    random,
                    steps,
                    Range { usual: (0.2 * memory, 0.5 * memory), most: 0.98 * memory },
                    None,
                ),
            };
            cluster.machines.insert(NodeId::new(format!("node-{at}")), machine);
        }
        for at in 0..services {
            let base_ms = random.between(5.0, 50.0);
            let range = Range { usual: (5.0, 60.0), most: 150.0 };
            let mut failing = faults(random, steps, 0.2, (1.0, 1.3));
            for share in &mut failing {
                *share = (*share - 1.0).clamp(0.0, 1.0);
            }
            let mut service = Service {
                rps: signal(random, steps, range, season),
                slowness: faults(random, steps, 0.25, (3.0, 10.0)),
                failing,
                base_ms,
                objective_ms: base_ms * random.between(1.6, 4.0),
                demand_core_ms: random.between(1.0, 8.0),
                memory_bytes: random.between(0.05, 0.4) * GIB,
            };
            if random.chance(0.15) {
                // Nobody calls it for some time.
                let (from, length) = (random.count(0, steps - 1), random.count(5, 60));
                service.rps[from..(from + length).min(steps)].fill(0.0);
            }
            cluster.services.insert(ServiceId::new(format!("service-{at}")), service);
        }
        cluster
    }

    /// Replicas of a service with the shares of its requests that they get.
    fn serving(&self, service: &ServiceId, flights: &[Flight]) -> Vec<(WorkloadId, NodeId, f64)> {
        let mut serving = Vec::new();
        for (id, workload) in self.workloads.iter().filter(|(_, workload)| workload.service == *service) {
            for (replica, placed) in &workload.replicas {
                let moving = flights.iter().find(|flight| flight.weight_of(id, replica).is_some());
                let weight = moving.and_then(|moving| moving.weight_of(id, replica)).unwrap_or(placed.weight);
                serving.push((id.clone(), placed.node.clone(), f64::from(weight)));
                let starts = |moving: &&Flight| !moving.planned.is_shift();
                if let Some(moving) = moving.filter(starts) {
                    let target = f64::from(moving.weights().target);
                    serving.push((id.clone(), moving.planned.to.clone(), target));
                }
            }
        }
        let all: f64 = serving.iter().map(|(.., weight)| weight).sum();
        for (.., weight) in &mut serving {
            *weight /= all.max(1e-9);
        }
        serving
    }

    /// One step of the truth. Latency follows a crude formula of its own, `(1 + (use / 0.75)^6)` times the idle one,
    /// which is not the twin's.
    pub(crate) fn happen(&mut self, step: usize, flights: &[Flight]) -> Happened {
        let mut happened = Happened::default();
        let mut wanted: BTreeMap<NodeId, f64> =
            self.machines.iter().map(|(id, machine)| (id.clone(), machine.background[step])).collect();
        let mut memory: BTreeMap<NodeId, f64> =
            self.machines.iter().map(|(id, machine)| (id.clone(), machine.memory[step])).collect();
        let mut served = BTreeMap::new();
        for (id, service) in &self.services {
            let serving = self.serving(id, flights);
            for (workload, node, share) in &serving {
                let cpu = service.rps[step] * share * service.demand_core_ms + 1.0;
                *wanted.entry(node.clone()).or_default() += cpu;
                *memory.entry(node.clone()).or_default() += service.memory_bytes;
                *happened.workload_cpu.entry(workload.clone()).or_default() += cpu;
                *happened.workload_memory.entry(workload.clone()).or_default() += service.memory_bytes;
            }
            served.insert(id.clone(), serving);
        }
        for (id, service) in &self.services {
            let (rps, slowness) = (service.rps[step], service.slowness[step]);
            let mut slowest = 0.0_f64;
            let mut full = 0.0;
            for (_, node, share) in served[id].iter().filter(|(.., share)| *share > 0.0) {
                let Some(machine) = self.machines.get(node) else { continue };
                let used = wanted[node] / machine.node.capacity.get();
                slowest = slowest.max(service.base_ms * (1.0 + (used / 0.75).powi(6)));
                full += share * (used - 1.0).clamp(0.0, 0.5);
            }
            let noise = (0.05 * self.noise.normal()).exp();
            happened.services.insert(
                id.clone(),
                Answered {
                    rps,
                    p99_ms: slowest * slowness * noise,
                    failed: (service.failing[step] + full + 0.0005).min(1.0),
                },
            );
        }
        for (id, machine) in &self.machines {
            let capacity = machine.node.capacity.get();
            happened.node_cpu.insert(id.clone(), wanted[id].min(capacity));
            happened.node_background.insert(id.clone(), machine.background[step].min(capacity));
            happened.node_memory.insert(id.clone(), memory[id]);
        }
        happened
    }

    /// A replica has a successor, or the weights of two are for good.
    pub(crate) fn replace(&mut self, flight: &Flight) {
        let Some(workload) = self.workloads.get_mut(&flight.planned.workload) else { return };
        let after = flight.planned.traffic.after;
        if let Some(target) = &flight.planned.shift_to {
            for (replica, weight) in [(&flight.planned.replica, after.source), (target, after.target)] {
                workload.replicas.entry(replica.clone()).and_modify(|replica| replica.weight = weight);
            }
        } else if workload.replicas.remove(&flight.planned.replica).is_some() {
            let placed = Replica { weight: after.target, ..Replica::new(flight.planned.to.clone(), true) };
            workload.replicas.insert(flight.successor.clone(), placed);
        }
    }

    /// Name for a replica that nobody had before.
    pub(crate) fn new_replica(workload: &WorkloadId, number: usize) -> ReplicaId {
        ReplicaId::new(format!("{workload}-{number}"))
    }
}
