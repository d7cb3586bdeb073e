//! What a node is, against what a workload demands of any node: nothing here depends on what else runs.
use crate::{
    ids::NodeId,
    plan::RejectionReason,
    topology::{Effect, Node, NodeState, TopologyKey, Workload},
};

/// Whether the node would take a replica of the workload if it were empty.
///
/// # Errors
/// The first condition that does not hold, in the order in which an operator would want to know.
pub fn admits(workload: &Workload, id: &NodeId, node: &Node) -> Result<(), RejectionReason> {
    match &node.state {
        NodeState::Ready => {}
        NodeState::Cordoned => return Err(RejectionReason::Cordoned),
        NodeState::Unreachable(detail) => {
            return Err(RejectionReason::Unreachable { detail: detail.clone() });
        }
    }
    selected(workload, id, node)?;
    let kept_out = |taint: &&crate::topology::Taint| {
        taint.effect != Effect::PreferNoSchedule
            && !workload.scheduling.tolerations.iter().any(|toleration| toleration.tolerates(taint))
    };
    if let Some(taint) = node.taints.iter().find(kept_out) {
        return Err(RejectionReason::Tainted { taint: taint.to_string() });
    }
    reachable(workload, id, node)
}

/// Whether the workload may run on nodes like this one: by name and by label.
pub(super) fn selected(workload: &Workload, id: &NodeId, node: &Node) -> Result<(), RejectionReason> {
    if !workload.allowed_nodes.is_empty() && !workload.allowed_nodes.contains(id) {
        return Err(RejectionReason::NotAllowed);
    }
    let broken =
        |requirement: &&crate::topology::Requirement| !requirement.holds(node.labels.get(&requirement.key));
    match workload.scheduling.requires.iter().find(broken) {
        None => Ok(()),
        Some(requirement) => Err(RejectionReason::LabelMismatch {
            requirement: requirement.to_string(),
            label: requirement.key.clone(),
            actual: node.labels.get(&requirement.key).cloned(),
        }),
    }
}

/// Whether every volume can be reached from there.
fn reachable(workload: &Workload, id: &NodeId, node: &Node) -> Result<(), RejectionReason> {
    for volume in &workload.scheduling.volumes {
        let elsewhere = |over, domain: &str| RejectionReason::VolumeElsewhere {
            volume: volume.name.clone(),
            over,
            domain: domain.to_owned(),
        };
        if !volume.nodes.is_empty() && !volume.nodes.contains(id.as_str()) {
            return Err(elsewhere(TopologyKey::Node, id.as_str()));
        }
        if volume.zones.is_empty() {
            continue;
        }
        let Some(zone) = &node.zone else {
            return Err(RejectionReason::ZoneUnknown { bound: format!("volume `{}`", volume.name) });
        };
        if !volume.zones.contains(zone.as_str()) {
            return Err(elsewhere(TopologyKey::Zone, zone.as_str()));
        }
    }
    Ok(())
}

/// Whether the node asks not to be used where another can be: a reason to prefer others, never one to refuse.
pub fn discouraged(workload: &Workload, node: &Node) -> bool {
    node.taints.iter().any(|taint| {
        taint.effect == Effect::PreferNoSchedule
            && !workload.scheduling.tolerations.iter().any(|toleration| toleration.tolerates(taint))
    })
}
