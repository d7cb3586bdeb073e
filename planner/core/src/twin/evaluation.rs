//! One layout of the mesh and what it costs, kept up to date move by move.
mod journal;
pub(super) mod layout;
mod look;
mod risk;
mod traffic;

use super::{
    MEDIAN, UPPER,
    lanes::{KNOTS, LANES, Lanes, lane},
    mesh::{MeshModel, NodeIx, ReplicaIx, ServiceIx},
};
use crate::units::Quantile;
use journal::Steps;
use layout::{Layout, NodeState};
pub use risk::TwinBreach;

/// Latency in milliseconds beyond which a node is saturated.
const NO_BOUND_MS: f32 = 1e8;

/// A layout with its costs. It begins with the present one, moves in flight on their targets.
#[derive(Clone, Debug)]
pub struct Evaluation<'m> {
    mesh: &'m MeshModel,
    layout: Layout,
    /// Weight of each replica against the others of its service.
    weights: Vec<f32>,
    /// Replicas on each node, sorted.
    on_node: Vec<Vec<u32>>,
    /// Share of each node's CPU in use.
    used: Vec<Lanes>,
    risk: Vec<f32>,
    /// Highest latency of each service over its look-ahead at the median, in milliseconds; infinite where there is none.
    expected: Vec<f32>,
    /// What each node adds to the cost for being too full.
    penalty: Vec<f32>,
    risk_cost: f64,
    network_cost: f64,
    steps: Steps,
    /// Whether a service is in the set that is computed anew.
    marked: Vec<bool>,
}

/// By how much a move changes the costs; negative is better.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Delta {
    /// Change of [`Evaluation::risk_cost`].
    pub risk: f64,
    /// Change of [`Evaluation::network_cost`].
    pub network: f64,
}

impl MeshModel {
    /// The present layout, with moves in flight already on their targets.
    pub fn start(&self) -> Evaluation<'_> {
        let mut evaluation = Evaluation {
            mesh: self,
            layout: self.layout_of_start(),
            weights: self.replicas.iter().map(|replica| replica.weight).collect(),
            on_node: vec![Vec::new(); self.nodes.len()],
            used: vec![[0.0; LANES]; self.nodes.len()],
            risk: vec![0.0; self.services.len()],
            expected: vec![f32::INFINITY; self.services.len()],
            penalty: vec![0.0; self.nodes.len()],
            risk_cost: 0.0,
            network_cost: 0.0,
            steps: Steps::default(),
            marked: vec![false; self.services.len()],
        };
        for (replica, node) in evaluation.layout.node_of.iter().enumerate() {
            evaluation.on_node[*node as usize].push(replica as u32);
        }
        for node in 0..self.nodes.len() {
            evaluation.load_node(node);
            evaluation.slow_node(node);
            evaluation.risk_cost += f64::from(evaluation.penalty[node]);
        }
        for service in &self.calls.order {
            evaluation.compute_service(*service as usize);
        }
        for (edge, call) in self.calls.edges.iter().enumerate() {
            let calls = self.services[call.caller as usize].requests * call.calls;
            evaluation.network_cost += f64::from(calls * evaluation.layout.edge_ms[edge]);
        }
        evaluation
    }
}

impl<'m> Evaluation<'m> {
    /// The mesh.
    pub const fn mesh(&self) -> &'m MeshModel {
        self.mesh
    }

    /// Node that a replica is on.
    pub fn node_of(&self, replica: ReplicaIx) -> NodeIx {
        self.layout.node_of[replica] as usize
    }

    /// Share of the service's requests that a replica gets.
    pub fn share_of(&self, replica: ReplicaIx) -> f64 {
        f64::from(self.layout.share[replica])
    }

    /// Share of a node's CPU in use at a knot and a place in [`LEVELS`](crate::forecast::LEVELS); infinite when it is
    /// not known. May pass 1.
    pub fn node_use(&self, node: NodeIx, knot: usize, level: usize) -> f64 {
        if self.mesh.nodes[node].unknown.is_some() {
            return f64::INFINITY;
        }
        f64::from(self.used[node][lane(knot, level)])
    }

    /// Highest share of a node's CPU in use over all knots at a level; infinite when it is not known.
    pub fn highest_use(&self, node: NodeIx, level: usize) -> f64 {
        (0..KNOTS).map(|knot| self.node_use(node, knot, level)).fold(0.0, f64::max)
    }

    /// Latency of a service in milliseconds at its objective's quantile. `None` without an objective, when a node is
    /// saturated, or when it is not predicted.
    pub fn latency(&self, service: ServiceIx, knot: usize, level: usize) -> Option<f64> {
        let model = &self.mesh.services[service];
        let (Some(objective), None) = (&model.objective, &model.unknown) else { return None };
        let at = lane(knot, level);
        let (mean, variance) = (self.layout.mean[service][at], self.layout.variance[service][at]);
        let ms = model.fitted.shape * self.mesh.tables[objective.table].quantile(mean, variance);
        (ms < NO_BOUND_MS).then_some(f64::from(ms))
    }

    /// Latency in milliseconds at any quantile of the requests that one replica serves. `None` when its node is
    /// saturated, or the service's latency is not predicted.
    pub fn replica_latency(
        &self,
        replica: ReplicaIx,
        quantile: Quantile,
        knot: usize,
        level: usize,
    ) -> Option<f64> {
        let service = self.mesh.service_of(replica);
        let model = &self.mesh.services[service];
        if model.unknown.is_some() {
            return None;
        }
        let (mean, variance) = self.layout.raw_of(self.mesh, service, std::iter::once((replica, 1.0)));
        let at = lane(knot, level);
        let (mean, variance) = model.fitted.apply(mean[at], variance[at]);
        let ms = model.fitted.shape * self.mesh.quantile_of(quantile, mean, variance);
        (ms < NO_BOUND_MS).then_some(f64::from(ms))
    }

    /// Latency of a service in milliseconds at any quantile, as [`Self::replica_latency`].
    pub(super) fn service_latency(
        &self,
        service: ServiceIx,
        quantile: Quantile,
        knot: usize,
        level: usize,
    ) -> Option<f64> {
        let at = lane(knot, level);
        let (mean, variance) = (self.layout.mean[service][at], self.layout.variance[service][at]);
        let shape = self.mesh.services[service].fitted.shape;
        let ms = shape * self.mesh.quantile_of(quantile, mean, variance);
        (ms < NO_BOUND_MS).then_some(f64::from(ms))
    }

    /// Milliseconds of distance on a call.
    pub(super) fn edge_ms(&self, edge: usize) -> f32 {
        self.layout.edge_ms[edge]
    }

    /// Highest latency of a service in milliseconds over the knots of its look-ahead. `None` as for [`Self::latency`].
    pub fn worst_ms(&self, service: ServiceIx, level: usize) -> Option<f64> {
        let knots = self.mesh.services[service].objective.as_ref()?.knots;
        if level == MEDIAN {
            let ms = self.expected[service];
            return (ms < NO_BOUND_MS).then_some(f64::from(ms));
        }
        (0..knots).try_fold(0.0, |worst: f64, knot| Some(worst.max(self.latency(service, knot, level)?)))
    }

    /// Probability that a service breaches its objective within its look-ahead; 0 without an objective and when its
    /// latency is not predicted.
    pub fn risk(&self, service: ServiceIx) -> f64 {
        f64::from(self.risk[service])
    }

    /// Replicas on a node.
    pub fn replicas_on(&self, node: NodeIx) -> impl Iterator<Item = ReplicaIx> + '_ {
        self.on_node[node].iter().map(|replica| *replica as usize)
    }

    /// Services with a replica on a node; one with two is named twice.
    pub fn services_on(&self, node: NodeIx) -> impl Iterator<Item = ServiceIx> + '_ {
        self.replicas_on(node).map(|replica| self.mesh.service_of(replica))
    }

    /// Sum over services of tier weight times expected requests per second times risk, and what overfull nodes add:
    /// the share by which each passes the highest utilisation, times the weight of what runs there.
    pub const fn risk_cost(&self) -> f64 {
        self.risk_cost
    }

    /// Sum over calls of calls per second times milliseconds of distance.
    pub const fn network_cost(&self) -> f64 {
        self.network_cost
    }

    /// Highest latency over the look-ahead at the median, see [`Self::worst_ms`].
    pub fn expected_ms(&self, service: ServiceIx) -> Option<f64> {
        self.worst_ms(service, MEDIAN)
    }

    /// Computes how much of a node is in use, and what it adds to the cost.
    fn load_node(&mut self, node: NodeIx) {
        let mesh = self.mesh;
        let model = &mesh.nodes[node];
        let mut load = mesh.background[node];
        let (mut known, mut remaining, mut weight) = (0.0, 0.0, 0.0);
        let mut unknown = false;
        for id in &self.on_node[node] {
            let replica = &mesh.replicas[*id as usize];
            let workload = &mesh.workloads[replica.workload as usize];
            let share = self.layout.share[*id as usize];
            weight += mesh.services[replica.service as usize].weight * share;
            // What runs where it was measured is in the background; anywhere else its load is missing. And a node that
            // is not known must not look good to who comes.
            let guest = replica.home as usize != node;
            unknown |= guest && (workload.unknown.is_some() || model.unknown.is_some());
            if workload.unknown.is_some() {
                continue;
            }
            let rates = &mesh.rates[replica.service as usize];
            let each = workload.demand_core_ms * share;
            for (load, rate) in load.iter_mut().zip(rates) {
                *load += each * rate + workload.idle;
            }
            let busy = each * rates[lane(0, MEDIAN)];
            known += busy;
            remaining += busy * workload.demand_core_ms * (1.0 + workload.scv) / 2.0;
        }
        let inverse = if unknown || model.capacity <= 0.0 { f32::INFINITY } else { 1.0 / model.capacity };
        for load in &mut load {
            *load = if inverse.is_finite() { *load * inverse } else { f32::INFINITY };
        }
        self.layout.states[node].remaining = if known > 0.0 { remaining / known } else { 0.0 };
        let highest = (0..KNOTS).map(|knot| load[lane(knot, UPPER)]).fold(0.0, f32::max);
        self.used[node] = load;
        // An overload beyond all measure is as bad as one of all that the node has.
        self.penalty[node] = (highest - mesh.max_utilisation).clamp(0.0, 1.0) * weight;
    }

    /// Computes from that by how much requests on it slow down.
    fn slow_node(&mut self, node: NodeIx) {
        let state = &mut self.layout.states[node];
        *state = NodeState::of(&self.used[node], self.mesh.nodes[node].cores, state.remaining);
    }

    fn compute_service(&mut self, service: ServiceIx) {
        self.layout.compute(self.mesh, service);
        let (mean, variance) = (&self.layout.mean[service], &self.layout.variance[service]);
        let risk = risk::risk(self.mesh, service, mean, variance);
        let change = f64::from(risk) - f64::from(self.risk[service]);
        self.risk_cost += change * f64::from(self.mesh.services[service].weight);
        self.risk[service] = risk;
        self.expected[service] = risk::expected_ms(self.mesh, service, mean, variance);
    }
}
