//! Nodes, and what runs on them besides.
use super::{ZONE_LABEL, world::World};
use crate::{
    objects::{Node as Written, Pod, Quantity, effect},
    usage::Usage,
};
use foremesh_core::{
    ids::{NodeId, Zone},
    topology::{Besides, Effect, Node, NodeState, Taint},
    units::Millicores,
};
use std::collections::BTreeMap;

/// Price of a node in money per hour, as its owner writes it.
const COST: &str = "foremesh.dev/cost-per-hour";

/// All nodes by name.
pub(super) fn nodes(world: &World<'_>, usage: &Usage) -> BTreeMap<NodeId, Node> {
    let node = |(name, written): (&&str, &&Written)| {
        let besides = world.besides.get(name).map_or(&[][..], Vec::as_slice);
        let used = usage.node(name).and_then(|used| Millicores::new(used).ok());
        let described = described(written)?;
        Some((NodeId::new(*name), Node { used, besides: sum(besides), ..described }))
    };
    world.nodes.iter().filter_map(node).collect()
}

fn described(written: &Written) -> Option<Node> {
    let allocatable = &written.status.allocatable;
    let cpu = allocatable.cpu.and_then(|cpu| Millicores::new(cpu.millicores()).ok());
    let mut node = Node::new(cpu.or_else(|| Millicores::new(0.0).ok())?);
    node.memory_bytes = allocatable.memory.map(Quantity::get);
    node.replica_limit = allocatable.pods.map(|pods| pods.get() as u32);
    node.zone = written.meta.labels.get(ZONE_LABEL).map(|zone| Zone::new(zone.clone()));
    node.labels.clone_from(&written.meta.labels);
    node.taints = written.spec.taints.iter().map(taint).collect();
    node.cost_per_hour = written
        .meta
        .annotations
        .get(COST)
        .and_then(|cost| cost.parse().ok())
        .filter(|cost: &f64| cost.is_finite() && *cost >= 0.0)
        .unwrap_or(0.0);
    node.state = state(written, cpu.is_some());
    Some(node)
}

fn taint(written: &crate::objects::NodeTaint) -> Taint {
    Taint {
        key: written.key.clone(),
        value: written.value.clone(),
        // An effect that is not known keeps replicas away.
        effect: effect(&written.effect).unwrap_or(Effect::NoSchedule),
    }
}

fn state(written: &Written, has_cpu: bool) -> NodeState {
    let ready = written.status.conditions.iter().find(|condition| condition.of == "Ready");
    let Some(ready) = ready else {
        return NodeState::Unreachable("it does not say whether it is ready".to_owned());
    };
    if ready.status != "True" {
        let why = [ready.reason.as_str(), ready.message.as_str()];
        let why: Vec<&str> = why.into_iter().filter(|text| !text.is_empty()).collect();
        return NodeState::Unreachable(format!(
            "its condition Ready is {}: {}",
            ready.status,
            why.join(", ")
        ));
    }
    if written.meta.terminating {
        return NodeState::Unreachable("it is being deleted".to_owned());
    }
    if !has_cpu {
        return NodeState::Unreachable("it does not say how much CPU it has".to_owned());
    }
    if written.spec.unschedulable { NodeState::Cordoned } else { NodeState::Ready }
}

fn sum(pods: &[&Pod]) -> Besides {
    let mut besides = Besides::NOTHING;
    let add = |sum: &mut Option<f64>, own: Option<f64>| {
        if let Some(own) = own {
            *sum = Some(sum.unwrap_or(0.0) + own);
        }
    };
    for pod in pods {
        add(&mut besides.requests.cpu_millicores, pod.requested.cpu);
        add(&mut besides.requests.memory_bytes, pod.requested.memory);
        besides.replicas += 1;
        besides.host_ports.extend(&pod.host_ports);
    }
    besides
}
