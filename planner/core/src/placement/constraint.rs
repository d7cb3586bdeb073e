//! Whether a replica can run on a node: hard conditions first, then what the twin says.
use crate::{
    ids::{NodeId, ReplicaId, WorkloadId},
    inputs::Inputs,
    plan::RejectionReason,
    policy::{Margin, PredictedLatency},
    topology::{NodeState, Workload},
    twin::{Commitments, MEDIAN, Own, Path, UPPER, WorkloadModel},
};

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
