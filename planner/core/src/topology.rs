//! The world as a platform reports it at one moment: nodes, workloads, replicas, and what binds them to one another.
//!
//! The model is the same for every platform. What a platform does not have is left at its default, which binds nobody.
mod scheduling;

pub use scheduling::{
    Autoscaler, BudgetHealth, DisruptionBudget, Effect, Operator, Quota, Requests, Requirement, Scheduling,
    Spread, Taint, Toleration, TopologyKey, Volume,
};

use crate::{
    ids::{NodeId, ReplicaId, ServiceId, WorkloadId, Zone},
    plan::WHOLE,
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
    /// What the platform can do besides starting and stopping replicas.
    #[serde(default, skip_serializing_if = "Capabilities::is_none")]
    pub capabilities: Capabilities,
}

/// What a platform can do besides starting and stopping replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// Replicas of one workload can have different shares of its traffic for good, not only during a move.
    pub weights: bool,
}

impl Capabilities {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Snapshot {
    /// A platform of which nothing is known yet.
    pub const fn empty(taken_at: Timestamp) -> Self {
        Self {
            taken_at,
            nodes: BTreeMap::new(),
            workloads: BTreeMap::new(),
            capabilities: Capabilities { weights: false },
        }
    }

    /// CPU in use on a node by all but the replicas of its workloads, in millicores: what would stay if they went.
    /// `None` when the use of the node, or of a workload with a replica on it, is not known. Replicas are taken to share
    /// their workload's use by their weights.
    pub fn background_millicores(&self, node: &NodeId) -> Option<f64> {
        let used = self.nodes.get(node)?.used?.get();
        let mut managed = 0.0;
        for workload in self.workloads.values() {
            let mut here = workload.replicas.values().filter(|replica| replica.node == *node).peekable();
            if here.peek().is_some() {
                let share: f64 = here.map(|replica| workload.share_of(replica)).sum();
                managed += workload.used?.get() * share;
            }
        }
        Some((used - managed).max(0.0))
    }
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
    /// Memory that workloads can have in all, in bytes, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<f64>,
    /// Memory in use now by everything on the node, in bytes, when the platform tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_used_bytes: Option<f64>,
    /// Labels that workloads may select by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What keeps replicas away that do not tolerate it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
    /// Replicas that it runs at most, whatever they ask for; `None` without such a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica_limit: Option<u32>,
    /// What runs there and belongs to no workload of the snapshot, such as the agents of a platform.
    #[serde(default, skip_serializing_if = "Besides::is_nothing")]
    pub besides: Besides,
}

impl Node {
    /// A ready node of so much CPU, of which nothing else is known.
    pub const fn new(capacity: Millicores) -> Self {
        Self {
            capacity,
            used: None,
            zone: None,
            cost_per_hour: 0.0,
            state: NodeState::Ready,
            memory_bytes: None,
            memory_used_bytes: None,
            labels: BTreeMap::new(),
            taints: Vec::new(),
            replica_limit: None,
            besides: Besides::NOTHING,
        }
    }
}

/// What runs on a node beside the workloads of the snapshot. It takes up room like they do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Besides {
    /// What all of it asks for.
    pub requests: Requests,
    /// How many replicas that is, where the node limits their number.
    pub replicas: u32,
    /// Ports of the node that it holds.
    pub host_ports: BTreeSet<u16>,
}

impl Besides {
    /// Nothing else runs there.
    pub const NOTHING: Self = Self {
        requests: Requests { cpu_millicores: None, memory_bytes: None },
        replicas: 0,
        host_ports: BTreeSet::new(),
    };

    /// Whether nothing else runs there.
    pub fn is_nothing(&self) -> bool {
        *self == Self::NOTHING
    }
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
    /// Memory in use now by all its replicas, in bytes, when the platform tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_used_bytes: Option<f64>,
    /// Set when nobody may move it, with the reason: the operator's word, or another tool's opt-out.
    pub pinned: Option<String>,
    /// Group that limits and budgets are counted in: a Kubernetes namespace, a Swarm stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// What each replica asks for.
    #[serde(default, skip_serializing_if = "Requests::is_empty")]
    pub requests: Requests,
    /// CPU that one replica may use at most, when it is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_limit: Option<Millicores>,
    /// What binds its replicas to places, and to one another.
    #[serde(default, skip_serializing_if = "Scheduling::is_free")]
    pub scheduling: Scheduling,
}

impl Workload {
    /// A workload without replicas, which nothing binds.
    pub fn new(service: ServiceId) -> Self {
        Self {
            service,
            tier: Tier::default(),
            allowed_nodes: BTreeSet::new(),
            replicas: BTreeMap::new(),
            used: None,
            memory_used_bytes: None,
            pinned: None,
            namespace: None,
            requests: Requests::default(),
            cpu_limit: None,
            scheduling: Scheduling::default(),
        }
    }

    /// Part of the workload's traffic that one of its replicas gets, 0 to 1. Even parts when no replica has a weight.
    pub fn share_of(&self, replica: &Replica) -> f64 {
        let all: u64 = self.replicas.values().map(|replica| u64::from(replica.weight)).sum();
        if all == 0 {
            return 1.0 / self.replicas.len().max(1) as f64;
        }
        f64::from(replica.weight) / all as f64
    }
}

/// One running copy of a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// Where it runs.
    pub node: NodeId,
    /// Whether it answers its ready check.
    pub ready: bool,
    /// Part of its service's traffic against that of the other replicas; [`WHOLE`] where the platform shares out evenly.
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    pub weight: u32,
    /// Why it does not answer its ready check, when the platform can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

impl Replica {
    /// A replica of a whole share.
    pub const fn new(node: NodeId, ready: bool) -> Self {
        Self { node, ready, weight: WHOLE, because: None }
    }
}

const fn whole() -> u32 {
    WHOLE
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_whole(weight: &u32) -> bool {
    *weight == WHOLE
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
