//! From the objects of a cluster to the planner's model: pure, so that every rule can be tested with a manifest.
//!
//! What a rule demands and the model cannot say makes a workload immovable, with the reason. Nothing that is demanded is
//! left out in silence; what is only preferred is.
mod bound;
mod changing;
mod limits;
mod names;
mod neighbours;
mod nodes;
mod opt_out;
mod service;
#[cfg(test)]
mod tests;
mod volumes;
mod workload;
mod world;

pub(crate) use names::Names;
pub use names::ProxyPlace;

use crate::{
    objects::{Deployment, Objects},
    settings::Conventions,
    usage::Usage,
};
use foremesh_core::{
    time::Timestamp,
    topology::{Snapshot, TopologyKey},
};
use world::World;

/// Label of a node's zone.
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
/// Label of a node's own name.
const HOST_LABEL: &str = "kubernetes.io/hostname";

/// What these objects are to the planner.
pub(crate) fn snapshot(
    objects: &Objects,
    usage: &Usage,
    conventions: &Conventions,
    taken_at: Timestamp,
) -> Snapshot {
    let world = World::new(objects, conventions);
    let mut snapshot = Snapshot::empty(taken_at);
    snapshot.nodes = nodes::nodes(&world, usage);
    let answering = service::Answering::new(&world);
    for index in 0..world.controllers.len() {
        let workload = workload::workload(&world, index, &answering, usage);
        snapshot.workloads.insert(world.controllers[index].id.clone(), workload);
    }
    snapshot
}

/// What is under way with a Deployment, by its own spec and status.
pub(crate) fn changing(deployment: &Deployment) -> Option<String> {
    changing::of_deployment(deployment)
}

/// The domains that the model knows, by the label that Kubernetes knows them by.
///
/// # Errors
/// The label, in words, when it is another.
fn topology_key(label: &str) -> Result<TopologyKey, String> {
    match label {
        HOST_LABEL => Ok(TopologyKey::Node),
        ZONE_LABEL => Ok(TopologyKey::Zone),
        other => Err(format!("topology key `{other}`, and only {HOST_LABEL} and {ZONE_LABEL} are known")),
    }
}
