//! Services with their tasks as workloads with their replicas.
use super::{Objects, constraints, nodes::architecture, replica_id};
use crate::{
    described::Described,
    mapping::Names,
    objects::{Platform, Service, Task},
};
use foremesh_core::{
    ids::{NodeId, ReplicaId, ServiceId},
    topology::{Replica, Requests, Scheduling, Tier, TopologyKey, Workload},
    units::Millicores,
};
use std::collections::{BTreeMap, BTreeSet};

/// One service. `surges` are the tasks that stand for replicas of it while they move, by the replica's name.
pub(super) fn workload(
    objects: &Objects,
    names: &Names,
    service: &Service,
    described: &Described,
    surges: BTreeMap<ReplicaId, Replica>,
) -> Workload {
    let own: Vec<&Task> = objects
        .tasks
        .iter()
        .filter(|task| task.service_id == service.id && task.wanted() && !task.node_id.is_empty())
        .collect();
    let mut replicas = surges;
    let moves = !replicas.is_empty();
    for task in &own {
        let node = names.name(&task.node_id);
        let replica = Replica::new(node.clone(), ready(objects, task));
        replicas.insert(replica_id(&described.name, task.slot, &node), replica);
    }
    let mut scheduling = Scheduling::default();
    let pinned = bound(objects, names, service, described, &own, &mut scheduling);
    if !moves {
        scheduling.changing = changing(objects, service, described, &own);
    }
    let limits = described.resources();
    let reserved = &limits.reservations;
    let cpus = |nano: i64| (nano > 0).then_some(nano as f64 / 1e6);
    Workload {
        tier: described.tier().unwrap_or(Tier::Standard),
        allowed_nodes: allowed(objects, names, &described.placement().platforms),
        replicas,
        pinned: pinned.err(),
        namespace: described.stack().map(str::to_owned),
        requests: Requests {
            cpu_millicores: cpus(reserved.nano_cpus),
            memory_bytes: (reserved.memory_bytes > 0).then_some(reserved.memory_bytes as f64),
        },
        cpu_limit: cpus(limits.limits.nano_cpus).and_then(|cpus| Millicores::new(cpus).ok()),
        scheduling,
        ..Workload::new(ServiceId::from(described.name.as_str()))
    }
}

/// It runs on a node that answers: of one that does not, Swarm says what it knew last.
pub(super) fn ready(objects: &Objects, task: &Task) -> bool {
    let node = objects.nodes.iter().find(|node| node.id == task.node_id);
    task.runs() && node.is_some_and(crate::objects::Node::answers)
}

/// What binds it to places goes into `scheduling`; what the planner cannot say there, or never moves, is the error.
fn bound(
    objects: &Objects,
    names: &Names,
    service: &Service,
    described: &Described,
    own: &[&Task],
    scheduling: &mut Scheduling,
) -> Result<(), String> {
    let placement = described.placement();
    scheduling.host_ports = described.host_ports();
    scheduling.max_per_node = Some(placement.max_replicas).filter(|limit| *limit > 0);
    if described.replicas().is_some_and(|wanted| wanted > 1) {
        // While one is handed over, Swarm is told that a node takes one: nothing else says where a single task goes.
        scheduling.apart.insert(TopologyKey::Node);
    }
    described.movable(&objects.networks)?;
    for written in &placement.constraints {
        scheduling.requires.push(constraints::requirement(written)?);
    }
    if !placement.platforms.is_empty() && allowed(objects, names, &placement.platforms).is_empty() {
        return Err("no node has a platform that its image is built for".to_owned());
    }
    if let Some(status) = service.update_status.as_ref().filter(|status| status.state.contains("paused")) {
        return Err(format!(
            "its update is paused ({}); continue it, or roll it back, with `docker service update`",
            status.message
        ));
    }
    let mut on: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for task in own {
        on.entry(&task.node_id).or_default().insert(task.slot);
    }
    match on.iter().find(|(_, slots)| slots.len() > 1) {
        Some((node, slots)) => Err(format!(
            "{} of its tasks are on node {}, and Swarm cannot be told which of them is to go; spread them first \
             (`--replicas-max-per-node 1`)",
            slots.len(),
            names.name(node)
        )),
        None => Ok(()),
    }
}

/// What is under way with it.
fn changing(objects: &Objects, service: &Service, described: &Described, own: &[&Task]) -> Option<String> {
    if let Some(status) = service.update_status.as_ref().filter(|status| status.is_open()) {
        return Some(format!("update {}: {}", status.state, status.message));
    }
    let wanted = described.replicas()?;
    let slots: BTreeSet<u64> = own.iter().map(|task| task.slot).collect();
    let placed = slots.len() as u64;
    if placed != wanted {
        return Some(format!("{wanted} tasks are wanted, and {placed} have a node"));
    }
    let twice = own.len() > slots.len();
    let starting = own.iter().any(|task| !ready(objects, task));
    (twice && starting).then(|| "a task is being replaced".to_owned())
}

/// Nodes for which its image is built; empty where that does not matter.
fn allowed(objects: &Objects, names: &Names, platforms: &[Platform]) -> BTreeSet<NodeId> {
    let fits = |of: &Platform, has: &Platform| {
        let arch =
            of.architecture.is_empty() || architecture(&of.architecture) == architecture(&has.architecture);
        arch && (of.os.is_empty() || of.os == has.os)
    };
    let nodes = objects.nodes.iter();
    nodes
        .filter(|node| platforms.iter().any(|platform| fits(platform, &node.description.platform)))
        .map(|node| names.name(&node.id))
        .collect()
}
