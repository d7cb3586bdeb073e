//! Whether a replica can run on a node: hard conditions first, then what the twin says.
//!
//! [`movable`] says whether a workload can be moved at all; [`Mover`] judges one replica of it against one node after
//! the other. Both look at a [`Layout`], so that moves are judged together.
mod admits;
mod movable;
mod neighbours;
mod requested;
mod spreading;
#[cfg(test)]
mod tests;

pub use admits::{admits, discouraged};
pub use movable::{Immovable, movable};

use super::layout::{Layout, NodeIndex, WorkloadIndex};
use crate::{
    ids::{NodeId, ReplicaId, WorkloadId},
    inputs::Inputs,
    plan::RejectionReason,
    policy::{Margin, PredictedLatency},
    topology::{NodeState, Workload},
    twin::{Commitments, MEDIAN, Own, Path, UPPER, WorkloadModel},
};

/// One workload, ready to be judged against many nodes. It is made again when the layout changes.
#[derive(Clone, Debug)]
pub struct Mover<'l, 'a> {
    layout: &'l Layout<'a>,
    workload: WorkloadIndex,
    spreads: Vec<spreading::Spreading>,
}

impl<'l, 'a> Mover<'l, 'a> {
    /// Counts once what all nodes are judged by.
    pub fn new(layout: &'l Layout<'a>, workload: WorkloadIndex) -> Self {
        let (_, described) = layout.workload(workload);
        let counted = |spread: &_| spreading::Spreading::new(layout, workload, *spread);
        Self { layout, workload, spreads: described.scheduling.spread.iter().map(counted).collect() }
    }

    /// Whether one replica can go from a node to another, by everything but CPU in use and latency, which are the
    /// twin's to judge. Memory is judged as forecast for the next `within_ms` milliseconds.
    ///
    /// # Errors
    /// The first condition that does not hold. Nothing is allocated unless there is one.
    pub fn feasible(&self, from: NodeIndex, to: NodeIndex, within_ms: i64) -> Result<(), RejectionReason> {
        if from == to {
            return Err(RejectionReason::IsSource);
        }
        let (id, node) = self.layout.node(to);
        let (_, workload) = self.layout.workload(self.workload);
        admits(workload, id, node)?;
        neighbours::bearable(self.layout, self.workload, from, to)?;
        for spread in &self.spreads {
            spread.allows(self.layout, self.workload, from, to)?;
        }
        requested::room(self.layout, self.workload, to)?;
        requested::memory_ahead(self.layout, self.workload, to, within_ms)
    }
}

/// What a workload at risk asks of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand<'d, 'a> {
    pub(crate) workload: &'d WorkloadId,
    pub(crate) model: &'d WorkloadModel<'a>,
    pub(crate) rule: &'d PredictedLatency,
    pub(crate) margin: Margin,
}

/// A node that can take the replica.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fit {
    /// Highest expected latency there, in milliseconds.
    pub(super) move_ms: f64,
    /// Probability of a breach there.
    pub(super) breach: f64,
}

/// Whether a replica can go to a node, and why not.
pub(super) fn fits(
    inputs: &Inputs<'_>,
    demand: &Demand<'_, '_>,
    (replica, from): (&ReplicaId, &NodeId),
    to: &NodeId,
    stay_ms: f64,
    commitments: &Commitments<'_>,
) -> Result<Fit, RejectionReason> {
    if from == to {
        return Err(RejectionReason::IsSource);
    }
    takes(inputs, &inputs.snapshot.workloads[demand.workload], replica, to)?;
    let within_ms = demand.rule.within_ms;
    room(inputs, demand.model, to, commitments, within_ms)?;
    let path = path_there(inputs, demand, to, commitments, MEDIAN)?;
    let objective_ms = demand.rule.above_ms;
    let move_ms = path
        .worst_ms()
        .ok_or_else(|| RejectionReason::WouldSaturate { utilisation: path.highest_utilisation() })?;
    let limit_ms = objective_ms * (1.0 - demand.margin.target);
    if move_ms > limit_ms {
        return Err(RejectionReason::WouldBreachThere { predicted_ms: move_ms, limit_ms });
    }
    if move_ms > stay_ms * (1.0 - demand.margin.gain) {
        return Err(RejectionReason::NoGain { predicted_ms: move_ms, stay_ms });
    }
    let breach = demand
        .model
        .breach_probability(inputs, to, Own::Added, commitments, within_ms, objective_ms)
        .map_err(|_| RejectionReason::UsageUnknown)?;
    Ok(Fit { move_ms, breach: breach.get() })
}

fn path_there(
    inputs: &Inputs<'_>,
    demand: &Demand<'_, '_>,
    to: &NodeId,
    commitments: &Commitments<'_>,
    level: usize,
) -> Result<Path, RejectionReason> {
    let within_ms = demand.rule.within_ms;
    let path = demand.model.path(inputs, to, Own::Added, commitments, within_ms, level);
    path.map_err(|_| RejectionReason::UsageUnknown)
}

/// Whether the node takes this replica at all, whatever the load.
pub(crate) fn takes(
    inputs: &Inputs<'_>,
    workload: &Workload,
    replica: &ReplicaId,
    to: &NodeId,
) -> Result<(), RejectionReason> {
    let Some(node) = inputs.snapshot.nodes.get(to) else {
        return Err(RejectionReason::Unreachable { detail: "not in the snapshot".to_owned() });
    };
    match &node.state {
        NodeState::Ready => {}
        NodeState::Cordoned => return Err(RejectionReason::Cordoned),
        NodeState::Unreachable(detail) => {
            return Err(RejectionReason::Unreachable { detail: detail.clone() });
        }
    }
    if !workload.allowed_nodes.is_empty() && !workload.allowed_nodes.contains(to) {
        return Err(RejectionReason::NotAllowed);
    }
    if workload.replicas.iter().any(|(other, placed)| other != replica && placed.node == *to) {
        return Err(RejectionReason::HoldsReplica);
    }
    Ok(())
}

/// Whether the node keeps its headroom at the level that capacity is planned for.
pub(crate) fn room(
    inputs: &Inputs<'_>,
    model: &WorkloadModel<'_>,
    to: &NodeId,
    commitments: &Commitments<'_>,
    within_ms: i64,
) -> Result<(), RejectionReason> {
    let path = model
        .path(inputs, to, Own::Added, commitments, within_ms, UPPER)
        .map_err(|_| RejectionReason::UsageUnknown)?;
    let Some(node) = inputs.snapshot.nodes.get(to) else { return Err(RejectionReason::UsageUnknown) };
    let most = inputs.settings.max_utilisation;
    let utilisation = path.highest_utilisation();
    if utilisation > most {
        let needed_millicores = model.highest_load(inputs, within_ms);
        // What is left below the headroom line, before this replica.
        let capacity = node.capacity.get();
        let free = (most - utilisation) * capacity + needed_millicores;
        let free_millicores = free.clamp(0.0, (most * capacity).max(0.0));
        return Err(RejectionReason::NotEnoughCpu { needed_millicores, free_millicores });
    }
    Ok(())
}
