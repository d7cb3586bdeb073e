//! What does not change while a world runs, made from mesh, scenario and seed.

use std::sync::Arc;

use super::WorldError;
use super::placement::{Unplaced, place, replicas};
use super::trouble::{FaultAt, NeighbourAt, Scale, Trouble};
use crate::mesh::graph::propagate;
use crate::output::KnownEvent;
use crate::random::{Draw, Key};
use crate::scenario::{Pick, Scenario, ScenarioSpec};
use crate::series::{Curve, Shaping};
use crate::sharing::Slowdowns;
use crate::{Id, Mesh, Role};

/// One service.
#[derive(Debug)]
pub(super) struct ServiceSetup {
    pub(super) id: Id,
    /// CPU of a request, core milliseconds at speed 1.
    pub(super) demand_ms: f64,
    /// Time without CPU, ms.
    pub(super) wait_ms: f64,
    pub(super) stateful: bool,
    pub(super) memory_bytes: f64,
    pub(super) request_m: f64,
    pub(super) limit_m: Option<f64>,
    pub(super) replicas: u32,
    /// Requests a second at reference load.
    pub(super) reference_rps: f64,
    /// Edges of which it is the caller.
    pub(super) out: Vec<usize>,
}

/// Calls of one service to another.
#[derive(Debug)]
pub(super) struct EdgeSetup {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) sync: bool,
}

/// A stream of requests that enters at one service.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) name: Id,
    /// Requests a second at reference load; of a direct flow, those of its service.
    pub(super) reference_rps: f64,
    pub(super) visits: Vec<f64>,
    pub(super) calls: Vec<f64>,
    pub(super) curve: usize,
    /// Load of one service alone, there only while a ramp or an event makes it.
    pub(super) direct: bool,
}

/// One node.
#[derive(Debug)]
pub(super) struct NodeSetup {
    pub(super) id: Id,
    pub(super) zone: Id,
    pub(super) cores: f64,
    pub(super) speed: f64,
    pub(super) memory_bytes: f64,
    pub(super) cost_per_hour: f64,
    /// Mean cores of what else runs there.
    pub(super) background: f64,
    pub(super) curve: Curve,
    /// Whole days by which the curve is shifted, in minutes.
    pub(super) phase: i64,
    pub(super) slowdowns: Arc<Slowdowns>,
}

/// Everything that stays.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) seed: u64,
    pub(super) spec: Arc<ScenarioSpec>,
    pub(super) start_ms: i64,
    pub(super) services: Vec<ServiceSetup>,
    pub(super) edges: Vec<EdgeSetup>,
    /// Callees before callers.
    pub(super) callees_first: Vec<usize>,
    pub(super) flows: Vec<Flow>,
    pub(super) curves: Vec<(Curve, i64)>,
    pub(super) nodes: Vec<NodeSetup>,
    /// Mean round trip between nodes, ms.
    pub(super) delay_ms: Vec<f32>,
    pub(super) trouble: Trouble,
    pub(super) calendar: Vec<KnownEvent>,
    /// Tables by cores, for CPU limits.
    pub(super) limited: Vec<(u32, Arc<Slowdowns>)>,
    /// Objective of the P99 by service, ms.
    pub(super) objectives: Vec<Option<f64>>,
}

/// Service and node of a replica at the start.
pub(super) struct Placed {
    pub(super) service: usize,
    pub(super) replica: u32,
    pub(super) node: usize,
}

const MIB: f64 = 1024.0 * 1024.0;

impl Setup {
    pub(super) fn new(
        mesh: &Mesh,
        scenario: &Scenario,
        seed: u64,
    ) -> Result<(Self, Vec<Placed>), WorldError> {
        let spec = &scenario.spec;
        let mut services = services(mesh, spec, seed);
        let mut nodes = nodes(scenario, mesh.services.len(), seed);
        let capacity: Vec<f64> = nodes.iter().map(|node| node.cores * node.speed).collect();
        let rps = external_rps(mesh, &services, spec, capacity.iter().sum());
        let mut flows: Vec<Flow> = mesh
            .operations
            .iter()
            .map(|operation| Flow {
                name: operation.name.clone(),
                reference_rps: rps * operation.share,
                visits: operation.visits.clone(),
                calls: operation.calls.clone(),
                curve: 0,
                direct: false,
            })
            .collect();
        let curves = curves(scenario, &mut flows, seed);
        let smallest = capacity.iter().copied().fold(f64::INFINITY, f64::min);
        for (number, service) in services.iter_mut().enumerate() {
            service.reference_rps = flows.iter().map(|flow| flow.reference_rps * flow.visits[number]).sum();
            let work = service.reference_rps * service.demand_ms / 1000.0;
            service.replicas = replicas(&spec.replicas, mesh.services[number].replicas, work, smallest);
            let each_m = work / f64::from(service.replicas) * 1000.0;
            service.request_m = (each_m / 10.0).ceil().max(1.0) * 10.0;
            service.limit_m = spec.limits.as_ref().map(|limits| service.request_m * limits.cpu_factor);
        }
        let placed = placed(&services, &mut nodes, &capacity, spec, seed);
        let mut setup = Self {
            seed,
            spec: Arc::clone(spec),
            start_ms: scenario.start_ms,
            edges: mesh
                .edges
                .iter()
                .map(|edge| EdgeSetup { from: edge.from, to: edge.to, sync: edge.sync })
                .collect(),
            callees_first: mesh.order.iter().rev().copied().collect(),
            delay_ms: delays(&nodes, spec, seed),
            limited: limited(&services),
            objectives: vec![None; services.len()],
            services,
            flows,
            curves,
            nodes,
            trouble: Trouble::default(),
            calendar: Vec::new(),
        };
        setup.add_trouble(mesh, &placed)?;
        Ok((setup, placed))
    }

    /// Minute since 1970 of a minute of the world.
    pub(super) fn clock_minute(&self, minute: u32) -> i64 {
        self.start_ms.div_euclid(60_000) + i64::from(minute)
    }

    pub(super) fn last_minute(&self) -> i64 {
        self.spec.warm_up.0 + self.spec.measured.0
    }

    /// Cores in use at reference load by service on a node.
    pub(super) fn work_on(&self, placed: &[Placed], service: usize, node: usize) -> f64 {
        let setup = &self.services[service];
        let here = placed.iter().filter(|at| at.service == service && at.node == node).count();
        let each = setup.reference_rps * setup.demand_ms / 1000.0 / f64::from(setup.replicas);
        each * here as f64 / self.nodes[node].speed
    }

    fn reference_utilisation(&self, placed: &[Placed], node: usize) -> f64 {
        let work: f64 = (0..self.services.len()).map(|service| self.work_on(placed, service, node)).sum();
        (work + self.nodes[node].background) / self.nodes[node].cores
    }

    /// Nodes by utilisation at reference load, fullest first.
    fn ranked_nodes(&self, placed: &[Placed]) -> Vec<usize> {
        let mut ranked: Vec<usize> = (0..self.nodes.len()).collect();
        let level: Vec<f64> = ranked.iter().map(|node| self.reference_utilisation(placed, *node)).collect();
        ranked.sort_by(|a, b| level[*b].total_cmp(&level[*a]));
        ranked
    }

    fn pick_node(&self, pick: &Pick, placed: &[Placed]) -> Result<usize, WorldError> {
        let ranked = self.ranked_nodes(placed);
        match pick {
            Pick::Rank(rank) => Ok(ranked[(*rank).min(ranked.len() - 1)]),
            Pick::Word(word) if word == "hottest" => Ok(ranked[0]),
            Pick::Word(word) if word == "coolest" => Ok(ranked[ranked.len() - 1]),
            Pick::Word(name) => self
                .nodes
                .iter()
                .position(|node| *node.id == **name)
                .ok_or_else(|| WorldError::UnknownNode { name: name.clone(), nodes: self.nodes.len() }),
        }
    }

    /// By word: the service with most work on the fullest or emptiest node, if possible one without data.
    fn pick_service(&self, pick: &Pick, placed: &[Placed]) -> Result<usize, WorldError> {
        let work = |service: usize| self.services[service].reference_rps * self.services[service].demand_ms;
        match pick {
            Pick::Rank(rank) => {
                let mut ranked: Vec<usize> = (0..self.services.len()).collect();
                ranked.sort_by(|a, b| work(*b).total_cmp(&work(*a)));
                Ok(ranked[(*rank).min(ranked.len() - 1)])
            }
            Pick::Word(word) if word == "hottest" || word == "coolest" => {
                let mut ranked = self.ranked_nodes(placed);
                if word == "coolest" {
                    ranked.reverse();
                }
                let busiest_on = |node: usize| {
                    (0..self.services.len())
                        .filter(|service| self.work_on(placed, *service, node) > 0.0)
                        .max_by(|a, b| {
                            let data = |service: usize| !self.services[service].stateful;
                            let here = |service: usize| self.work_on(placed, service, node);
                            data(*a).cmp(&data(*b)).then(here(*a).total_cmp(&here(*b)))
                        })
                };
                Ok(ranked.into_iter().find_map(busiest_on).unwrap_or(0))
            }
            Pick::Word(name) => {
                self.services.iter().position(|service| *service.id == **name).ok_or_else(|| {
                    WorldError::UnknownService { name: name.clone(), services: self.services.len() }
                })
            }
        }
    }

    fn pick_flow(&self, pick: &Pick) -> Result<usize, WorldError> {
        let operations = self.flows.iter().filter(|flow| !flow.direct).count();
        match pick {
            Pick::Rank(rank) => {
                let mut ranked: Vec<usize> = (0..operations).collect();
                ranked.sort_by(|a, b| self.flows[*b].reference_rps.total_cmp(&self.flows[*a].reference_rps));
                Ok(ranked[(*rank).min(ranked.len() - 1)])
            }
            Pick::Word(name) => self.flows[..operations]
                .iter()
                .position(|flow| *flow.name == **name)
                .ok_or_else(|| WorldError::UnknownOperation { name: name.clone(), operations }),
        }
    }

    /// The flow of a service's own load, made when it is first needed.
    fn direct_flow(&mut self, mesh: &Mesh, service: usize) -> usize {
        let id = self.services[service].id.clone();
        if let Some(known) = self.flows.iter().position(|flow| flow.direct && flow.name == id) {
            return known;
        }
        let (calls, visits) = propagate(service, mesh.services.len(), &mesh.edges, &mesh.order);
        let reference_rps = self.services[service].reference_rps;
        self.flows.push(Flow { name: id, reference_rps, visits, calls, curve: 0, direct: true });
        self.flows.len() - 1
    }

    fn add_trouble(&mut self, mesh: &Mesh, placed: &[Placed]) -> Result<(), WorldError> {
        let spec = Arc::clone(&self.spec);
        let shift = Key::new(self.seed, Draw::Shift);
        let size = Key::new(self.seed, Draw::Amplitude);
        let from = spec.warm_up.0;
        for (number, ramp) in spec.load.ramps.iter().enumerate() {
            let (key, amount) =
                (shift.with(number as u64), super::shapes::amplitude(size.with(number as u64)));
            let pulse =
                super::shapes::Pulse::new(ramp.at, from, ramp.every, [ramp.over, ramp.hold, ramp.fall], key);
            let service = ramp.service.as_ref().map(|pick| self.pick_service(pick, placed)).transpose()?;
            let factor = match (ramp.to, ramp.node_utilisation) {
                (Some(to), _) => 1.0 + (to - 1.0) * amount,
                (None, level) => self.factor_to(placed, service, level.unwrap_or(1.0), amount),
            };
            let flow = match (service, &ramp.operation) {
                (Some(service), _) => Some(self.direct_flow(mesh, service)),
                (None, Some(pick)) => Some(self.pick_flow(pick)?),
                (None, None) => None,
            };
            self.trouble.scales.push(Scale { flow, pulse, factor });
        }
        for (number, event) in spec.load.events.iter().enumerate() {
            let amount = super::shapes::amplitude(size.with(1000 + number as u64));
            let service = event.service.as_ref().map(|pick| self.pick_service(pick, placed)).transpose()?;
            let flow = match (service, &event.operation) {
                (Some(service), _) => Some(self.direct_flow(mesh, service)),
                (None, Some(pick)) => Some(self.pick_flow(pick)?),
                (None, None) => None,
            };
            for (which, at) in event.at.iter().enumerate() {
                let key = shift.with(1000 + number as u64).with(which as u64);
                let hold = crate::Minutes((event.lasts.0 - 2 * event.rise.0).max(0));
                let pulse =
                    super::shapes::Pulse::new(*at, from, event.every, [event.rise, hold, event.rise], key);
                for begin in pulse.begins(self.last_minute()) {
                    let start_ms = self.start_ms + begin * 60_000;
                    let end_ms = start_ms + pulse.lasts() * 60_000;
                    self.calendar.push(KnownEvent { tag: event.tag.clone(), start_ms, end_ms });
                }
                self.trouble.scales.push(Scale { flow, pulse, factor: 1.0 + (event.uplift - 1.0) * amount });
            }
        }
        self.calendar.sort_by(|a, b| (a.start_ms, &a.tag).cmp(&(b.start_ms, &b.tag)));
        for (number, neighbour) in spec.neighbours.iter().enumerate() {
            let number = 2000 + number as u64;
            let times = [neighbour.over, neighbour.hold, neighbour.fall];
            let pulse =
                super::shapes::Pulse::new(neighbour.at, from, neighbour.every, times, shift.with(number));
            let node = self.pick_node(&neighbour.node, placed)?;
            let wanted = neighbour.share.unwrap_or_else(|| {
                let level = neighbour.node_utilisation.unwrap_or(0.0);
                (level - self.reference_utilisation(placed, node)).max(0.0)
            });
            let cores = wanted * super::shapes::amplitude(size.with(number)) * self.nodes[node].cores;
            self.trouble.neighbours.push(NeighbourAt { node, pulse, cores });
        }
        for (number, fault) in spec.faults.iter().enumerate() {
            let number = 3000 + number as u64;
            let rest = crate::Minutes((fault.lasts.0 - fault.over.0).max(0));
            let times = [fault.over, rest, crate::Minutes(0)];
            let pulse = super::shapes::Pulse::new(fault.at, from, None, times, shift.with(number));
            let service = self.pick_service(&fault.service, placed)?;
            let amount = super::shapes::amplitude(size.with(number));
            self.trouble.faults.push(FaultAt {
                service,
                pulse,
                demand: (fault.demand_factor - 1.0) * amount,
                latency: (fault.latency_factor - 1.0) * amount,
                added_ms: fault.added_latency_ms * amount,
                errors: (fault.error_share * amount).min(1.0),
                explains: self.waiting_for(service),
            });
        }
        Ok(())
    }

    /// The service and those that wait for it, directly or not.
    fn waiting_for(&self, service: usize) -> Vec<bool> {
        let mut waits = vec![false; self.services.len()];
        waits[service] = true;
        for caller in &self.callees_first {
            let calls = |edge: &usize| self.edges[*edge].sync && waits[self.edges[*edge].to];
            waits[*caller] |= self.services[*caller].out.iter().any(calls);
        }
        waits
    }

    /// The factor on a service's load, or on all load, that brings its fullest node to `level`.
    fn factor_to(&self, placed: &[Placed], service: Option<usize>, level: f64, amount: f64) -> f64 {
        let node = self
            .ranked_nodes(placed)
            .into_iter()
            .find(|node| service.is_none_or(|service| self.work_on(placed, service, *node) > 0.0));
        let Some(node) = node else { return 1.0 };
        let work = match service {
            Some(service) => self.work_on(placed, service, node),
            None => (0..self.services.len()).map(|service| self.work_on(placed, service, node)).sum(),
        };
        let missing = (level - self.reference_utilisation(placed, node)) * self.nodes[node].cores * amount;
        if work <= 0.0 { 1.0 } else { (1.0 + missing / work).clamp(0.05, 10.0) }
    }
}

fn services(mesh: &Mesh, spec: &ScenarioSpec, seed: u64) -> Vec<ServiceSetup> {
    let _ = spec;
    mesh.services
        .iter()
        .enumerate()
        .map(|(number, service)| {
            let draw = |draw| Key::new(seed, draw).with(number as u64);
            let (cpu, wait, memory) = match service.role {
                Role::Frontend => (3.0, 0.5, 192.0),
                Role::Service => (4.0, 1.0, 256.0),
                Role::Database => (3.0, 3.0, 768.0),
                Role::Cache => (0.6, 0.1, 384.0),
                Role::Queue => (1.0, 0.5, 320.0),
            };
            let demand_ms = service.cpu_core_ms.unwrap_or_else(|| cpu * draw(Draw::Demand).lognormal(0.5));
            let wait_ms = match service.self_time_ms {
                Some(own) if service.cpu_core_ms.is_some() => (own - demand_ms).max(0.1),
                _ => wait * draw(Draw::Wait).lognormal(0.5),
            };
            let memory_mib =
                service.memory_mib.unwrap_or_else(|| memory * draw(Draw::Memory).lognormal(0.4)).max(16.0);
            ServiceSetup {
                id: service.name.clone(),
                demand_ms,
                wait_ms,
                stateful: service.stateful,
                memory_bytes: (memory_mib * MIB).round(),
                request_m: 0.0,
                limit_m: None,
                replicas: 1,
                reference_rps: 0.0,
                out: (0..mesh.edges.len()).filter(|edge| mesh.edges[*edge].from == number).collect(),
            }
        })
        .collect()
}

fn nodes(scenario: &Scenario, services: usize, seed: u64) -> Vec<NodeSetup> {
    let spec = &scenario.spec;
    let by_service = (spec.nodes.per_service * services as f64).ceil() as usize;
    let count = spec.nodes.count.unwrap_or_else(|| by_service.clamp(spec.nodes.min, spec.nodes.max));
    let shaping = Shaping { smooth: spec.background.smooth.0, peak: None, clamp: spec.background.clamp };
    let curves: Vec<Curve> = scenario.background.iter().map(|series| series.curve(shaping)).collect();
    let key = Key::new(seed, Draw::Background);
    (0..count)
        .map(|number| {
            let kind = &spec.nodes.kinds[number % spec.nodes.kinds.len()];
            let zone = char::from(b'a' + (number % spec.nodes.zones % 26) as u8);
            let key = key.with(number as u64);
            let curve = curves.get(key.with(0).below(curves.len())).cloned().unwrap_or_else(Curve::flat);
            let cores = f64::from(kind.cores);
            NodeSetup {
                id: Id::from(format!("node-{}", number + 1)),
                zone: Id::from(format!("zone-{zone}")),
                cores,
                speed: kind.speed,
                memory_bytes: kind.memory_gib * 1024.0 * MIB,
                cost_per_hour: kind.cost_per_hour,
                background: spec.background.mean * cores,
                phase: key.with(1).below(curve.days()) as i64 * 1440,
                curve,
                slowdowns: Slowdowns::of(kind.cores),
            }
        })
        .collect()
}

/// External requests a second that bring the cluster to its mean utilisation.
fn external_rps(mesh: &Mesh, services: &[ServiceSetup], spec: &ScenarioSpec, capacity: f64) -> f64 {
    let core_ms: f64 = mesh
        .operations
        .iter()
        .map(|operation| {
            let each =
                operation.visits.iter().zip(services).map(|(visits, service)| visits * service.demand_ms);
            operation.share * each.sum::<f64>()
        })
        .sum();
    (spec.load.utilisation - spec.background.mean) * capacity / (core_ms / 1000.0).max(1e-9)
}

fn curves(scenario: &Scenario, flows: &mut [Flow], seed: u64) -> Vec<(Curve, i64)> {
    let load = &scenario.spec.load;
    let swing = super::shapes::amplitude(Key::new(seed, Draw::Amplitude).with(u64::from(u32::MAX)));
    let peak = load.peak.map(|peak| 1.0 + (peak - 1.0) * swing);
    let shaping = Shaping { smooth: load.smooth.0, peak, clamp: load.clamp };
    let key = Key::new(seed, Draw::Series);
    let drawn = |key: Key| {
        let series = scenario.load.get(key.with(0).below(scenario.load.len()));
        let curve = series.map_or_else(Curve::flat, |series| series.curve(shaping));
        let phase = key.with(1).below(curve.days()) as i64 * 1440;
        (curve, phase)
    };
    if !load.per_operation {
        return vec![drawn(key)];
    }
    for (number, flow) in flows.iter_mut().enumerate() {
        flow.curve = number;
    }
    (0..flows.len()).map(|number| drawn(key.with(10 + number as u64))).collect()
}

/// Places all replicas, and fills up the fuller nodes with background to their utilisation.
fn placed(
    services: &[ServiceSetup],
    nodes: &mut [NodeSetup],
    capacity: &[f64],
    spec: &ScenarioSpec,
    seed: u64,
) -> Vec<Placed> {
    let mut unplaced = Vec::new();
    for (service, setup) in services.iter().enumerate() {
        let work = setup.reference_rps * setup.demand_ms / 1000.0 / f64::from(setup.replicas);
        for replica in 0..setup.replicas {
            unplaced.push(Unplaced { service, replica, work, stateful: setup.stateful });
        }
    }
    // Fuller nodes start with half the usual background: what is missing in the end is added to it.
    let (node_of, hot) = place(&unplaced, capacity, spec.background.mean / 2.0, &spec.placement, seed);
    for node in hot {
        let work: f64 = unplaced
            .iter()
            .zip(&node_of)
            .filter(|(_, at)| **at == node)
            .map(|(replica, _)| replica.work)
            .sum();
        let missing = spec.placement.hot_utilisation - work / capacity[node];
        nodes[node].background = missing.clamp(0.02, 0.5) * nodes[node].cores;
    }
    unplaced
        .iter()
        .zip(node_of)
        .map(|(replica, node)| Placed { service: replica.service, replica: replica.replica, node })
        .collect()
}

fn delays(nodes: &[NodeSetup], spec: &ScenarioSpec, seed: u64) -> Vec<f32> {
    let key = Key::new(seed, Draw::Network);
    let mut delays = vec![0.0; nodes.len() * nodes.len()];
    for a in 0..nodes.len() {
        for b in 0..nodes.len() {
            let pair = key.with(a.min(b) as u64).with(a.max(b) as u64).between(0.7, 1.3);
            delays[a * nodes.len() + b] = if a == b {
                spec.network.same_node_ms
            } else if nodes[a].zone == nodes[b].zone {
                spec.network.same_zone_ms * pair
            } else {
                spec.network.cross_zone_ms * pair
            } as f32;
        }
    }
    delays
}

fn limited(services: &[ServiceSetup]) -> Vec<(u32, Arc<Slowdowns>)> {
    let mut cores: Vec<u32> =
        services.iter().filter_map(|service| service.limit_m).map(cores_of_limit).collect();
    cores.sort_unstable();
    cores.dedup();
    cores.into_iter().map(|cores| (cores, Slowdowns::of(cores))).collect()
}

/// Cores that a limit resembles.
pub(super) fn cores_of_limit(limit_m: f64) -> u32 {
    (limit_m / 1000.0).round().clamp(1.0, 16.0) as u32
}
