//! Which nodes are looked at for a replica: of those that take it the coolest, the nearest and the cheapest.
//!
//! In a mesh of thousands of nodes almost all are like one another, so a few dozen are enough; a node that is not among
//! them is cooler than none of them, cheaper than none, and nearer than none.
use super::MeshSpace;
use crate::{
    inputs::Inputs,
    placement::{
        constraint::{Mover, discouraged},
        layout::NodeIndex,
        search::Space,
    },
    plan::RejectionReason,
    twin::{Evaluation, NodeIx, ReplicaIx, UPPER},
};
use std::collections::BTreeSet;

/// In a mesh of so many nodes all of them are looked at.
const FEW_NODES: usize = 48;

/// Nodes that are looked at in a larger one, by use, by price, and by distance.
const COOLEST: usize = 16;
const CHEAPEST: usize = 6;
const NEAREST: usize = 6;

/// Nodes that are tried to find these, at most.
const TRIED: usize = 512;

/// Nodes by their highest share of CPU in use, and by price; those of which nothing is known, or that would be too full
/// with anything more, are left out.
pub(super) fn orders(inputs: &Inputs<'_>, evaluation: &Evaluation<'_>) -> (Vec<NodeIx>, Vec<NodeIx>) {
    let most = inputs.settings.max_utilisation;
    let uses: Vec<f64> =
        (0..evaluation.mesh().nodes()).map(|node| evaluation.highest_use(node, UPPER)).collect();
    let mut by_use: Vec<NodeIx> = (0..uses.len()).filter(|node| uses[*node] < most).collect();
    by_use.sort_by(|a, b| uses[*a].total_cmp(&uses[*b]).then(a.cmp(b)));
    let prices: Vec<f64> = inputs.snapshot.nodes.values().map(|node| node.cost_per_hour).collect();
    let mut by_price = by_use.clone();
    by_price.sort_by(|a, b| prices[*a].total_cmp(&prices[*b]));
    (by_use, by_price)
}

impl MeshSpace<'_, '_> {
    /// Nodes for a replica, best first by use. One with a soft taint is a target only where none without is, and one at
    /// which a move of the workload failed lately only where there is no other at all.
    pub(super) fn targets_of(&self, unit: ReplicaIx, within_ms: i64) -> Vec<NodeIx> {
        let workload = super::units::workload_of(&self.layout, self.mesh, unit);
        let from = NodeIndex(self.home(unit));
        let mover = Mover::new(&self.layout, workload);
        let takes = |node: &NodeIx| match mover.feasible(from, NodeIndex(*node), within_ms) {
            // What leaves may make that room.
            Ok(())
            | Err(
                RejectionReason::NotEnoughCpuRequested { .. }
                | RejectionReason::NotEnoughMemoryRequested { .. },
            ) => true,
            Err(_) => false,
        };
        let mut found: BTreeSet<NodeIx> = BTreeSet::new();
        if self.mesh.nodes() <= FEW_NODES {
            found.extend((0..self.mesh.nodes()).filter(takes));
        } else {
            found.extend(self.by_use.iter().copied().take(TRIED).filter(takes).take(COOLEST));
            found.extend(self.by_price.iter().copied().take(TRIED).filter(takes).take(CHEAPEST));
            let zones = self.zones_around(unit);
            let near = |node: &NodeIx| {
                let (_, described) = self.layout.node(NodeIndex(*node));
                described.zone.as_ref().is_some_and(|zone| zones.contains(zone))
            };
            found.extend(self.by_use.iter().copied().filter(near).take(TRIED).filter(takes).take(NEAREST));
        }
        found.remove(&self.home(unit));
        let (_, described) = self.layout.workload(workload);
        let last_resort = |node: NodeIx| {
            let (_, of) = self.layout.node(NodeIndex(node));
            (self.failed_there(unit, node).is_some(), discouraged(described, of))
        };
        let ranked = found.into_iter().map(|n| (last_resort(n), self.evaluation.highest_use(n, UPPER), n));
        let mut found: Vec<((bool, bool), f64, NodeIx)> = ranked.collect();
        found.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
        let first = found.first().map(|(resort, ..)| *resort);
        found.into_iter().filter(|(resort, ..)| Some(*resort) == first).map(|(.., node)| node).collect()
    }

    /// Zones of whoever calls the service of a replica, and of whom that calls.
    fn zones_around(&self, unit: ReplicaIx) -> BTreeSet<&crate::ids::Zone> {
        let service = self.mesh.service(self.service_of(unit));
        let graph = &self.inputs.learned.graph.0;
        let callees = graph.get(service).into_iter().flatten().map(|call| &call.callee);
        let replicas = callees
            .filter_map(|callee| self.mesh.service_ix(callee))
            .flat_map(|callee| self.mesh.replicas_of(callee))
            .chain(self.mesh.callers(self.service_of(unit)).flat_map(|caller| self.mesh.replicas_of(caller)));
        replicas
            .filter_map(|replica| {
                let (_, node) = self.layout.node(NodeIndex(self.evaluation.node_of(replica)));
                node.zone.as_ref()
            })
            .collect()
    }
}
