//! Times of services under one layout.
use super::super::{
    lanes::{LANES, Lanes},
    mesh::{MeshModel, ServiceIx},
    sharing::Slowdown,
};

/// No limit slows the replica down.
pub(in crate::twin) const NO_LIMIT: u32 = u32::MAX;

const UNLIMITED: Lanes = [0.0; LANES];

/// A node's CPU as requests on it meet it.
#[derive(Clone, Copy, Debug)]
pub(in crate::twin) struct NodeState {
    pub(in crate::twin) mean: Lanes,
    pub(in crate::twin) variance: Lanes,
    pub(in crate::twin) mixing: Lanes,
    /// Mean remaining demand of the requests on it, in milliseconds of one core; 0 when nothing is known to run there.
    pub(in crate::twin) remaining: f32,
}

impl NodeState {
    pub(in crate::twin) const IDLE: Self =
        Self { mean: [1.0; LANES], variance: [0.0; LANES], mixing: [1.0; LANES], remaining: 0.0 };

    /// For so much use, as a share of the node's CPU.
    pub(in crate::twin) fn of(used: &Lanes, cores: f32, remaining: f32) -> Self {
        let mut state = Self { remaining, ..Self::IDLE };
        for (lane, used) in used.iter().enumerate() {
            state.set(lane, Slowdown::at(*used, cores));
        }
        state
    }

    pub(in crate::twin) fn set(&mut self, lane: usize, slowdown: Slowdown) {
        self.mean[lane] = slowdown.mean;
        self.variance[lane] = slowdown.variance;
        self.mixing[lane] = slowdown.mixing;
    }
}

/// Where replicas are, what share of the traffic each has, and the times that follow.
#[derive(Clone, Debug)]
pub(in crate::twin) struct Layout {
    pub(in crate::twin) node_of: Vec<u32>,
    pub(in crate::twin) share: Vec<f32>,
    pub(in crate::twin) states: Vec<NodeState>,
    /// Place in `limits` of each replica.
    pub(in crate::twin) limit_of: Vec<u32>,
    /// By how much a replica's own limit slows it down, beyond what its node does.
    pub(in crate::twin) limits: Vec<Lanes>,
    /// Milliseconds of distance on each call.
    pub(in crate::twin) edge_ms: Vec<f32>,
    /// Mean and variance of each service's time, as calibrated.
    pub(in crate::twin) mean: Vec<Lanes>,
    pub(in crate::twin) variance: Vec<Lanes>,
}

impl Layout {
    /// As the moves in flight will have left it, with nothing computed.
    pub(in crate::twin) fn new(mesh: &MeshModel, at: impl Fn(usize) -> u32) -> Self {
        let mut layout = Self {
            node_of: (0..mesh.replicas.len()).map(at).collect(),
            share: mesh.replicas.iter().map(|replica| replica.share).collect(),
            states: vec![NodeState::IDLE; mesh.nodes.len()],
            limit_of: vec![NO_LIMIT; mesh.replicas.len()],
            limits: Vec::new(),
            edge_ms: vec![0.0; mesh.calls.edges.len()],
            mean: vec![[0.0; LANES]; mesh.services.len()],
            variance: vec![[0.0; LANES]; mesh.services.len()],
        };
        for (replica, model) in mesh.replicas.iter().enumerate() {
            if mesh.workloads[model.workload as usize].limit_cores.is_some() {
                layout.limit_of[replica] = layout.limits.len() as u32;
                layout.limits.push([0.0; LANES]);
                layout.limit(mesh, replica, |lane| mesh.rates[model.service as usize][lane]);
            }
        }
        for edge in 0..layout.edge_ms.len() {
            layout.measure(mesh, edge);
        }
        layout
    }

    /// Computes what a replica's limit does to it under so many requests per second of its service.
    pub(in crate::twin) fn limit(&mut self, mesh: &MeshModel, replica: usize, rate: impl Fn(usize) -> f32) {
        let place = self.limit_of[replica];
        let workload = &mesh.workloads[mesh.replicas[replica].workload as usize];
        let (Some(cores), false) = (workload.limit_cores, place == NO_LIMIT) else { return };
        for lane in 0..LANES {
            let load = workload.demand_core_ms * rate(lane) * self.share[replica] + workload.idle;
            let slowdown = Slowdown::at(load / (cores * 1e3), cores);
            self.limits[place as usize][lane] = slowdown.mean - 1.0;
        }
    }

    /// Computes the distance on a call: every caller's replica calls every callee's, by their shares.
    pub(in crate::twin) fn measure(&mut self, mesh: &MeshModel, edge: usize) {
        let call = &mesh.calls.edges[edge];
        let mut sum = 0.0;
        for from in mesh.of_service(call.caller as usize) {
            for to in mesh.of_service(call.callee as usize) {
                let (from, to) = (*from as usize, *to as usize);
                let ms = mesh.distances.between(self.node_of[from], self.node_of[to], &mesh.nodes);
                sum += ms * self.share[from] * self.share[to];
            }
        }
        self.edge_ms[edge] = sum;
    }

    /// Mean and variance of a service's time before calibration: what its replicas take, and what it waits for.
    pub(in crate::twin) fn raw(&self, mesh: &MeshModel, service: ServiceIx) -> (Lanes, Lanes) {
        let replicas = mesh.of_service(service).iter().map(|replica| *replica as usize);
        self.raw_of(mesh, service, replicas.map(|replica| (replica, self.share[replica])))
    }

    /// As [`Self::raw`], with other shares of the requests.
    pub(in crate::twin) fn raw_of(
        &self,
        mesh: &MeshModel,
        service: ServiceIx,
        replicas: impl Iterator<Item = (usize, f32)>,
    ) -> (Lanes, Lanes) {
        let mut mean = [0.0; LANES];
        let mut second = [0.0; LANES];
        for (replica, share) in replicas {
            let workload = &mesh.workloads[mesh.replicas[replica].workload as usize];
            let node = self.node_of[replica] as usize;
            let state = &self.states[node];
            let speed = workload
                .limit_cores
                .map_or(mesh.nodes[node].speed, |cores| mesh.nodes[node].speed.min(cores));
            let demand = workload.demand_core_ms / speed.max(1e-3);
            let scv = workload.scv;
            let both = 1.0 + scv;
            let ratio = if state.remaining > 0.0 {
                workload.demand_core_ms * both / (2.0 * state.remaining)
            } else {
                1.0
            };
            let limit = self.limits.get(self.limit_of[replica] as usize).unwrap_or(&UNLIMITED);
            for lane in 0..LANES {
                let time = demand * (state.mean[lane] + limit[lane]);
                let spread = state.variance[lane] * both / (1.0 + state.mixing[lane] * ratio);
                mean[lane] += share * time;
                second[lane] += share * (time * time * both + demand * demand * spread);
            }
        }
        let mut variance = second;
        for lane in 0..LANES {
            variance[lane] = (variance[lane] - mean[lane] * mean[lane]).max(0.0);
        }
        for edge in mesh.calls.of(service) {
            let call = &mesh.calls.edges[edge];
            if !call.waits {
                continue;
            }
            let (callee_mean, callee_variance) =
                (&self.mean[call.callee as usize], &self.variance[call.callee as usize]);
            // So many calls, or one more: the fraction is the probability of that one.
            let fraction = call.calls.fract();
            let either = fraction * (1.0 - fraction);
            for lane in 0..LANES {
                let one = callee_mean[lane] + self.edge_ms[edge];
                mean[lane] += call.calls * one;
                variance[lane] += call.calls * callee_variance[lane] + either * one * one;
            }
        }
        (mean, variance)
    }

    /// Computes a service's time; its callees' must be there.
    pub(in crate::twin) fn compute(&mut self, mesh: &MeshModel, service: ServiceIx) {
        let (mut mean, mut variance) = self.raw(mesh, service);
        let fitted = &mesh.services[service].fitted;
        for lane in 0..LANES {
            (mean[lane], variance[lane]) = fitted.apply(mean[lane], variance[lane]);
        }
        self.mean[service] = mean;
        self.variance[service] = variance;
    }
}
