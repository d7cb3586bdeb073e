//! A scenario file as a whole.

use serde::Deserialize;

use super::{
    Background, Fault, Limits, Load, Moves, Neighbour, Network, Nodes, Objectives, Placement, Replicas,
    Requests, Telemetry,
};
use crate::duration::Minutes;

/// What a scenario mainly tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Load that grows over hours.
    Ramp,
    /// Daily peaks.
    Peak,
    /// Events of a calendar.
    Event,
    /// Load of others on a node.
    Neighbour,
    /// A fault that follows a service wherever it runs.
    Fault,
    /// Ordinary days.
    Steady,
}

/// A scenario file.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScenarioSpec {
    /// Name, for reports.
    pub name: String,
    /// What it mainly tries.
    pub kind: Kind,
    /// First minute of the warm-up, ISO 8601 with zone.
    pub start: String,
    /// How long strategies may learn before it counts.
    #[serde(default = "two_days")]
    pub warm_up: Minutes,
    /// How long it counts.
    #[serde(default = "one_day")]
    pub measured: Minutes,
    /// Period of the load, told to whoever asks.
    #[serde(default = "one_day")]
    pub season: Minutes,
    /// Requests sampled of each service in a minute, at most.
    #[serde(default = "samples")]
    pub samples_per_minute: usize,
    /// The nodes.
    #[serde(default)]
    pub nodes: Nodes,
    /// Replicas of each service.
    #[serde(default)]
    pub replicas: Replicas,
    /// Where they run at first.
    #[serde(default)]
    pub placement: Placement,
    /// The load.
    pub load: Load,
    /// Load of others that is always there.
    #[serde(default)]
    pub background: Background,
    /// Load of others that comes and goes.
    #[serde(default)]
    pub neighbours: Vec<Neighbour>,
    /// Faults that follow a service.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// Distances between nodes.
    #[serde(default)]
    pub network: Network,
    /// What requests wait for, and how often they are tried.
    #[serde(default)]
    pub requests: Requests,
    /// CPU limits; none without.
    #[serde(default)]
    pub limits: Option<Limits>,
    /// How well it is measured.
    #[serde(default)]
    pub telemetry: Telemetry,
    /// What a move takes.
    #[serde(default)]
    pub moves: Moves,
    /// Objectives of the services.
    #[serde(default)]
    pub objectives: Objectives,
}

const fn two_days() -> Minutes {
    Minutes(2880)
}

const fn one_day() -> Minutes {
    Minutes(1440)
}

const fn samples() -> usize {
    400
}
