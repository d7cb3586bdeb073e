//! The digital twin: the latency of every service for any assignment of replicas to nodes, over the look-ahead.
//!
//! [`MeshModel`] is the mesh as numbers, built once a pass; [`Evaluation`] is one layout of it with its costs. Each node
//! shares its CPU among everything on it; a service takes what its own CPU, and whatever it waits for, takes. What
//! measured latency has beyond that stays as it is wherever the service goes. [`events`] simulates the same requests one
//! by one, and [`simulate`] asks both. It says so when it does not know. `docs/twin.md` has the formulas and how good
//! they are.
mod calls;
mod confirm;
pub mod demand;
mod evaluation;
pub mod events;
mod lanes;
mod mesh;
mod moments;
mod sharing;
mod simulate;
mod tail_fit;

pub use confirm::Confirmation;
pub use evaluation::{Delta, Evaluation, TwinBreach};
pub use lanes::{KNOTS, LANES, lane};
pub use mesh::{MeshModel, NodeIx, Objective, ReplicaIx, ServiceIx};
pub use simulate::{MovePrediction, SimulatedPlan, SimulationError, simulate};

use crate::{
    ids::{NodeId, ServiceId, WorkloadId},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// Place of the median in [`LEVELS`](crate::forecast::LEVELS): what is expected.
pub const MEDIAN: usize = 3;
/// Place in [`LEVELS`](crate::forecast::LEVELS) of the level that capacity is planned for: loads above the upper quartile at all steps at
/// once are rare enough for the headroom to take them.
pub const UPPER: usize = 4;

/// Throughput in requests per second below which CPU per request is noise.
pub(crate) const LEAST_RPS: f64 = 0.1;

/// Why the twin cannot tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum TwinUnknown {
    /// CPU use of the workload was not reported.
    #[error("CPU use of workload `{workload}` is not known; check that the platform reports it")]
    NoCpu {
        /// The workload.
        workload: WorkloadId,
    },
    /// The service has had hardly any traffic lately, so CPU per request cannot be told.
    #[error(
        "service `{service}` has had less than 0.1 requests per second lately, too few to tell CPU per request"
    )]
    NoThroughput {
        /// The service.
        service: ServiceId,
    },
    /// How many requests will come is not known.
    #[error("throughput of service `{service}` could not be forecast: {why}")]
    NoThroughputForecast {
        /// The service.
        service: ServiceId,
        /// Why not.
        why: String,
    },
    /// Use of a node is not known over the window.
    #[error("CPU use of node `{node}` is not known over the whole window")]
    NodeUnknown {
        /// The node.
        node: NodeId,
    },
    /// The workload is not in the snapshot, or has no replica there.
    #[error("workload `{workload}` has no replica in the snapshot")]
    NoReplica {
        /// The workload.
        workload: WorkloadId,
    },
}

/// How measured latency compares with the model where the workload runs now.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Measured latency at the objective's quantile over what the model says of it without calibration.
    pub ratio: f64,
    /// Why the ratio is not simply measured over modelled, if it is not.
    pub note: CalibrationNote,
}

/// How a calibration came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CalibrationNote {
    /// Measured over modelled.
    Measured,
    /// As older planners wrote it: the ratio was outside of 0.05 to 20 and set to the nearer end.
    Clamped,
    /// Measured latency or present CPU use is missing, or a node is saturated now: the model as it is.
    Uncalibrated,
}

/// One step of a replica on a node.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TwinStep {
    /// Start of the step.
    pub at: Timestamp,
    /// Share of the node's CPU in use by everything; may pass 1, where the node is saturated.
    pub utilisation: f64,
    /// Latency in milliseconds at the objective's quantile; `None` when the node is saturated.
    pub latency_ms: Option<f64>,
}

/// A replica on a node, over a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Path {
    /// One entry for each step.
    pub steps: Vec<TwinStep>,
}

impl Path {
    /// Highest latency in milliseconds; `None` when the node saturates.
    pub fn worst_ms(&self) -> Option<f64> {
        self.steps.iter().try_fold(0.0, |worst: f64, step| Some(worst.max(step.latency_ms?)))
    }

    /// The step that holds at a moment; none before the first and after the last.
    pub fn at(&self, moment: Timestamp) -> Option<&TwinStep> {
        self.steps.iter().rev().find(|step| step.at <= moment).filter(|_| moment < self.end())
    }

    /// The end of the last step, which is as long as the one before it.
    pub fn end(&self) -> Timestamp {
        match self.steps[..] {
            [.., before, last] => last.at.plus_ms(last.at.ms_since(before.at)),
            [only] => only.at,
            [] => Timestamp::from_unix_ms(i64::MIN),
        }
    }

    /// Highest share of CPU in use.
    pub fn highest_utilisation(&self) -> f64 {
        self.steps.iter().map(|step| step.utilisation).fold(0.0, f64::max)
    }
}
