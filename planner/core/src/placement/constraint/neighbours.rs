//! What else runs there: conditions between replicas, and what they hold for themselves.
use crate::{
    placement::layout::{Layout, NodeIndex, WorkloadIndex},
    plan::RejectionReason,
    topology::TopologyKey,
};

/// Whether the replicas that are there, or on their way, let one more of this workload be there.
pub(super) fn bearable(
    layout: &Layout<'_>,
    workload: WorkloadIndex,
    from: NodeIndex,
    to: NodeIndex,
) -> Result<(), RejectionReason> {
    of_itself(layout, workload, from, to)?;
    let slot = &layout.workloads[workload.0];
    for (other, over) in &slot.apart_from {
        if layout.count(*other, *over, to).present() > 0 {
            let other = layout.workloads[other.0].id.to_string();
            return Err(RejectionReason::NotWith { other, over: *over, domain: domain(layout, *over, to) });
        }
    }
    for (other, over) in &slot.workload.scheduling.only_with {
        let beside = layout.named(other).is_some_and(|other| layout.count(other, *over, to).staying() > 0);
        if !beside {
            let (other, domain) = (other.clone(), domain(layout, *over, to));
            return Err(RejectionReason::NotBeside { other, over: *over, domain });
        }
    }
    company_stays(layout, workload, from, to)?;
    ports(layout, workload, to)
}

/// Whoever must be with this workload is not left alone where the replica leaves. One that leaves as well is there until
/// its own move is over.
fn company_stays(
    layout: &Layout<'_>,
    workload: WorkloadIndex,
    from: NodeIndex,
    to: NodeIndex,
) -> Result<(), RejectionReason> {
    for (other, over) in &layout.workloads[workload.0].needed_by {
        let source = layout.domain(*over, from);
        let leaves = source.is_some() && source != layout.domain(*over, to);
        let last = layout.count(workload, *over, from).staying() <= 1;
        if leaves && last && layout.count(*other, *over, from).present() > 0 {
            let other = layout.workloads[other.0].id.to_string();
            return Err(RejectionReason::LeavesAlone {
                other,
                over: *over,
                domain: domain(layout, *over, from),
            });
        }
    }
    Ok(())
}

/// The replica that moves counts where it is: it still runs when its successor starts, and a scheduler sees both.
fn of_itself(
    layout: &Layout<'_>,
    workload: WorkloadIndex,
    from: NodeIndex,
    to: NodeIndex,
) -> Result<(), RejectionReason> {
    let scheduling = &layout.workloads[workload.0].workload.scheduling;
    for over in &scheduling.apart {
        if layout.count(workload, *over, to).present() > 0 {
            return Err(RejectionReason::NotApart { over: *over, domain: domain(layout, *over, to) });
        }
    }
    let there = layout.count(workload, TopologyKey::Node, to).present();
    if let Some(limit) = scheduling.max_per_node.filter(|limit| there >= *limit) {
        return Err(RejectionReason::ReplicaLimit { on_node: there, limit });
    }
    // Without such a condition too, a move does not put more of them on one node than are on its source: they would
    // fail together.
    if there > 0 && there >= layout.count(workload, TopologyKey::Node, from).present() {
        return Err(RejectionReason::HoldsReplica);
    }
    Ok(())
}

fn ports(layout: &Layout<'_>, workload: WorkloadIndex, to: NodeIndex) -> Result<(), RejectionReason> {
    let slot = &layout.nodes[to.0];
    for port in &layout.workloads[workload.0].workload.scheduling.host_ports {
        if slot.node.besides.host_ports.contains(port) {
            let by = "something beside the workloads".to_owned();
            return Err(RejectionReason::PortTaken { port: *port, by });
        }
        if let Some((_, holder)) = slot.ports.iter().find(|(held, _)| held == port) {
            let by = format!("workload `{}`", layout.workloads[holder.0].id);
            return Err(RejectionReason::PortTaken { port: *port, by });
        }
    }
    Ok(())
}

fn domain(layout: &Layout<'_>, over: TopologyKey, node: NodeIndex) -> String {
    layout.domain(over, node).unwrap_or_default().to_owned()
}
