//! What moves, and an API server that is played.
use super::{Moved, MovedKind, MovedPhase, Scaled};
use foremesh_core::ids::{NodeId, ReplicaId, WorkloadId};
pub(crate) use foremesh_played::Stored;

/// A workload of two replicas that is about to be moved.
pub(crate) fn moved(workload: &str) -> Moved {
    Moved {
        workload: WorkloadId::new(workload),
        kind: MovedKind::Deployment,
        from: NodeId::new("node-1"),
        to: NodeId::new("node-2"),
        known: [ReplicaId::new("web-1"), ReplicaId::new("web-2")].into(),
        replicas_before: 2,
        scaler: Scaled::Deployment,
        target: None,
        phase: MovedPhase::Surging,
    }
}
