//! From what dockerd says to what the planner knows: pure.
mod constraints;
mod nodes;
mod services;
#[cfg(test)]
mod tests;

pub use nodes::{Names, zone};

use crate::{
    described::Described,
    objects::{Network, Node, Service, Task},
    surge::Surge,
};
use foremesh_core::{
    ids::{NodeId, ReplicaId, WorkloadId},
    time::Timestamp,
    topology::{Replica, Snapshot},
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

/// All that was read of a Swarm at one moment.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// Its machines.
    pub nodes: Vec<Node>,
    /// Its services.
    pub services: Vec<Service>,
    /// Tasks that are to run.
    pub tasks: Vec<Task>,
    /// Networks of all nodes.
    pub networks: Vec<Network>,
}

/// Name of a replica: `shop_web.1@node-2`. A service that has one on each node has no slots: `agent@node-2`.
pub fn replica_id(service: &str, slot: u64, node: &NodeId) -> ReplicaId {
    ReplicaId::new(if slot == 0 { format!("{service}@{node}") } else { format!("{service}.{slot}@{node}") })
}

/// Slot and node of a replica of a service.
pub fn replica_parts(service: &str, replica: &ReplicaId) -> Option<(u64, NodeId)> {
    let (slot, node) = replica.as_str().strip_prefix(service)?.strip_prefix('.')?.split_once('@')?;
    Some((slot.parse().ok()?, NodeId::from(node)))
}

/// The planner's picture of a Swarm.
pub fn snapshot(objects: &Objects, at: Timestamp) -> Snapshot {
    let names = Names::of(&objects.nodes);
    let mut snapshot = Snapshot::empty(at);
    snapshot.nodes =
        objects.nodes.iter().filter_map(|node| Some((names.name(&node.id), nodes::node(node)?))).collect();
    for service in &objects.services {
        let described = match Described::read(service) {
            Ok(described) => described,
            Err(error) => {
                tracing::warn!(service = service.id, %error, "a service is not understood, and left out");
                continue;
            }
        };
        if described.is_surge() {
            continue;
        }
        let surges = surges(objects, &names, service, &described);
        let workload = services::workload(objects, &names, service, &described, surges);
        snapshot.workloads.insert(WorkloadId::from(described.name.as_str()), workload);
    }
    snapshot
}

/// Replicas for which a task of a surge service stands.
fn surges(
    objects: &Objects,
    names: &Names,
    of: &Service,
    described: &Described,
) -> BTreeMap<ReplicaId, Replica> {
    let mut found = BTreeMap::new();
    for service in &objects.services {
        let Some(surge) = Surge::read(service).filter(|surge| surge.of == of.id) else { continue };
        let to = names.name(&surge.to);
        let mut tasks = objects.tasks.iter().filter(|task| task.service_id == service.id && task.wanted());
        if let Some(task) = tasks.next() {
            let replica = Replica::new(to.clone(), services::ready(objects, task));
            found.insert(replica_id(&described.name, surge.slot, &to), replica);
        }
    }
    found
}

/// Where a task is reached in a network, at a port.
pub fn address(task: &Task, network: &str, port: u16) -> Option<SocketAddr> {
    let attached = task.networks_attachments.iter().find(|attached| attached.network.id == network)?;
    let written = attached.addresses.first()?;
    let ip: IpAddr = written.split_once('/').map_or(written.as_str(), |(ip, _)| ip).parse().ok()?;
    Some(SocketAddr::new(ip, port))
}
