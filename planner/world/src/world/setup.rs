//! What does not change while a world runs, made from mesh, scenario and seed.

mod cluster;
mod load;
mod picks;
mod schedule;

use std::sync::Arc;

use super::WorldError;
use super::placement::replicas;
use super::trouble::Trouble;
use crate::output::KnownEvent;
use crate::scenario::{Scenario, ScenarioSpec};
use crate::series::Curve;
use crate::sharing::Slowdowns;
use crate::{Id, Mesh};

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
    /// Mean calls on each edge for one request that the caller handles.
    pub(super) calls_each: Vec<f32>,
    pub(super) curve: usize,
    /// Load of one service alone, there only while a ramp or an event makes it.
    pub(super) direct: bool,
}

impl Flow {
    /// The flow of an operation.
    fn new(mesh: &Mesh, name: Id, reference_rps: f64, visits: Vec<f64>, calls: Vec<f64>) -> Self {
        let each = |(edge, calls): (&crate::Edge, &f64)| {
            if visits[edge.from] > 0.0 { (calls / visits[edge.from]) as f32 } else { 0.0 }
        };
        let calls_each = mesh.edges.iter().zip(&calls).map(each).collect();
        Self { name, reference_rps, visits, calls, calls_each, curve: 0, direct: false }
    }
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
        let mut services = load::services(mesh, seed);
        let mut nodes = cluster::nodes(scenario, mesh.services.len(), seed);
        let capacity: Vec<f64> = nodes.iter().map(|node| node.cores * node.speed).collect();
        let rps = load::external_rps(mesh, &services, spec, capacity.iter().sum());
        let mut flows: Vec<Flow> = mesh
            .operations
            .iter()
            .map(|operation| {
                let (visits, calls) = (operation.visits.clone(), operation.calls.clone());
                Flow::new(mesh, operation.name.clone(), rps * operation.share, visits, calls)
            })
            .collect();
        let curves = load::curves(scenario, &mut flows, seed);
        let smallest = capacity.iter().copied().fold(f64::INFINITY, f64::min);
        for (number, service) in services.iter_mut().enumerate() {
            service.reference_rps = flows.iter().map(|flow| flow.reference_rps * flow.visits[number]).sum();
            let work = service.reference_rps * service.demand_ms / 1000.0;
            service.replicas = replicas(&spec.replicas, mesh.services[number].replicas, work, smallest);
            let each_m = work / f64::from(service.replicas) * 1000.0;
            service.request_m = (each_m / 10.0).ceil().max(1.0) * 10.0;
            service.limit_m = spec.limits.as_ref().map(|limits| service.request_m * limits.cpu_factor);
        }
        let placed = cluster::placed(&services, &mut nodes, spec, seed);
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
            delay_ms: cluster::delays(&nodes, spec, seed),
            limited: cluster::limited(&services),
            objectives: vec![None; services.len()],
            services,
            flows,
            curves,
            nodes,
            trouble: Trouble::default(),
            calendar: Vec::new(),
        };
        setup.schedule(mesh, &placed)?;
        Ok((setup, placed))
    }

    /// Minute since 1970 of a minute of the world.
    pub(super) fn clock_minute(&self, minute: u32) -> i64 {
        self.start_ms.div_euclid(60_000) + i64::from(minute)
    }

    pub(super) fn last_minute(&self) -> i64 {
        self.spec.warm_up.0 + self.spec.measured.0
    }
}

/// Cores that a limit resembles.
pub(super) fn cores_of_limit(limit_m: f64) -> u32 {
    (limit_m / 1000.0).round().clamp(1.0, 16.0) as u32
}
