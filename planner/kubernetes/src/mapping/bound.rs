//! Which nodes a pod may be on, by itself.
use super::world::World;
use crate::objects::{Rules, equals};
use foremesh_core::{ids::NodeId, topology::Workload};

/// Takes over node selector, required node affinity and tolerations.
///
/// # Errors
/// What cannot be said in the model.
pub(super) fn bind(workload: &mut Workload, rules: &Rules, world: &World<'_>) -> Result<(), String> {
    let scheduling = &mut workload.scheduling;
    scheduling.tolerations.clone_from(&rules.tolerations);
    scheduling.requires = rules.node_selector.iter().map(|(key, value)| equals(key, value)).collect();
    let Some(terms) = &rules.node_terms else { return Ok(()) };
    if let [only] = terms.as_slice()
        && only.names.is_empty()
        && !only.labels.is_empty()
    {
        scheduling.requires.extend(only.labels.iter().cloned());
        return Ok(());
    }
    // One of several conditions, or one on names: what holds for the nodes that there are.
    let right = world
        .nodes
        .iter()
        .filter(|(name, node)| terms.iter().any(|term| term.matches(name, &node.meta.labels)));
    workload.allowed_nodes = right.map(|(name, _)| NodeId::new(*name)).collect();
    if workload.allowed_nodes.is_empty() {
        // No names would mean any node.
        return Err("no node fits its required node affinity".to_owned());
    }
    Ok(())
}
