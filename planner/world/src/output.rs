//! What a minute of a world was, what of it could be measured, and what runs where.

use serde::Serialize;

use crate::Id;

/// Quantiles of the latencies that are observed.
pub const OBSERVED_QUANTILES: [f64; 5] = [0.5, 0.9, 0.95, 0.99, 0.999];

/// One minute.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Minute {
    /// Number of the minute, 0 being the first of the warm-up.
    pub minute: u32,
    /// Milliseconds since 1970 of its begin.
    pub at_ms: i64,
    /// What happened.
    pub truth: Truth,
    /// What a planner could measure of it.
    pub observed: Observed,
}

/// What happened in a minute.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Truth {
    /// All services, in the order of the mesh.
    pub services: Vec<ServiceTruth>,
    /// All nodes, in the order of the inventory.
    pub nodes: Vec<NodeTruth>,
}

/// One service in a minute.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServiceTruth {
    /// The service.
    pub service: Id,
    /// Requests a second.
    pub load_rps: f64,
    /// Quantiles of the latency in ms with callees, a failed request counting as one that took the
    /// time-out; none when the minute had no request.
    pub p50_ms: Option<f64>,
    /// See `p50_ms`.
    pub p95_ms: Option<f64>,
    /// See `p50_ms`.
    pub p99_ms: Option<f64>,
    /// Share of the requests that failed.
    pub error_share: f64,
    /// Objective of the P99 in ms; none for a service without load at reference.
    pub objective_ms: Option<f64>,
    /// Nodes that take its traffic.
    pub nodes: Vec<Id>,
    /// Whether the P99 was above the objective, in a minute with requests enough to say so.
    pub breach: bool,
    /// Whether a fault of the service or of one that it waits for was active: a move is no cure then.
    pub fault: bool,
}

/// One node in a minute.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeTruth {
    /// The node.
    pub node: Id,
    /// Share of its CPU in use.
    pub utilisation: f64,
    /// CPU in use by all but the replicas, millicores.
    pub background_m: f64,
    /// Core seconds of work that are waiting at the end of the minute.
    pub backlog_core_s: f64,
}

/// What a planner could measure of a minute; a lost report has no entry.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Observed {
    /// Services that reported.
    pub services: Vec<ServiceObserved>,
    /// Nodes that reported.
    pub nodes: Vec<NodeObserved>,
    /// Replicas that reported; during a move both ends of it.
    pub replicas: Vec<ReplicaObserved>,
    /// Edges with calls.
    pub edges: Vec<EdgeObserved>,
}

/// A service as measured by its proxies.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServiceObserved {
    /// The service.
    pub service: Id,
    /// Requests in the minute.
    pub requests: u64,
    /// Failed ones among them.
    pub errors: u64,
    /// Requests whose latency was sampled.
    pub samples: u32,
    /// Latency in ms at [`OBSERVED_QUANTILES`]; none without samples.
    pub latency_ms: Option<[f64; 5]>,
}

/// A node as measured by its exporter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeObserved {
    /// The node.
    pub node: Id,
    /// CPU in use, millicores.
    pub cpu_m: f64,
    /// Memory in use, bytes.
    pub memory_bytes: f64,
}

/// A replica as measured on its node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReplicaObserved {
    /// The workload.
    pub workload: Id,
    /// Number of the replica.
    pub replica: u32,
    /// The node.
    pub node: Id,
    /// CPU in use, millicores.
    pub cpu_m: f64,
    /// Memory in use, bytes.
    pub memory_bytes: f64,
}

/// Calls of one service to another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EdgeObserved {
    /// The caller.
    pub caller: Id,
    /// The callee.
    pub callee: Id,
    /// Calls in the minute.
    pub calls: u64,
    /// By node of the caller and of the callee.
    pub pairs: Vec<PairObserved>,
}

/// Calls from one node to another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairObserved {
    /// Node of the caller.
    pub from: Id,
    /// Node of the callee.
    pub to: Id,
    /// Mean time at the caller minus mean time at the callee, ms.
    pub delay_ms: f64,
    /// Sampled calls.
    pub samples: u32,
}

/// Nodes and workloads as they are now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inventory {
    /// The nodes.
    pub nodes: Vec<NodeEntry>,
    /// The workloads.
    pub workloads: Vec<WorkloadEntry>,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeEntry {
    /// Its name.
    pub name: Id,
    /// Its zone.
    pub zone: Id,
    /// CPU, millicores.
    pub capacity_m: f64,
    /// Memory, bytes.
    pub memory_bytes: f64,
    /// Price of an hour.
    pub cost_per_hour: f64,
}

/// A workload; one for each service, of the same name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkloadEntry {
    /// Its name.
    pub name: Id,
    /// The service.
    pub service: Id,
    /// CPU request of a replica, millicores.
    pub request_m: f64,
    /// CPU limit of a replica, millicores.
    pub limit_m: Option<f64>,
    /// Memory of a replica, bytes.
    pub memory_bytes: f64,
    /// Whether it keeps data.
    pub stateful: bool,
    /// P99 objective of the service, ms.
    pub objective_ms: Option<f64>,
    /// Its replicas; one that is being moved is where it came from until the move has ended.
    pub replicas: Vec<ReplicaEntry>,
}

/// A replica.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReplicaEntry {
    /// Number within the workload.
    pub replica: u32,
    /// The node.
    pub node: Id,
    /// Whether it takes traffic.
    pub ready: bool,
}

/// An event that is known ahead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KnownEvent {
    /// Kind of event.
    pub tag: String,
    /// Begin, milliseconds since 1970.
    pub start_ms: i64,
    /// End, milliseconds since 1970.
    pub end_ms: i64,
}

/// Number of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct MoveId(pub u32);

/// A move that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MoveState {
    /// Its number.
    pub id: MoveId,
    /// The workload.
    pub workload: Id,
    /// Number of the replica.
    pub replica: u32,
    /// The node that it leaves.
    pub from: Id,
    /// The node that it goes to.
    pub to: Id,
    /// First minute of the move.
    pub begun_minute: u32,
    /// First minute in which the new replica takes traffic.
    pub ready_minute: Option<u32>,
    /// First minute after the move.
    pub ended_minute: Option<u32>,
    /// Whether it ended at its target; false while it runs.
    pub succeeded: bool,
}

/// Why a move is not begun.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    /// No such workload.
    #[error("there is no workload `{0}`")]
    UnknownWorkload(String),
    /// No such replica.
    #[error("workload `{workload}` has no replica {replica}")]
    UnknownReplica {
        /// The workload.
        workload: String,
        /// The number.
        replica: u32,
    },
    /// No such node.
    #[error("there is no node `{0}`")]
    UnknownNode(String),
    /// It is there already.
    #[error("replica {replica} of `{workload}` is on `{node}` already")]
    SameNode {
        /// The workload.
        workload: String,
        /// The number.
        replica: u32,
        /// The node.
        node: String,
    },
    /// A move of it runs.
    #[error("replica {replica} of `{workload}` is being moved; wait until that has ended")]
    Moving {
        /// The workload.
        workload: String,
        /// The number.
        replica: u32,
    },
    /// The node's unrequested CPU or memory does not suffice.
    #[error("node `{node}` has {free} {resource} left of what can be requested, and {needed} are needed")]
    NoRoom {
        /// The node.
        node: String,
        /// `millicores` or `bytes of memory`.
        resource: &'static str,
        /// What the replica requests.
        needed: f64,
        /// What is left.
        free: f64,
    },
    /// A ramp step is outside its limits.
    #[error("a ramp goes up in steps from 1 to 100 percent; {0} is not such a step")]
    Ramp(u8),
}
