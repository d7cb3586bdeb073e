//! Reports of a minute: what happened, and what could be measured of it.

use super::World;
use super::quantiles::quantiles;
use crate::output::{
    EdgeObserved, NodeObserved, NodeTruth, Observed, PairObserved, ReplicaObserved, ServiceObserved,
    ServiceTruth, Truth,
};
use crate::random::{Draw, Key};

/// Memory that a node uses without replicas, of its own.
const SYSTEM_MEMORY: f64 = 0.06;

impl World {
    pub(super) fn truth(&mut self) -> Truth {
        let services = (0..self.setup.services.len()).map(|service| self.service_truth(service)).collect();
        let nodes = self
            .setup
            .nodes
            .iter()
            .enumerate()
            .map(|(number, node)| NodeTruth {
                node: node.id.clone(),
                utilisation: self.scratch.utilisation[number],
                background_m: self.scratch.other_cores(number) * 1000.0,
                backlog_core_s: self.backlog[number],
            })
            .collect();
        Truth { services, nodes }
    }

    fn service_truth(&mut self, service: usize) -> ServiceTruth {
        let setup = &self.setup;
        let timeout = setup.spec.requests.timeout_ms as f32;
        let samples = &self.scratch.samples[service];
        let failed = self.scratch.failed[service];
        let found = if failed == 0 {
            self.scratch.latency[service].map(|[p50, _, p95, p99, _]| [p50, p95, p99])
        } else {
            let values = &mut self.scratch.values;
            values.clear();
            values.extend(samples.iter().map(|sample| if sample.failed { timeout } else { sample.ms }));
            quantiles(values, [0.5, 0.95, 0.99])
        };
        let requests = self.scratch.requests[service];
        let objective_ms = setup.objectives[service];
        let enough = requests >= f64::from(setup.spec.objectives.min_requests);
        let over = found.zip(objective_ms).is_some_and(|(found, objective)| found[2] > objective);
        let nodes =
            self.instances.iter().filter(|instance| instance.service == service && instance.share > 0.0);
        ServiceTruth {
            service: setup.services[service].id.clone(),
            load_rps: requests / 60.0,
            p50_ms: found.map(|found| found[0]),
            p95_ms: found.map(|found| found[1]),
            p99_ms: found.map(|found| found[2]),
            error_share: failed as f64 / samples.len().max(1) as f64,
            objective_ms,
            nodes: nodes.map(|instance| setup.nodes[instance.node].id.clone()).collect(),
            breach: enough && over,
            fault: setup.trouble.explains(service, i64::from(self.minute)),
        }
    }

    pub(super) fn observed(&mut self) -> Observed {
        if self.in_gap() {
            return Observed::default();
        }
        let report = Report {
            noise: self.key(Draw::Telemetry).with(u64::from(self.minute)),
            loss: self.key(Draw::Loss).with(u64::from(self.minute)),
            spread: self.setup.spec.telemetry.noise,
            lost: self.setup.spec.telemetry.loss,
        };
        Observed {
            services: (0..self.setup.services.len())
                .filter(|service| report.arrives(0, *service))
                .map(|service| self.service_observed(service, report))
                .collect(),
            nodes: self.nodes_observed(report),
            replicas: self.replicas_observed(report),
            edges: self.edges_observed(),
        }
    }

    fn service_observed(&self, service: usize, report: Report) -> ServiceObserved {
        let samples = &self.scratch.samples[service];
        let failed = self.scratch.failed[service] as f64;
        let requests = self.scratch.requests[service];
        let noise = report.noise(0, service);
        let latency_ms = self.scratch.latency[service].map(|found| found.map(|value| value * noise));
        ServiceObserved {
            service: self.setup.services[service].id.clone(),
            requests: requests as u64,
            errors: (requests * failed / samples.len().max(1) as f64).round() as u64,
            samples: samples.len() as u32,
            latency_ms,
        }
    }

    fn nodes_observed(&self, report: Report) -> Vec<NodeObserved> {
        let setup = &self.setup;
        setup
            .nodes
            .iter()
            .enumerate()
            .filter(|(number, _)| report.arrives(1, *number))
            .map(|(number, node)| {
                let here = self.instances.iter().filter(|instance| instance.node == number);
                let replicas: f64 = here.map(|instance| setup.services[instance.service].memory_bytes).sum();
                let cpu_m = self.scratch.utilisation[number] * node.cores * 1000.0;
                let memory = node.memory_bytes * SYSTEM_MEMORY + replicas;
                NodeObserved {
                    node: node.id.clone(),
                    cpu_m: (cpu_m * report.noise(1, number)).min(node.cores * 1000.0),
                    memory_bytes: (memory * report.noise(2, number)).min(node.memory_bytes).round(),
                }
            })
            .collect()
    }

    fn replicas_observed(&self, report: Report) -> Vec<ReplicaObserved> {
        let setup = &self.setup;
        let mut replicas = Vec::with_capacity(self.instances.len());
        for (number, instance) in self.instances.iter().enumerate() {
            // Where it stands in the list changes with moves, what it is does not.
            let who = instance.service * 1000 + instance.replica as usize;
            let part = if instance.incoming.is_some() { 4 } else { 3 };
            if !report.arrives(part, who) {
                continue;
            }
            // What runs is limited by the node: the rest waits.
            let node = &setup.nodes[instance.node];
            let (wanted, got) = (self.node_level(instance.node), self.scratch.utilisation[instance.node]);
            let starting = if instance.starting { setup.spec.moves.start_up_cores } else { 0.0 };
            let used = self.scratch.used[number] * (got / wanted.max(1e-9)).clamp(0.0, 1.0) + starting;
            let service = &setup.services[instance.service];
            replicas.push(ReplicaObserved {
                workload: service.id.clone(),
                replica: instance.replica,
                node: node.id.clone(),
                cpu_m: used * 1000.0 * report.noise(part, who),
                memory_bytes: (service.memory_bytes * report.noise(part + 4, who)).round(),
            });
        }
        replicas
    }

    fn edges_observed(&self) -> Vec<EdgeObserved> {
        let setup = &self.setup;
        let key = self.key(Draw::Count).with(1 << 32).with(u64::from(self.minute));
        let mut edges = Vec::with_capacity(setup.edges.len());
        for (number, edge) in setup.edges.iter().enumerate() {
            let rps: f64 = setup
                .flows
                .iter()
                .zip(&self.scratch.flow_rps)
                .map(|(flow, rps)| rps * flow.calls[number])
                .sum();
            let calls = key.with(number as u64).poisson(rps * 60.0) as u64;
            if calls == 0 {
                continue;
            }
            let pairs = self.pairs_observed(number);
            let (caller, callee) = (setup.services[edge.from].id.clone(), setup.services[edge.to].id.clone());
            edges.push(EdgeObserved { caller, callee, calls, pairs });
        }
        edges
    }

    /// The pairs with calls; two lanes on one node are one pair.
    fn pairs_observed(&self, edge: usize) -> Vec<PairObserved> {
        let setup = &self.setup;
        let mut pairs: Vec<PairObserved> = Vec::new();
        for pair in self.scratch.pairs[edge].all.iter().filter(|pair| pair.count > 0) {
            let (from, to) = (&setup.nodes[usize::from(pair.from)].id, &setup.nodes[usize::from(pair.to)].id);
            let sum_ms = f64::from(pair.sum_ms);
            match pairs.iter_mut().find(|known| known.from == *from && known.to == *to) {
                Some(known) => {
                    let before = known.delay_ms * f64::from(known.samples);
                    known.samples += pair.count;
                    known.delay_ms = (before + sum_ms) / f64::from(known.samples);
                }
                None => pairs.push(PairObserved {
                    from: from.clone(),
                    to: to.clone(),
                    delay_ms: sum_ms / f64::from(pair.count),
                    samples: pair.count,
                }),
            }
        }
        pairs
    }

    /// Whether nothing is reported in this minute.
    fn in_gap(&self) -> bool {
        let telemetry = &self.setup.spec.telemetry;
        if telemetry.gaps_per_day <= 0.0 {
            return false;
        }
        let (day, minute) = (self.minute / 1440, self.minute % 1440);
        let key = self.key(Draw::Gap).with(u64::from(day));
        let gaps =
            telemetry.gaps_per_day as u64 + u64::from(key.with(0).unit() < telemetry.gaps_per_day.fract());
        (1..=gaps).any(|gap| {
            let from = key.with(gap).below(1440) as u32;
            (from..from + telemetry.gap.0 as u32).contains(&minute)
        })
    }
}

/// Noise and loss of the reports of one minute.
#[derive(Clone, Copy)]
struct Report {
    noise: Key,
    loss: Key,
    spread: f64,
    lost: f64,
}

impl Report {
    fn arrives(self, part: u64, who: usize) -> bool {
        self.loss.with(part).with(who as u64).unit() >= self.lost
    }

    fn noise(self, part: u64, who: usize) -> f64 {
        (self.spread * self.noise.with(part).with(who as u64).normal()).exp()
    }
}
