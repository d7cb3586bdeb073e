//! The world as a platform reports it at one moment: nodes, workloads, replicas.
use crate::{
    ids::{NodeId, ReplicaId, ServiceId, WorkloadId, Zone},
    time::Timestamp,
    units::Millicores,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a platform knew when it was asked. Maps are ordered, so that equal snapshots are equal bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When the platform was asked.
    pub taken_at: Timestamp,
    /// Every node, the unreachable ones too.
    pub nodes: BTreeMap<NodeId, Node>,
    /// Every workload that the platform manages.
    pub workloads: BTreeMap<WorkloadId, Workload>,
}

/// A machine that can run replicas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// CPU that workloads can have in all.
    pub capacity: Millicores,
    /// CPU in use now by everything on the node, when it could be read.
    pub used: Option<Millicores>,
    /// Failure domain, when one is given.
    pub zone: Option<Zone>,
    /// Price in money per hour, in the operator's own currency; 0 when not given.
    pub cost_per_hour: f64,
    /// Whether the node takes new replicas, or why not.
    pub state: NodeState,
}

/// Whether a node can take a replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "reason")]
pub enum NodeState {
    /// It answers and takes new replicas.
    Ready,
    /// It answers, but the operator wants no new replicas on it.
    Cordoned,
    /// It could not be asked, and why: never a target.
    Unreachable(String),
}

/// What is moved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// The service that its replicas answer for.
    pub service: ServiceId,
    /// Importance: weight of one unit of breach risk against another workload's.
    pub tier: Tier,
    /// Nodes that it may run on; empty means any.
    pub allowed_nodes: BTreeSet<NodeId>,
    /// Running copies.
    pub replicas: BTreeMap<ReplicaId, Replica>,
    /// CPU in use now by all its replicas, when it could be read.
    pub used: Option<Millicores>,
    /// Set when nobody may move it, with the reason.
    pub pinned: Option<String>,
}

/// One running copy of a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// Where it runs.
    pub node: NodeId,
    /// Whether it answers its ready check.
    pub ready: bool,
}

/// How much a workload matters; risk counts with the weight of its tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Users notice at once.
    Critical,
    /// The usual.
    #[default]
    Standard,
    /// Can wait: batch, internal tools.
    BestEffort,
}

impl Tier {
    /// Weight of one unit of breach risk. Ten to one between neighbours, so that many small gains below never
    /// outweigh one above.
    pub const fn weight(self) -> f64 {
        match self {
            Self::Critical => 10.0,
            Self::Standard => 1.0,
            Self::BestEffort => 0.1,
        }
    }
}
