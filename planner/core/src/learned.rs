//! What traffic and past moves have taught about the mesh: CPU per request, who calls whom, how far nodes are from one
//! another, and how wrong the twin was.
//!
//! All of it is fitted outside of a decision, from histories, and is part of the decision's inputs as plain numbers, so
//! that a decision can be made again from its record.
mod graph;
mod outcome;
mod paired;
mod proximity;
mod record;

pub use graph::{CallCount, Served};
pub use paired::{CallTimes, samples};
pub use proximity::DistanceSample;

use crate::ids::{NodeId, ServiceId, WorkloadId, Zone};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that was learned. Empty is what a new planner knows: nothing follows from it, and nothing is refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Learned {
    /// CPU per request of each workload.
    pub demand: BTreeMap<WorkloadId, Demand>,
    /// Who calls whom.
    pub graph: CallGraph,
    /// How far nodes are from one another.
    pub proximity: Proximity,
    /// How wrong the twin was about past moves.
    pub twin: TwinRecord,
}

/// CPU that one request of a workload takes, fitted from CPU against throughput.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Demand {
    /// CPU time of one request in milliseconds of one core.
    pub core_ms: f64,
    /// Ends of the interval that holds `core_ms` with nine chances in ten.
    pub low_core_ms: f64,
    /// The upper end.
    pub high_core_ms: f64,
    /// CPU of one replica without any request, in millicores.
    pub idle_millicores: f64,
    /// Steps that it was fitted to.
    pub steps: usize,
}

/// Who calls whom, and how often, from live traffic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallGraph(pub BTreeMap<ServiceId, Vec<Call>>);

/// Calls from one service to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The service that is called.
    pub callee: ServiceId,
    /// Calls for one request of the caller, on average.
    pub per_request: f64,
    /// Share of the calls that were made again after a failure, above 0.
    #[serde(default)]
    pub retries: f64,
    /// Whether the caller waits for the answer.
    pub waits: bool,
}

/// Distances between nodes and zones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Proximity {
    /// Between nodes, from the smaller name to the larger; a node to itself is in it too.
    pub nodes: Vec<(NodeId, NodeId, Distance)>,
    /// Between zones, likewise.
    pub zones: Vec<(Zone, Zone, Distance)>,
}

/// Time that a call spends between two places, there and back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distance {
    /// Mean in milliseconds.
    pub mean_ms: f64,
    /// Standard error of that mean, in milliseconds.
    pub error_ms: f64,
    /// Calls that it was measured on.
    pub calls: u64,
}

/// How the twin's predictions of past moves compared with what came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TwinRecord {
    /// Newest first, of the last month at most.
    pub moves: Vec<TwinOutcome>,
}

/// One prediction of a move and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TwinOutcome {
    /// What moved.
    pub workload: WorkloadId,
    /// Predicted latency on the target, in milliseconds, over the steps that were observed.
    pub predicted_ms: f64,
    /// Measured latency there over the same steps.
    pub measured_ms: f64,
}
