//! Storage that replicas are bound to.
use super::{ZONE_LABEL, world::World};
use crate::objects::{Mount, NodeTerm, PersistentVolume, Pod};
use foremesh_core::topology::{Operator, Volume};
use std::collections::{BTreeMap, BTreeSet};

/// Volumes of all replicas of a workload, and what cannot be said of them.
pub(super) fn volumes(replicas: &[&Pod], world: &World<'_>) -> (Vec<Volume>, BTreeSet<String>) {
    let mut mounts: BTreeMap<(&str, &Mount), BTreeSet<&str>> = BTreeMap::new();
    for pod in replicas {
        for mount in &pod.rules.mounts {
            mounts.entry((&pod.meta.namespace, mount)).or_default().insert(&pod.node);
        }
    }
    let (mut volumes, mut unknown) = (Vec::new(), BTreeSet::new());
    for ((namespace, mount), nodes) in mounts {
        match mount {
            // What is on the disk of a node stays there.
            Mount::HostPath(name) => volumes.push(Volume {
                name: name.clone(),
                zones: BTreeSet::new(),
                nodes: nodes.into_iter().map(str::to_owned).collect(),
                exclusive: false,
            }),
            Mount::Claim(name) => match claimed(namespace, name, world) {
                Ok(volume) => volumes.push(volume),
                Err(reason) => {
                    unknown.insert(reason);
                }
            },
        }
    }
    (volumes, unknown)
}

fn claimed(namespace: &str, name: &str, world: &World<'_>) -> Result<Volume, String> {
    let claim = world.claims.get(&(namespace, name));
    let claim = claim.ok_or_else(|| format!("volume claim `{name}` does not exist"))?;
    let bound = claim.spec.volume_name.as_str();
    if bound.is_empty() {
        return Err(format!("volume claim `{name}` is bound to no volume"));
    }
    let volume = world.volumes.get(bound);
    let volume = volume.ok_or_else(|| format!("volume `{bound}` of claim `{name}` does not exist"))?;
    let (zones, nodes) = places(volume, world)?;
    Ok(Volume { name: name.to_owned(), zones, nodes, exclusive: is_exclusive(&volume.spec.access_modes) })
}

/// Only one node may hold it: `ReadWriteOnce` and `ReadWriteOncePod`, unless it can be shared as well.
fn is_exclusive(modes: &[String]) -> bool {
    let has = |mode: &str| modes.iter().any(|have| have == mode);
    !has("ReadWriteMany") && (!has("ReadOnlyMany") || has("ReadWriteOnce") || has("ReadWriteOncePod"))
}

/// Zones and nodes from which a volume can be reached; empty for all.
fn places(
    volume: &PersistentVolume,
    world: &World<'_>,
) -> Result<(BTreeSet<String>, BTreeSet<String>), String> {
    let required = volume.spec.node_affinity.as_ref().and_then(|affinity| affinity.required.as_ref());
    let Some(terms) = required.map(|terms| terms.node_selector_terms.as_slice()) else {
        // Volumes of before the Container Storage Interface have a label, with several zones as `a__b`.
        let zones = volume.meta.labels.get(ZONE_LABEL);
        let zones = zones.into_iter().flat_map(|zones| zones.split("__")).map(str::to_owned).collect();
        return Ok((zones, BTreeSet::new()));
    };
    if let Some(zones) = zones_alone(terms) {
        return Ok((zones, BTreeSet::new()));
    }
    let reaches = world
        .nodes
        .iter()
        .filter(|(name, node)| terms.iter().any(|term| term.matches(name, &node.meta.labels)));
    let nodes: BTreeSet<String> = reaches.map(|(name, _)| (*name).to_owned()).collect();
    if nodes.is_empty() {
        // No names would mean every node.
        return Err(format!("no node reaches volume `{}`", volume.meta.name));
    }
    Ok((BTreeSet::new(), nodes))
}

/// The zones, when the volume is bound to nothing but zones.
fn zones_alone(terms: &[NodeTerm]) -> Option<BTreeSet<String>> {
    let [term] = terms else { return None };
    let ([only], []) = (term.labels.as_slice(), term.names.as_slice()) else { return None };
    let zones = only.key == ZONE_LABEL && only.operator == Operator::In && !only.values.is_empty();
    zones.then(|| only.values.clone())
}
