//! What others do to a node, and what goes wrong in a service.

use serde::Deserialize;

use super::load::Pick;
use crate::duration::Minutes;

/// Load of others that comes and goes.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Neighbour {
    /// The node.
    pub node: Pick,
    /// Begin, from the begin of the measurement.
    pub at: Minutes,
    /// Repeats after so long.
    #[serde(default)]
    pub every: Option<Minutes>,
    /// Time to grow; 0 is a step.
    #[serde(default)]
    pub over: Minutes,
    /// Time at the top.
    pub hold: Minutes,
    /// Time to shrink.
    #[serde(default)]
    pub fall: Minutes,
    /// Share of the node's cores at the top.
    #[serde(default)]
    pub share: Option<f64>,
    /// Instead of `share`: the share that brings the node to this utilisation at reference load.
    #[serde(default)]
    pub node_utilisation: Option<f64>,
}

/// A fault that follows a service wherever it runs.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// The service.
    pub service: Pick,
    /// Begin, from the begin of the measurement.
    pub at: Minutes,
    /// How long it lasts.
    pub lasts: Minutes,
    /// Time to get there; 0 is abrupt.
    #[serde(default)]
    pub over: Minutes,
    /// Factor on the CPU of a request.
    #[serde(default = "one")]
    pub demand_factor: f64,
    /// Factor on the service's own time, without CPU: a lock, a lost index.
    #[serde(default = "one")]
    pub latency_factor: f64,
    /// Added to the service's own time.
    #[serde(default)]
    pub added_latency_ms: f64,
    /// Added to the service's own time, in P99 objectives of the service: the same harm in any mesh.
    #[serde(default)]
    pub added_objectives: f64,
    /// Share of requests that fail.
    #[serde(default)]
    pub error_share: f64,
}

const fn one() -> f64 {
    1.0
}
