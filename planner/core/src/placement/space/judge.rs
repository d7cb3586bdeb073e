//! What a change costs, and why it may not be.
use super::{MeshSpace, Unit, own_limits::OwnLimits};
use crate::{
    inputs::Inputs,
    placement::{
        constraint::Mover,
        layout::{NodeIndex, Step},
        search::Space,
    },
    plan::RejectionReason,
    twin::{Evaluation, MEDIAN, MeshModel, NodeIx, ReplicaIx, ServiceIx, UPPER},
};

/// What sums of many small numbers may be off by, as a share.
const ROUNDING: f64 = 1e-4;

/// The highest expected latency that a service may come to by what others do: its objective, or what it comes to
/// anyway.
pub(super) fn ceiling(mesh: &MeshModel, evaluation: &Evaluation<'_>, service: ServiceIx) -> f64 {
    let Some(objective) = mesh.objective(service).filter(|_| mesh.service_unknown(service).is_none()) else {
        return f64::INFINITY;
    };
    evaluation.worst_ms(service, MEDIAN).map_or(f64::INFINITY, |ms| ms.max(objective.above_ms))
}

/// What no layout may break, by the twin.
#[derive(Clone, Debug)]
pub(super) struct Bounds<'m> {
    mesh: &'m MeshModel,
    /// Where each replica stands when nothing more is moved.
    pub(super) homes: Vec<u32>,
    /// Highest expected latency that each service may come to by what others do, in milliseconds.
    ceilings: Vec<f64>,
    max_utilisation: f64,
}

impl<'m> Bounds<'m> {
    pub(super) fn new(inputs: &Inputs<'_>, evaluation: &Evaluation<'m>) -> Self {
        let mesh = evaluation.mesh();
        Self {
            mesh,
            homes: (0..mesh.replicas()).map(|replica| evaluation.node_of(replica) as u32).collect(),
            ceilings: (0..mesh.services()).map(|service| ceiling(mesh, evaluation, service)).collect(),
            max_utilisation: inputs.settings.max_utilisation,
        }
    }

    /// Whether a node keeps its headroom.
    ///
    /// # Errors
    /// The share that would be in use.
    pub(super) fn bears(&self, evaluation: &Evaluation<'_>, node: NodeIx) -> Result<(), f64> {
        bears(evaluation, node, self.max_utilisation)
    }

    /// Whether a service is not pushed into a breach.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn spares(
        &self,
        evaluation: &Evaluation<'_>,
        service: ServiceIx,
    ) -> Result<(), RejectionReason> {
        let ceiling = self.ceilings[service];
        if ceiling == f64::INFINITY {
            return Ok(());
        }
        let ms = evaluation.worst_ms(service, MEDIAN).unwrap_or(f64::INFINITY);
        if ms <= ceiling * (1.0 + ROUNDING) {
            return Ok(());
        }
        let objective_ms = self.mesh.objective(service).map_or(0.0, |objective| objective.above_ms);
        Err(RejectionReason::WouldHarm {
            service: self.mesh.service(service).clone(),
            predicted_ms: ms,
            objective_ms,
        })
    }

    fn holds_guests(&self, evaluation: &Evaluation<'_>, node: NodeIx) -> bool {
        evaluation.replicas_on(node).any(|unit| self.homes[unit] as usize != node)
    }
}

/// Whether no more than a share of a node's CPU will be in use.
fn bears(evaluation: &Evaluation<'_>, node: NodeIx, most: f64) -> Result<(), f64> {
    let used = evaluation.highest_use(node, UPPER);
    if used <= most * (1.0 + ROUNDING) { Ok(()) } else { Err(used) }
}

fn too_full(capacity: f64, most: f64, before: f64, then: f64) -> RejectionReason {
    if !then.is_finite() {
        return RejectionReason::UsageUnknown;
    }
    if then >= 1.0 {
        return RejectionReason::WouldSaturate { utilisation: then };
    }
    RejectionReason::NotEnoughCpu {
        needed_millicores: (then - before) * capacity,
        free_millicores: ((most - before) * capacity).max(0.0),
    }
}

impl MeshSpace<'_, '_> {
    /// Change of the cost when a unit goes somewhere.
    ///
    /// # Errors
    /// The first condition that does not hold.
    pub(in crate::placement) fn judge(&mut self, unit: usize, to: usize) -> Result<f64, RejectionReason> {
        let (from, home) = (self.place(unit), self.home(unit));
        if from == to {
            return Ok(0.0);
        }
        if to != home {
            self.takes(unit, to)?;
        }
        let disruption = self.known(unit).disruption;
        let disrupted = match (from == home, to == home) {
            (true, _) => disruption,
            (_, true) => -disruption,
            _ => 0.0,
        };
        let money = self.money(unit, to) - self.money(unit, from);
        let before = self.evaluation.highest_use(to, UPPER);
        let network = self.inputs.settings.network;
        let (_, node) = self.layout.node(NodeIndex(to));
        let capacity = node.capacity.get();
        let most = self.bounds.max_utilisation.min(self.known(unit).limits.on(capacity));
        let (bounds, aims) = (&self.bounds, &self.aims);
        let has_room = |then: &Evaluation<'_>| {
            if to != home || bounds.holds_guests(then, to) {
                let most = if to == home { bounds.max_utilisation } else { most };
                bears(then, to, most).map_err(|use_then| too_full(capacity, most, before, use_then))?;
            }
            Ok(())
        };
        let spares = |then: &Evaluation<'_>, service| bounds.spares(then, service);
        self.evaluation.peek_if(unit, to, has_room, spares, |then, delta| {
            delta.risk + aims.change(then) + delta.network * network + money + disrupted
        })
    }

    /// Highest share of a node's CPU that may be in use with more of a replica's requests on it.
    pub(in crate::placement) fn most_for(&self, unit: ReplicaIx, node: NodeIx) -> f64 {
        let service = self.mesh.service(self.service_of(unit));
        let (_, described) = self.layout.node(NodeIndex(node));
        let own = OwnLimits::of(self.inputs.policies, service).on(described.capacity.get());
        self.bounds.max_utilisation.min(own) * (1.0 + ROUNDING)
    }

    /// Whether a service is not pushed into a breach.
    pub(in crate::placement) fn spares(&self, service: ServiceIx) -> bool {
        self.bounds.spares(&self.evaluation, service).is_ok()
    }

    /// What of the cost of the present layout depends on where requests go.
    pub(in crate::placement) fn swayed(&self) -> f64 {
        self.evaluation.risk_cost() + self.evaluation.network_cost() * self.inputs.settings.network
    }

    /// Whether the node takes it, by everything but CPU in use and latency.
    pub(in crate::placement) fn takes(&mut self, unit: usize, to: usize) -> Result<(), RejectionReason> {
        if self.mesh.node_unknown(to).is_some() {
            return Err(RejectionReason::UsageUnknown);
        }
        let Unit { workload, within_ms, .. } = *self.known(unit);
        let own = self.away.get(&unit).copied();
        if let Some(step) = own {
            self.layout.take_back(step);
        }
        let from = NodeIndex(self.home(unit));
        let taken = Mover::new(&self.layout, workload).feasible(from, NodeIndex(to), within_ms);
        if let Some(step) = own {
            self.layout.begin(step);
        }
        taken.or_else(|why| if self.freed(unit, to, &why) { Ok(()) } else { Err(why) })
    }

    /// Whether what leaves the node makes the room that is missing; the plan then waits with this move until it has.
    fn freed(&self, unit: usize, to: usize, why: &RejectionReason) -> bool {
        let asks = |unit: ReplicaIx| {
            let (workload, _) = self.mesh.replica(unit);
            self.inputs.snapshot.workloads.get(workload).map(|workload| workload.requests).unwrap_or_default()
        };
        let leaving = || self.away.keys().filter(|other| **other != unit && self.home(**other) == to);
        match why {
            RejectionReason::NotEnoughCpuRequested { needed_millicores, free_millicores, .. } => {
                let freed: f64 = leaving().filter_map(|other| asks(*other).cpu_millicores).sum();
                freed > 0.0 && *needed_millicores <= free_millicores + freed
            }
            RejectionReason::NotEnoughMemoryRequested { needed_bytes, free_bytes, .. } => {
                let freed: f64 = leaving().filter_map(|other| asks(*other).memory_bytes).sum();
                freed > 0.0 && *needed_bytes <= free_bytes + freed
            }
            _ => false,
        }
    }

    /// What a unit takes up on its way to a place.
    pub(super) fn step(&self, unit: usize, to: usize) -> Step {
        let workload = self.units.get(&unit).map(|unit| unit.workload);
        let workload = workload.unwrap_or_else(|| super::units::workload_of(&self.layout, self.mesh, unit));
        Step { workload, from: Some(NodeIndex(self.home(unit))), to: NodeIndex(to) }
    }
}
