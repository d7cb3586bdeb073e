//! What a scheduler and an operator would hold against a replica on a node, written anew and naively: every condition
//! is looked up in plain lists of who is where.
use foremesh_core::{
    ids::{NodeId, WorkloadId},
    topology::{Effect, Node, NodeState, Operator, Snapshot, Spread, TopologyKey, Workload},
};
use std::collections::BTreeSet;

/// Who is where: every replica that runs, and every successor that is on its way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Occupied(pub(crate) Vec<(WorkloadId, NodeId)>);

impl Occupied {
    /// All replicas of the snapshot.
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let replicas = snapshot.workloads.iter().flat_map(|(id, workload)| {
            workload.replicas.values().map(|replica| (id.clone(), replica.node.clone()))
        });
        Self(replicas.collect())
    }

    pub(crate) fn remove(&mut self, workload: &WorkloadId, node: &NodeId) {
        if let Some(at) = self.0.iter().position(|(w, n)| w == workload && n == node) {
            self.0.remove(at);
        }
    }

    fn on<'o>(&'o self, node: &'o NodeId) -> impl Iterator<Item = &'o WorkloadId> {
        self.0.iter().filter(move |(_, there)| there == node).map(|(workload, _)| workload)
    }
}

fn same_domain(snapshot: &Snapshot, over: TopologyKey, a: &NodeId, b: &NodeId) -> bool {
    match over {
        TopologyKey::Node => a == b,
        TopologyKey::Zone => {
            let zone = |id| snapshot.nodes.get(id).and_then(|node: &Node| node.zone.clone());
            zone(a).is_some() && zone(a) == zone(b)
        }
    }
}

/// What is wrong with one more replica of the workload on the node, while all the others are where they are.
pub(crate) fn objections(
    snapshot: &Snapshot,
    occupied: &Occupied,
    id: &WorkloadId,
    to: &NodeId,
) -> Vec<String> {
    let mut found = Vec::new();
    let (Some(node), Some(workload)) = (snapshot.nodes.get(to), snapshot.workloads.get(id)) else {
        return vec![format!("{id} or {to} is not in the snapshot")];
    };
    let mut object = |bad: bool, what: &str| {
        if bad {
            found.push(format!("{id} on {to}: {what}"));
        }
    };
    let scheduling = &workload.scheduling;
    object(node.state != NodeState::Ready, "the node is not ready");
    object(!may_be(workload, to, node), "the node is not selected");
    let tolerated = |taint: &foremesh_core::topology::Taint| {
        scheduling.tolerations.iter().any(|t| {
            (t.key.is_empty() || t.key == taint.key)
                && t.value.as_ref().is_none_or(|value| *value == taint.value)
                && t.effect.is_none_or(|effect| effect == taint.effect)
        })
    };
    object(
        node.taints.iter().any(|t| t.effect != Effect::PreferNoSchedule && !tolerated(t)),
        "the node is tainted",
    );
    for volume in &scheduling.volumes {
        let zone = node.zone.as_ref().map(ToString::to_string);
        let in_zone = volume.zones.is_empty() || zone.is_some_and(|zone| volume.zones.contains(&zone));
        let on_node = volume.nodes.is_empty() || volume.nodes.contains(to.as_str());
        object(!in_zone || !on_node, "a volume cannot be reached");
        object(volume.exclusive, "a volume is exclusive");
    }
    let besides = |other: &WorkloadId, over| {
        occupied.0.iter().any(|(w, there)| w == other && same_domain(snapshot, over, there, to))
    };
    for over in &scheduling.apart {
        object(besides(id, *over), "replicas must be apart");
    }
    for (other, over) in &scheduling.not_with {
        object(besides(&WorkloadId::new(other.clone()), *over), "it may not be with another");
    }
    for (other, described) in &snapshot.workloads {
        let over = described.scheduling.not_with.get(id.as_str());
        object(over.is_some_and(|over| besides(other, *over)), "another may not be with it");
    }
    let here = occupied.on(to).filter(|there| *there == id).count();
    object(
        scheduling.max_per_node.is_some_and(|most| here >= most as usize),
        "too many replicas of it on the node",
    );
    object(ports_taken(snapshot, occupied, workload, to, node), "a port is taken");
    object(!room(snapshot, occupied, workload, to, node), "what is asked for does not fit");
    let all = occupied.on(to).count() + node.besides.replicas as usize;
    object(node.replica_limit.is_some_and(|most| all >= most as usize), "the node is full");
    found
}

fn may_be(workload: &Workload, id: &NodeId, node: &Node) -> bool {
    let holds = |requirement: &foremesh_core::topology::Requirement| {
        let actual = node.labels.get(&requirement.key);
        match requirement.operator {
            Operator::In => actual.is_some_and(|value| requirement.values.contains(value)),
            Operator::NotIn => !actual.is_some_and(|value| requirement.values.contains(value)),
            Operator::Exists => actual.is_some(),
            Operator::DoesNotExist => actual.is_none(),
            Operator::Above | Operator::Below => false,
        }
    };
    (workload.allowed_nodes.is_empty() || workload.allowed_nodes.contains(id))
        && workload.scheduling.requires.iter().all(holds)
}

fn ports_taken(
    snapshot: &Snapshot,
    occupied: &Occupied,
    workload: &Workload,
    to: &NodeId,
    node: &Node,
) -> bool {
    let mut taken: BTreeSet<u16> = node.besides.host_ports.clone();
    for there in occupied.on(to) {
        taken.extend(snapshot.workloads[there].scheduling.host_ports.iter());
    }
    workload.scheduling.host_ports.iter().any(|port| taken.contains(port))
}

fn room(snapshot: &Snapshot, occupied: &Occupied, workload: &Workload, to: &NodeId, node: &Node) -> bool {
    let mut cpu = node.besides.requests.cpu_millicores.unwrap_or(0.0);
    let mut memory = node.besides.requests.memory_bytes.unwrap_or(0.0);
    for there in occupied.on(to) {
        let requests = snapshot.workloads[there].requests;
        cpu += requests.cpu_millicores.unwrap_or(0.0);
        memory += requests.memory_bytes.unwrap_or(0.0);
    }
    let fits = |wanted: Option<f64>, taken: f64, all: Option<f64>| {
        wanted.zip(all).is_none_or(|(wanted, all)| taken + wanted <= all + 1e-3)
    };
    fits(workload.requests.cpu_millicores, cpu, Some(node.capacity.get()))
        && fits(workload.requests.memory_bytes, memory, node.memory_bytes)
}

/// Difference between the fullest and the emptiest domain that the workload may be in; with a node `of`, between its
/// domain and the emptiest one.
fn skew(
    snapshot: &Snapshot,
    occupied: &Occupied,
    id: &WorkloadId,
    spread: Spread,
    of: Option<&NodeId>,
) -> usize {
    let workload = &snapshot.workloads[id];
    let mut counts = Vec::new();
    for (node, described) in &snapshot.nodes {
        if may_be(workload, node, described) && (spread.over == TopologyKey::Node || described.zone.is_some())
        {
            let there =
                occupied.0.iter().filter(|(w, n)| w == id && same_domain(snapshot, spread.over, n, node));
            counts.push((there.count(), of.is_none_or(|of| same_domain(snapshot, spread.over, of, node))));
        }
    }
    let fewest = counts.iter().map(|(count, _)| *count).min().unwrap_or(0);
    let most = counts.iter().filter(|(_, counts)| *counts).map(|(count, _)| *count).max().unwrap_or(0);
    most.saturating_sub(fewest)
}

/// Whether the replicas of a workload, one on this node among them, are as even as they must be.
pub(crate) fn evenly(snapshot: &Snapshot, occupied: &Occupied, id: &WorkloadId, node: &NodeId) -> bool {
    let mut spreads = snapshot.workloads[id].scheduling.spread.iter();
    let zoned = |spread: &Spread| spread.over == TopologyKey::Node || snapshot.nodes[node].zone.is_some();
    spreads.all(|spread| zoned(spread) && skew(snapshot, occupied, id, *spread, None) <= spread.max_skew)
}

/// What is wrong with a move: first with both replicas there, then when the old one is gone.
pub(crate) fn objections_to_move(
    snapshot: &Snapshot,
    occupied: &Occupied,
    id: &WorkloadId,
    from: &NodeId,
    to: &NodeId,
) -> Vec<String> {
    let mut found = objections(snapshot, occupied, id, to);
    let Some(workload) = snapshot.workloads.get(id) else { return found };
    let mut surged = occupied.clone();
    surged.0.push((id.clone(), to.clone()));
    let mut after = surged.clone();
    after.remove(id, from);
    for spread in &workload.scheduling.spread {
        if skew(snapshot, &surged, id, *spread, Some(to)) > spread.max_skew {
            found.push(format!("{id} to {to}: uneven while it moves"));
        }
        let before = skew(snapshot, occupied, id, *spread, None);
        if skew(snapshot, &after, id, *spread, None) > spread.max_skew.max(before) {
            found.push(format!("{id} from {from} to {to}: uneven afterwards"));
        }
    }
    for (needed, over) in &workload.scheduling.only_with {
        let needed = WorkloadId::new(needed.clone());
        let beside = after.0.iter().any(|(w, n)| *w == needed && same_domain(snapshot, *over, n, to));
        if !beside {
            found.push(format!("{id} to {to}: it would be without {needed}"));
        }
    }
    for (other, described) in snapshot.workloads.iter().filter(|(other, _)| *other != id) {
        let Some(over) = described.scheduling.only_with.get(id.as_str()) else { continue };
        let beside = |occupied: &Occupied, at: &NodeId| {
            occupied.0.iter().any(|(w, n)| w == id && same_domain(snapshot, *over, n, at))
        };
        let mut of_other = after.0.iter().filter(|(w, _)| w == other);
        if of_other.any(|(_, at)| beside(occupied, at) && !beside(&after, at)) {
            found.push(format!("{id} from {from} to {to}: {other} would be without it"));
        }
    }
    found
}
