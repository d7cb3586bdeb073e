//! What is refused before anything is changed, by what the planner's snapshot knows.
//!
//! A disruption budget that allows no disruption is no obstacle. It is asked by evictions, and none happens here: the new
//! replica is ready before the number of replicas is lowered by one, so at every moment at least as many are well as
//! before. With `minAvailable: 1` and one replica a budget allows no disruption for ever, and the replica can be moved all
//! the same. What is refused is a budget that is broken already: something is unwell, and nothing is moved on top of it.
use super::error::{RelocateError, Why};
use foremesh_core::{
    ids::{NodeId, WorkloadId},
    inputs::OwnedInputs,
    placement::{
        constraint::{Immovable, Mover, movable},
        layout::Layout,
    },
    plan::RejectionReason,
    topology::Snapshot,
};

/// Whether the workload can be moved to the node, from at least one of the nodes that it is on.
///
/// # Errors
/// Why not.
pub(super) fn check(snapshot: &Snapshot, id: &WorkloadId, to: &NodeId) -> Result<(), RelocateError> {
    let Some(workload) = snapshot.workloads.get(id) else {
        let problem = "it is not among the workloads that were read of the cluster";
        let remedy = "see that its namespace is opted in, and that it is a Deployment";
        return Err(RelocateError::new(Why::NotFound, format!("workload `{id}`"), problem, remedy));
    };
    if !snapshot.nodes.contains_key(to) {
        let problem = "there is no such node";
        return Err(RelocateError::new(
            Why::NoNode,
            format!("node `{to}`"),
            problem,
            "name one that is there",
        ));
    }
    let owned = OwnedInputs::new(snapshot.clone());
    let inputs = owned.borrow();
    let layout = Layout::new(&inputs);
    let (Some(index), Some(target)) = (layout.workload_index(id), layout.node_index(to)) else {
        return Ok(());
    };
    movable(&layout, index).map_err(|reason| {
        let (problem, remedy) = (reason.to_string(), remedy_of(&reason).to_owned());
        RelocateError::new(Why::Immovable(Box::new(reason)), format!("workload `{id}`"), problem, remedy)
    })?;
    let mover = Mover::new(&layout, index);
    let mut refused = None;
    for from in workload.replicas.values().filter_map(|replica| layout.node_index(&replica.node)) {
        match mover.feasible(from, target, 0) {
            Ok(()) => return Ok(()),
            Err(reason) => refused = Some(reason),
        }
    }
    let Some(reason) = refused else { return Ok(()) };
    let object = format!("workload `{id}` to node `{to}`");
    let (problem, remedy) = (reason.to_string(), remedy_at(&reason).to_owned());
    Err(RelocateError::new(Why::Rejected(Box::new(reason)), object, problem, remedy))
}

fn remedy_of(reason: &Immovable) -> &'static str {
    match reason {
        Immovable::Pinned { .. } => "ask who pinned it, or take the reason away",
        Immovable::NoReplicas | Immovable::NotReady { .. } => "see that all of its replicas are ready first",
        Immovable::Changing { .. } | Immovable::Scaling { .. } => "let the change end",
        Immovable::AutoscalerAtLimit { .. } => "raise maxReplicas of its autoscaler by one",
        Immovable::ExclusiveVolume { .. } => {
            "keep it where it is, or give it a volume that several nodes can hold"
        }
        Immovable::NoSurge { .. } => {
            "keep it where it is; only replicas that can have a successor beside them are moved"
        }
        Immovable::BudgetSpent { .. } => "see why replicas of its disruption budget are not well",
        Immovable::QuotaSpent { .. } => "leave room for one replica more in the quota",
    }
}

fn remedy_at(reason: &RejectionReason) -> &'static str {
    match reason {
        RejectionReason::Cordoned => "uncordon the node, or choose another",
        RejectionReason::Unreachable { .. } => "see why the node is not ready, or choose another",
        RejectionReason::Tainted { .. } => "let the workload tolerate the taint, or choose another node",
        RejectionReason::PortTaken { .. } => "free the port of the node, or choose another node",
        _ => "choose another node",
    }
}
