//! What requests wait for, how well they are measured, what a move takes, and what is promised.

use serde::Deserialize;

use crate::duration::Minutes;

/// What requests wait for.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Requests {
    /// A caller gives up after so long.
    pub timeout_ms: f64,
    /// Tries after the first.
    pub retries: u32,
    /// Share of requests that fail at any time.
    pub error_share: f64,
}

/// How well it is measured.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Telemetry {
    /// Relative error of measured CPU, memory and latency.
    pub noise: f64,
    /// Share of reports that are lost, each service, node and replica for itself.
    pub loss: f64,
    /// Times at which nothing is reported, of all or of nobody.
    pub gaps_per_day: f64,
    /// How long such a gap is.
    pub gap: Minutes,
}

/// What a move takes.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Moves {
    /// Time to pull an image to a node that has none of the service; 50 to 150 % of it.
    pub image_pull: Minutes,
    /// Time from the image to ready; 50 to 150 % of it.
    pub start_up: Minutes,
    /// Cores taken while starting.
    pub start_up_cores: f64,
    /// Factor on the CPU of a request with cold caches.
    pub cold_factor: f64,
    /// Time in which what is cold falls to a third.
    pub warms_in: Minutes,
    /// Share of moves whose replica never gets ready.
    pub failure_share: f64,
}

/// Objectives of the services.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Objectives {
    /// P99 objective over the P99 at reference load in the initial placement.
    pub p99_factor: f64,
    /// No objective is below this.
    pub least_ms: f64,
    /// Fewer requests in a minute say nothing about a P99.
    pub min_requests: u32,
}

impl Default for Requests {
    fn default() -> Self {
        Self { timeout_ms: 3000.0, retries: 1, error_share: 0.000_02 }
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { noise: 0.02, loss: 0.002, gaps_per_day: 0.0, gap: Minutes(10) }
    }
}

impl Default for Moves {
    fn default() -> Self {
        Self {
            image_pull: Minutes(1),
            start_up: Minutes(2),
            start_up_cores: 0.3,
            cold_factor: 1.3,
            warms_in: Minutes(5),
            failure_share: 0.0,
        }
    }
}

impl Default for Objectives {
    fn default() -> Self {
        Self { p99_factor: 2.0, least_ms: 2.0, min_requests: 100 }
    }
}
