//! One minute: load, work on the nodes, and the requests sampled from that.

use super::World;
use super::quantiles::quantiles;
use super::sampling::{Lane, Pairs, Sample, Visits};
use super::setup::{Setup, cores_of_limit};
use super::work::NodeMinute;
use crate::output::OBSERVED_QUANTILES;
use crate::random::Draw;
use crate::sharing::Slowdowns;

/// What a minute leaves behind for the reports, kept to be used again.
#[derive(Clone, Debug)]
pub(super) struct Scratch {
    /// Requests a second by flow.
    pub(super) flow_rps: Vec<f64>,
    /// Requests a second by service, tries again included.
    pub(super) rps: Vec<f64>,
    /// Requests by service.
    pub(super) requests: Vec<f64>,
    pub(super) samples: Vec<Vec<Sample>>,
    /// Sampled calls by edge.
    pub(super) pairs: Vec<Pairs>,
    /// Failed ones among the samples, by service.
    pub(super) failed: Vec<usize>,
    /// Observed quantiles of the samples, ms, by service.
    pub(super) latency: Vec<Option<[f64; 5]>>,
    /// Cores that each instance used.
    pub(super) used: Vec<f64>,
    /// Utilisation by node.
    pub(super) utilisation: Vec<f64>,
    pub(super) values: Vec<f32>,
    pub(super) lanes: Vec<Lane>,
    /// Nodes of the lanes, by service.
    pub(super) lane_nodes: Vec<Vec<u16>>,
    pub(super) flows: Vec<(f32, usize)>,
    pub(super) nodes: Vec<NodeMinute>,
    pub(super) demands: Vec<f64>,
    pub(super) held: Vec<(f64, f64)>,
}

impl Scratch {
    /// Cores that are in use on a node by all but the replicas.
    pub(super) fn other_cores(&self, node: usize) -> f64 {
        self.nodes[node].other
    }

    pub(super) fn new(setup: &Setup) -> Self {
        Self {
            flow_rps: vec![0.0; setup.flows.len()],
            rps: vec![0.0; setup.services.len()],
            requests: vec![0.0; setup.services.len()],
            samples: vec![Vec::new(); setup.services.len()],
            pairs: vec![Pairs::default(); setup.edges.len()],
            failed: vec![0; setup.services.len()],
            latency: vec![None; setup.services.len()],
            used: Vec::new(),
            utilisation: vec![0.0; setup.nodes.len()],
            values: Vec::new(),
            lanes: Vec::new(),
            lane_nodes: vec![Vec::new(); setup.services.len()],
            flows: Vec::new(),
            nodes: vec![NodeMinute::default(); setup.nodes.len()],
            demands: Vec::new(),
            held: Vec::new(),
        }
    }
}

/// Minutes over which the load's spells last.
const SPELL: u32 = 12;

impl World {
    /// Lets the minute pass: everything of it is in the scratch space afterwards.
    pub(super) fn run_minute(&mut self, most_samples: usize) {
        self.load();
        self.count();
        self.others();
        self.work();
        self.sample_all(most_samples);
        self.try_again();
    }

    /// Lets a minute pass at reference load: no noise, no trouble, each curve at its mean.
    pub(super) fn run_reference(&mut self, samples: usize) {
        let setup = std::sync::Arc::clone(&self.setup);
        for (number, flow) in setup.flows.iter().enumerate() {
            self.scratch.flow_rps[number] = if flow.direct { 0.0 } else { flow.reference_rps };
        }
        for (number, service) in setup.services.iter().enumerate() {
            self.scratch.rps[number] = service.reference_rps;
            self.scratch.requests[number] = if service.reference_rps > 0.0 { samples as f64 } else { 0.0 };
        }
        for (number, node) in setup.nodes.iter().enumerate() {
            self.scratch.nodes[number] = NodeMinute { other: node.background, ..NodeMinute::default() };
        }
        // Faults begin after the warm-up at the earliest, so that the first minute has none.
        self.work();
        self.sample_all(samples);
    }

    /// Utilisation of a node if nothing had to wait; above 1 when it is too much.
    pub(super) fn node_level(&self, node: usize) -> f64 {
        self.scratch.nodes[node].level
    }

    /// Requests a second of each flow and each service.
    fn load(&mut self) {
        let setup = &self.setup;
        let minute = i64::from(self.minute);
        let key = self.key(Draw::LoadNoise);
        let noise = setup.spec.load.noise;
        let rps = &mut self.scratch.rps;
        rps.fill(0.0);
        for (number, flow) in setup.flows.iter().enumerate() {
            let factor = setup.trouble.factor(number, flow.direct, minute);
            let (curve, phase) = &setup.curves[flow.curve];
            let key = key.with(number as u64);
            let quick = key.with(0).with(u64::from(self.minute)).normal();
            let spell = |at: u32| key.with(1).with(u64::from(at)).normal();
            let (at, part) = (self.minute / SPELL, f64::from(self.minute % SPELL) / f64::from(SPELL));
            let slow = spell(at) * (1.0 - part) + spell(at + 1) * part;
            let shape = curve.at(setup.clock_minute(self.minute) + phase);
            let now = flow.reference_rps * factor * shape * (noise * (quick + slow)).exp();
            self.scratch.flow_rps[number] = now;
            if now > 0.0 {
                for (sum, visits) in rps.iter_mut().zip(&flow.visits) {
                    *sum += now * visits;
                }
            }
        }
        for (sum, retried) in rps.iter_mut().zip(&self.retried) {
            *sum *= 1.0 + retried;
        }
    }

    /// Requests in the minute.
    fn count(&mut self) {
        let key = self.key(Draw::Count);
        for (service, requests) in self.scratch.requests.iter_mut().enumerate() {
            let key = key.with(service as u64).with(u64::from(self.minute));
            *requests = key.poisson(self.scratch.rps[service] * 60.0);
        }
    }

    /// What else runs on the nodes.
    fn others(&mut self) {
        let setup = &self.setup;
        let key = self.key(Draw::Background);
        for (number, node) in setup.nodes.iter().enumerate() {
            let noise = key.with(1 << 32).with(number as u64).with(u64::from(self.minute));
            let shape = node.curve.at(setup.clock_minute(self.minute) + node.phase);
            let usual = node.background * shape * noise.lognormal(setup.spec.background.noise);
            let neighbours = setup.trouble.neighbours(number, i64::from(self.minute));
            self.scratch.nodes[number] = NodeMinute { other: usual + neighbours, ..NodeMinute::default() };
        }
        for instance in self.instances.iter().filter(|instance| instance.starting) {
            self.scratch.nodes[instance.node].other += setup.spec.moves.start_up_cores;
        }
    }

    fn sample_all(&mut self, most: usize) {
        let setup = std::sync::Arc::clone(&self.setup);
        let key = self.key(Draw::Visit);
        for &service in &setup.callees_first {
            self.lanes(service);
            self.flows_of(service);
            let scratch = &mut self.scratch;
            for &edge in &setup.services[service].out {
                let callee = setup.edges[edge].to;
                scratch.pairs[edge].reset(&setup, &scratch.lane_nodes[service], &scratch.lane_nodes[callee]);
            }
            let visits = Visits {
                setup: &setup,
                tables: &self.tables,
                service,
                key: key.with(service as u64).with(u64::from(self.minute)),
                lanes: &scratch.lanes,
                fault: setup.trouble.faulty(service, i64::from(self.minute)),
                flows: &scratch.flows,
            };
            let count = (scratch.requests[service] as usize).min(most);
            let mut out = std::mem::take(&mut scratch.samples[service]);
            visits.sample(count, &scratch.samples, &mut scratch.pairs, &mut out);
            scratch.failed[service] = out.iter().filter(|sample| sample.failed).count();
            scratch.values.clear();
            scratch.values.extend(out.iter().map(|sample| sample.ms));
            scratch.latency[service] = quantiles(&mut scratch.values, OBSERVED_QUANTILES);
            scratch.samples[service] = out;
        }
    }

    /// The replicas of a service as its requests meet them.
    fn lanes(&mut self, service: usize) {
        let setup = &self.setup;
        let scratch = &mut self.scratch;
        scratch.lanes.clear();
        scratch.lane_nodes[service].clear();
        let each = 1.0 / f64::from(setup.services[service].replicas);
        let mut up_to = 0.0;
        for (number, instance) in self.instances.iter().enumerate() {
            if instance.service != service || instance.share <= 0.0 {
                continue;
            }
            up_to += each * instance.share;
            let node = &scratch.nodes[instance.node];
            let demand_ms = scratch.demands[number];
            let mean_ms = node.work / node.rps.max(1e-9) * 1000.0;
            let (held_s, held_dropped) = scratch.held[number];
            let limit = setup.services[service].limit_m.map(|limit| {
                let cores = f64::from(cores_of_limit(limit));
                let level = scratch.used[number] * 1000.0 / limit;
                let least = (cores * 1000.0 / limit).max(1.0) as f32;
                (least, Slowdowns::between(level), (held_s * 1000.0 / demand_ms) as f32 / least)
            });
            scratch.lane_nodes[service].push(instance.node as u16);
            scratch.lanes.push(Lane {
                node: instance.node as u16,
                up_to: up_to as f32,
                demand_ms: demand_ms as f32,
                between: Slowdowns::between(node.level),
                backlog: (node.waits_s * 1000.0 / mean_ms.max(1e-6)) as f32,
                relative: (demand_ms / mean_ms.max(1e-6)) as f32,
                limit,
                dropped: (node.dropped + held_dropped).min(1.0) as f32,
            });
        }
    }

    /// The flows that visit a service, by their share of its visits.
    fn flows_of(&mut self, service: usize) {
        let scratch = &mut self.scratch;
        scratch.flows.clear();
        let mut sum = 0.0;
        for (number, flow) in self.setup.flows.iter().enumerate() {
            let visits = scratch.flow_rps[number] * flow.visits[service];
            if visits > 0.0 {
                sum += visits;
                scratch.flows.push((sum as f32, number));
            }
        }
        for (up_to, _) in &mut scratch.flows {
            *up_to /= sum as f32;
        }
    }

    /// Calls that failed are made again, which is load of the next minute.
    fn try_again(&mut self) {
        let retries = f64::from(self.setup.spec.requests.retries);
        for (service, retried) in self.retried.iter_mut().enumerate() {
            let samples = self.scratch.samples[service].len().max(1);
            let share = self.scratch.failed[service] as f64 / samples as f64;
            *retried = (share * retries).min(1.0);
        }
    }
}
