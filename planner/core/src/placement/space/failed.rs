//! Targets at which a workload failed to arrive a short while ago, or was no better off.
use super::MeshSpace;
use crate::{
    policy::LONGEST_COOLDOWN_MS,
    twin::{NodeIx, ReplicaIx},
};

impl MeshSpace<'_, '_> {
    /// Failed moves of a replica's workload to a node since it last arrived there, and how long ago the last one ended, in
    /// milliseconds. `None` when there was none within the longest rest that a workload takes.
    ///
    /// Such a node is a target only where there is no other: what keeps a replica from becoming ready is often the node.
    pub(in crate::placement) fn failed_there(&self, unit: ReplicaIx, node: NodeIx) -> Option<(usize, i64)> {
        if self.inputs.past_moves.is_empty() {
            return None;
        }
        let (workload, name) = (self.mesh.replica(unit).0, self.mesh.node(node));
        let there = || self.inputs.past_moves.iter().filter(|m| m.workload == *workload && m.to == *name);
        let arrived = there().filter(|past| !past.failed).map(|past| past.ended_at).max();
        let failed = || there().filter(|past| past.failed && arrived.is_none_or(|at| past.ended_at > at));
        let ago_ms = self.inputs.now.ms_since(failed().map(|past| past.ended_at).max()?);
        (ago_ms < LONGEST_COOLDOWN_MS).then(|| (failed().count(), ago_ms))
    }
}
