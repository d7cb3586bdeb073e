//! Nodes and their names.
use crate::{
    labels::{COST_PER_HOUR, CPU, ZONE},
    objects::Node,
};
use foremesh_core::{
    ids::{NodeId, Zone},
    topology::{self, NodeState},
    units::Millicores,
};
use std::collections::BTreeMap;

/// Nodes by their names: the host's name, or the id where two have the same.
#[derive(Clone, Debug, Default)]
pub struct Names {
    by_id: BTreeMap<String, NodeId>,
}

impl Names {
    /// Names all of them.
    pub fn of(nodes: &[Node]) -> Self {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for node in nodes {
            *counts.entry(&node.description.hostname).or_default() += 1;
        }
        let name = |node: &Node| {
            let hostname = node.description.hostname.as_str();
            let alone = !hostname.is_empty() && counts.get(hostname) == Some(&1);
            NodeId::from(if alone { hostname } else { node.id.as_str() })
        };
        Self { by_id: nodes.iter().map(|node| (node.id.clone(), name(node))).collect() }
    }

    /// The name of a node; its id when it is not known.
    pub fn name(&self, id: &str) -> NodeId {
        self.by_id.get(id).cloned().unwrap_or_else(|| NodeId::from(id))
    }

    /// The id of a node.
    pub fn id(&self, name: &NodeId) -> Option<&str> {
        self.by_id.iter().find(|(_, of)| *of == name).map(|(id, _)| id.as_str())
    }
}

/// A node as the planner knows it. What its CPUs do is not known to Swarm.
pub(super) fn node(node: &Node) -> Option<topology::Node> {
    let resources = &node.description.resources;
    let told = resources.nano_cpus.max(0) as f64 / 1e6;
    let capacity = Millicores::new(cpu(node).unwrap_or(told)).ok()?;
    Some(topology::Node {
        zone: zone(node),
        cost_per_hour: cost(node),
        state: state(node),
        memory_bytes: (resources.memory_bytes > 0).then_some(resources.memory_bytes as f64),
        labels: labels(node),
        ..topology::Node::new(capacity)
    })
}

/// The zone of a node.
pub fn zone(node: &Node) -> Option<Zone> {
    let labels = &node.spec.labels;
    labels.get(ZONE).or_else(|| labels.get("zone")).filter(|zone| !zone.is_empty()).cloned().map(Zone::new)
}

/// Its CPU in millicores, where operators know better than dockerd.
fn cpu(node: &Node) -> Option<f64> {
    let written = node.spec.labels.get(CPU)?;
    let number = match written.strip_suffix('m') {
        Some(milli) => milli.parse::<f64>().ok(),
        None => written.parse::<f64>().ok().map(|cores| cores * 1e3),
    };
    let number = number.filter(|number| number.is_finite() && *number > 0.0);
    if number.is_none() {
        let node = &node.description.hostname;
        tracing::warn!(node, written, "label {CPU} is no number of CPUs; what dockerd says is taken");
    }
    number
}

fn cost(node: &Node) -> f64 {
    let Some(written) = node.spec.labels.get(COST_PER_HOUR) else { return 0.0 };
    written.parse().ok().filter(|cost: &f64| cost.is_finite() && *cost >= 0.0).unwrap_or_else(|| {
        let node = &node.description.hostname;
        tracing::warn!(node, written, "label {COST_PER_HOUR} is no price; it is taken as 0");
        0.0
    })
}

fn state(node: &Node) -> NodeState {
    if !node.answers() {
        let why = if node.status.message.is_empty() { "no reason given" } else { &node.status.message };
        return NodeState::Unreachable(format!("Swarm says that it is {}: {why}", node.status.state));
    }
    match node.spec.availability.as_str() {
        "active" => NodeState::Ready,
        _ => NodeState::Cordoned,
    }
}

/// What constraints are about, by their names there and in lower case, because Swarm does not tell cases apart.
fn labels(node: &Node) -> BTreeMap<String, String> {
    let description = &node.description;
    let own = [
        ("node.id", node.id.as_str()),
        ("node.hostname", &description.hostname),
        ("node.role", &node.spec.role),
        ("node.platform.os", &description.platform.os),
        ("node.platform.arch", architecture(&description.platform.architecture)),
    ];
    let own = own.into_iter().map(|(key, value)| (key.to_owned(), value.to_lowercase()));
    let labelled = |prefix: &'static str, labels: &BTreeMap<String, String>| -> Vec<(String, String)> {
        labels.iter().map(|(key, value)| (format!("{prefix}{key}"), value.to_lowercase())).collect()
    };
    own.chain(labelled("node.labels.", &node.spec.labels))
        .chain(labelled("engine.labels.", &description.engine.labels))
        .collect()
}

/// Two names of each of some architectures are in use.
pub(super) fn architecture(written: &str) -> &str {
    match written {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
