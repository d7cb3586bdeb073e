//! The mesh as a space that can be searched: replicas on nodes, what a layout costs, and what is not allowed.
//!
//! The cost of a layout is in tier-weighted requests per second at risk:
//!
//! - risk: the twin's, over all services of the mesh, so a move that harms whoever lives on its target costs that;
//! - near misses: a service that is to be cured and does not keep the margins counts a quarter of its risk again, so that
//!   of two targets the one that the policy accepts is taken;
//! - network: calls per second times milliseconds;
//! - money: three quarters of a node's price while anything of ours is on it, one quarter by what that asks for;
//! - disruption: the moves themselves.
mod aims;
mod failed;
mod judge;
mod own_limits;
mod targets;
mod units;

pub use aims::Aim;
use units::Unit;

use super::{
    cost::Cost,
    layout::{Layout, NodeIndex, Step},
    search::Space,
};
use crate::{
    inputs::Inputs,
    plan::Move,
    policy::{Mode, RelocationPolicy},
    twin::{Evaluation, MEDIAN, MeshModel, NodeIx, ReplicaIx, ServiceIx},
};
use aims::Aims;
use judge::Bounds;
use std::collections::BTreeMap;

/// Part of a node's price that counts by what replicas ask for.
const BY_SHARE: f64 = 0.25;

/// Moves that stand already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chosen<'p> {
    /// Of other plans, which do not count against the limits of this one.
    pub before: &'p [Move],
    /// Of the same plan, which do.
    pub beside: &'p [Move],
}

/// The mesh as a space for the search. Units are replicas and places are nodes, by their indices in the twin.
#[derive(Clone, Debug)]
pub struct MeshSpace<'m, 'a> {
    pub(super) inputs: Inputs<'a>,
    pub(super) mesh: &'m MeshModel,
    pub(super) evaluation: Evaluation<'m>,
    pub(super) layout: Layout<'a>,
    /// How far the policies go that ask: nothing is moved that no policy of this mode is about.
    mode: Mode,
    bounds: Bounds<'m>,
    /// Replicas of moves that were chosen before, which stay where those put them, and where they were.
    taken: Vec<(ReplicaIx, NodeIx)>,
    /// Moves that were chosen for the same plan: they count against its limits.
    pub(super) beside: Vec<Move>,
    /// Policies that ask for a service to be placed anew: their guard rails hold for it.
    asked: BTreeMap<ServiceIx, &'a RelocationPolicy>,
    /// What was found out about each replica that was looked at.
    units: BTreeMap<ReplicaIx, Unit<'a>>,
    first: Vec<usize>,
    /// What is not at home, and what that takes up.
    away: BTreeMap<ReplicaIx, Step>,
    aims: Aims,
    /// Millicores of each replica, see [`MeshSpace::size`].
    sizes: Vec<f64>,
    /// Nodes by how full they will be, and by price.
    by_use: Vec<NodeIx>,
    by_price: Vec<NodeIx>,
}

impl<'m, 'a> MeshSpace<'m, 'a> {
    /// The present layout with the moves in flight and those that were chosen before on their targets.
    pub fn new(inputs: &Inputs<'a>, mesh: &'m MeshModel, mode: Mode, chosen: Chosen<'_>) -> Self {
        let mut evaluation = mesh.start();
        let mut layout = Layout::new(inputs);
        let mut taken = Vec::new();
        for planned in chosen.before.iter().chain(chosen.beside) {
            let target = planned.shift_to.as_ref().unwrap_or(&planned.replica);
            for end in [&planned.replica, target] {
                let replica = mesh.replica_ix(&planned.workload, end);
                taken.extend(replica.map(|replica| (replica, evaluation.node_of(replica))));
            }
            evaluation.carry_out(planned);
            if let Some(step) = layout.step_of(planned) {
                layout.begin(step);
            }
        }
        let bounds = Bounds::new(inputs, &evaluation);
        let (by_use, by_price) = targets::orders(inputs, &evaluation);
        Self {
            inputs: *inputs,
            mesh,
            evaluation,
            layout,
            mode,
            bounds,
            taken,
            beside: chosen.beside.to_vec(),
            asked: BTreeMap::new(),
            units: BTreeMap::new(),
            first: Vec::new(),
            away: BTreeMap::new(),
            aims: Aims::new(mesh.services()),
            sizes: (0..mesh.replicas()).map(|unit| size(inputs, mesh, unit)).collect(),
            by_use,
            by_price,
        }
    }

    /// The twin's view of the present layout of the search.
    pub const fn evaluation(&self) -> &Evaluation<'m> {
        &self.evaluation
    }

    /// Cost of the present layout of the search. Disruption is that of what is not at home.
    pub fn cost(&self) -> Cost {
        let moved = self.away.keys();
        // Not `sum`: that of nothing is minus 0.
        let disruption =
            moved.fold(0.0, |sum, unit| sum + self.units.get(unit).map_or(0.0, |unit| unit.disruption));
        let money = self.all_money();
        Cost {
            risk: self.evaluation.risk_cost() + self.aims.sum(),
            network: self.evaluation.network_cost() * self.inputs.settings.network,
            money,
            disruption,
        }
    }

    /// Cost of the layout in which nothing more is moved.
    pub fn staying_cost(&mut self) -> Cost {
        let moved = self.moved();
        for (unit, _) in &moved {
            let home = self.home_of(*unit);
            self.put(*unit, home);
        }
        let cost = self.cost();
        for (unit, to) in moved {
            self.put(unit, to);
        }
        cost
    }

    /// The twin at the layout in which nothing more is moved.
    pub(super) fn at_home(&self) -> Evaluation<'m> {
        let mut evaluation = self.evaluation.clone();
        for (unit, _) in self.moved() {
            evaluation.move_replica(unit, self.home_of(unit));
        }
        evaluation
    }

    /// Highest expected latency of each service in milliseconds when nothing more is moved.
    pub(super) fn expected_at_home(&self) -> Vec<Option<f64>> {
        let evaluation = self.at_home();
        (0..self.mesh.services()).map(|service| evaluation.worst_ms(service, MEDIAN)).collect()
    }

    /// The twin at the layout of the snapshot, as if no move were in flight or chosen before.
    pub(super) fn without_moves(&self) -> Evaluation<'m> {
        let mut evaluation = self.at_home();
        for moving in self.inputs.in_flight {
            let replica = self.mesh.replica_ix(&moving.workload, &moving.replica);
            if let Some((replica, from)) = replica.zip(self.mesh.node_ix(&moving.from)) {
                evaluation.move_replica(replica, from);
            }
        }
        for (replica, from) in &self.taken {
            evaluation.move_replica(*replica, *from);
        }
        evaluation
    }

    /// Expected latency of a service in milliseconds if a unit stood somewhere.
    pub(super) fn latency_there(&mut self, unit: ReplicaIx, node: NodeIx, service: ServiceIx) -> Option<f64> {
        self.evaluation.peek_with(unit, node, |then, _| then.worst_ms(service, MEDIAN))
    }

    /// Look-ahead of a replica's objective in milliseconds, 0 when nobody asked for it yet.
    pub(super) fn known_within_ms(&self, unit: ReplicaIx) -> i64 {
        self.units.get(&unit).map_or(0, |unit| unit.within_ms)
    }

    /// Replicas that are not at home, with where they are, in the order of their indices.
    pub fn moved(&self) -> Vec<(ReplicaIx, NodeIx)> {
        self.away.keys().map(|unit| (*unit, self.evaluation.node_of(*unit))).collect()
    }

    /// Lets the guard rails of a policy hold for a service, in place of those of the first policy that is about it.
    pub(super) fn ask(&mut self, service: ServiceIx, policy: &'a RelocationPolicy) {
        self.asked.insert(service, policy);
    }

    /// Units that the search begins with.
    pub(super) fn set_first(&mut self, mut units: Vec<usize>) {
        units.sort_unstable();
        units.dedup();
        self.first = units;
    }

    /// Whether the present layout may be: what may not be changed step by step may not be there in the end either.
    pub fn allowed(&self) -> bool {
        let mut nodes = self.away.keys().map(|unit| self.evaluation.node_of(*unit));
        nodes.all(|node| self.bounds.bears(&self.evaluation, node).is_ok())
            && (0..self.mesh.services()).all(|service| self.bounds.spares(&self.evaluation, service).is_ok())
    }

    /// What a node costs while a replica is on it that would leave it empty, or found it empty; else the share of it that
    /// the replica asks for or uses; in money per hour.
    pub(super) fn price(&self, unit: ReplicaIx, node: NodeIx, alone: bool) -> f64 {
        let (_, node) = self.layout.node(NodeIndex(node));
        let capacity = node.capacity.get();
        let share = if capacity > 0.0 { (self.size(unit) / capacity).min(1.0) } else { 1.0 };
        if alone { node.cost_per_hour } else { share * node.cost_per_hour }
    }

    /// What a replica adds to the money that its node costs, as requests at risk: a node that nothing of ours is on can be
    /// given back, so most of its price counts as long as anything is, and the rest by the shares that are asked for.
    pub(super) fn money(&self, unit: ReplicaIx, node: NodeIx) -> f64 {
        let others = self.evaluation.replicas_on(node).any(|other| other != unit);
        let by_share = BY_SHARE * self.price(unit, node, false);
        let occupied = if others { 0.0 } else { (1.0 - BY_SHARE) * self.price(unit, node, true) };
        (by_share + occupied) * self.inputs.settings.requests_per_money
    }

    /// What all nodes cost, as requests at risk.
    fn all_money(&self) -> f64 {
        let of_node = |node: NodeIx| {
            let (_, described) = self.layout.node(NodeIndex(node));
            let mut units = self.evaluation.replicas_on(node).peekable();
            let occupied =
                if units.peek().is_some() { (1.0 - BY_SHARE) * described.cost_per_hour } else { 0.0 };
            units.fold(occupied, |sum, unit| sum + BY_SHARE * self.price(unit, node, false))
        };
        let sum = (0..self.mesh.nodes()).fold(0.0, |sum, node| sum + of_node(node));
        sum * self.inputs.settings.requests_per_money
    }

    /// Millicores of a replica: what it asks for, or, where it uses more or asks for nothing, what it uses now.
    pub(super) fn size(&self, unit: ReplicaIx) -> f64 {
        self.sizes[unit]
    }

    /// Where a replica stands when nothing more is moved.
    pub(super) fn home_of(&self, unit: ReplicaIx) -> NodeIx {
        self.bounds.homes[unit] as usize
    }

    /// What is to be reached, beyond less risk.
    pub(super) fn set_aims(&mut self, aims: Vec<Aim>) {
        self.aims.set(aims, &self.evaluation);
    }

    /// Weight of a replica against the others of its service, as the platform stores it.
    pub(super) fn weight_of(&self, unit: ReplicaIx) -> u32 {
        self.evaluation.weight_of(unit) as u32
    }

    /// Service of a replica.
    pub(super) fn service_of(&self, unit: ReplicaIx) -> ServiceIx {
        self.mesh.service_of(unit)
    }
}

fn size(inputs: &Inputs<'_>, mesh: &MeshModel, unit: ReplicaIx) -> f64 {
    let Some(workload) = inputs.snapshot.workloads.get(mesh.replica(unit).0) else { return 0.0 };
    let part = workload.replicas.get(mesh.replica(unit).1).map_or(1.0, |replica| workload.share_of(replica));
    let used = workload.used.map_or(0.0, |used| used.get() * part);
    workload.requests.cpu_millicores.unwrap_or(0.0).max(used)
}

impl Space for MeshSpace<'_, '_> {
    fn first(&self) -> &[usize] {
        &self.first
    }

    fn home(&self, unit: usize) -> usize {
        self.bounds.homes[unit] as usize
    }

    fn place(&self, unit: usize) -> usize {
        self.evaluation.node_of(unit)
    }

    fn targets(&mut self, unit: usize) -> Vec<usize> {
        self.known(unit).targets.clone()
    }

    fn standing_on(&self, place: usize) -> Vec<usize> {
        self.evaluation.replicas_on(place).collect()
    }

    fn load(&self, unit: usize) -> f64 {
        self.size(unit)
    }

    fn disruption(&self, unit: usize) -> f64 {
        self.units.get(&unit).map_or(f64::MAX, |unit| unit.disruption)
    }

    fn peek(&mut self, unit: usize, place: usize) -> Option<f64> {
        self.judge(unit, place).ok()
    }

    fn put(&mut self, unit: usize, place: usize) {
        if self.place(unit) == place {
            return;
        }
        if let Some(step) = self.away.remove(&unit) {
            self.layout.take_back(step);
        }
        if place != self.home(unit) {
            let step = self.step(unit, place);
            self.layout.begin(step);
            self.away.insert(unit, step);
        }
        self.evaluation.move_replica(unit, place);
        self.aims.renew(&self.evaluation);
    }
}
