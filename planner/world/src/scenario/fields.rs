//! The fields of a scenario file and their defaults.

use std::path::PathBuf;

use serde::Deserialize;

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

/// The nodes.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Nodes {
    /// How many; else by `perService`.
    pub count: Option<usize>,
    /// Nodes for each service of the mesh, rounded up.
    pub per_service: f64,
    /// At least so many by `perService`.
    pub min: usize,
    /// At most so many by `perService`.
    pub max: usize,
    /// Zones, nodes in turn.
    pub zones: usize,
    /// Kinds of nodes, nodes in turn.
    pub kinds: Vec<NodeKind>,
}

/// One kind of nodes.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeKind {
    /// Cores.
    pub cores: u32,
    /// Memory in GiB.
    pub memory_gib: f64,
    /// Speed of a core, 1 being what demands are stated for.
    #[serde(default = "one")]
    pub speed: f64,
    /// Price of an hour.
    #[serde(default)]
    pub cost_per_hour: f64,
}

/// Replicas of each service.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Replicas {
    /// At least so many, and as many as the mesh says.
    pub min: u32,
    /// At most so many.
    pub max: u32,
    /// No replica uses more than this share of a node at reference load, as far as `max` allows.
    pub node_share: f64,
}

/// Where replicas run at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PlacementKind {
    /// Even.
    Spread,
    /// Some nodes start fuller, the others have the room.
    Packed,
}

/// Initial placement.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Placement {
    /// Even or not.
    pub kind: PlacementKind,
    /// Share of the nodes that start fuller, at least one node.
    pub hot_share: f64,
    /// Utilisation of the fuller nodes at reference load.
    pub hot_utilisation: f64,
}

/// A series in a file.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeriesRef {
    /// File, relative to the scenario file; `.csv` or `.csv.gz`.
    pub file: PathBuf,
    /// Id in the file.
    pub id: String,
}

/// The load.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Load {
    /// Mean utilisation of the cluster at reference load, background included.
    pub utilisation: f64,
    /// Series of which the seed chooses; flat without any.
    #[serde(default)]
    pub series: Vec<SeriesRef>,
    /// Each operation has a series of its own.
    #[serde(default)]
    pub per_operation: bool,
    /// Moving average over the series.
    #[serde(default = "half_hour")]
    pub smooth: Minutes,
    /// Largest value of the curve, whose mean is 1.
    #[serde(default)]
    pub peak: Option<f64>,
    /// Limits of the curve.
    #[serde(default = "load_clamp")]
    pub clamp: (f64, f64),
    /// Spread of the load around its curve, of minutes and of spells of minutes.
    #[serde(default = "load_noise")]
    pub noise: f64,
    /// Load that grows and shrinks.
    #[serde(default)]
    pub ramps: Vec<Ramp>,
    /// Events, all of them in the known calendar.
    #[serde(default)]
    pub events: Vec<Event>,
}

/// A service, an operation or a node by rank or name.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Pick {
    /// By rank, 0 being the one with most work.
    Rank(usize),
    /// `hottest`, `coolest`, or a name.
    Word(String),
}

/// Growth of load.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ramp {
    /// The service whose load grows; all load without service and operation.
    #[serde(default)]
    pub service: Option<Pick>,
    /// The operation whose load grows.
    #[serde(default)]
    pub operation: Option<Pick>,
    /// Begin, from the begin of the measurement.
    pub at: Minutes,
    /// Repeats after so long.
    #[serde(default)]
    pub every: Option<Minutes>,
    /// Time to grow.
    pub over: Minutes,
    /// Time at the top.
    pub hold: Minutes,
    /// Time to shrink.
    #[serde(default)]
    pub fall: Minutes,
    /// Factor at the top.
    #[serde(default)]
    pub to: Option<f64>,
    /// Instead of `to`: the factor that brings the fullest node of the service to this utilisation.
    #[serde(default)]
    pub node_utilisation: Option<f64>,
}

/// An event of the calendar.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Event {
    /// Tag in the calendar.
    pub tag: String,
    /// Begins, from the begin of the measurement.
    pub at: Vec<Minutes>,
    /// Each begin repeats after so long, to the end of the run.
    #[serde(default)]
    pub every: Option<Minutes>,
    /// How long it lasts.
    pub lasts: Minutes,
    /// Factor on the load.
    pub uplift: f64,
    /// Minutes in which the load gets there and back.
    #[serde(default = "ten_minutes")]
    pub rise: Minutes,
    /// The service; all load without service and operation.
    #[serde(default)]
    pub service: Option<Pick>,
    /// The operation.
    #[serde(default)]
    pub operation: Option<Pick>,
}

/// Load of others that is always there.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Background {
    /// Mean share of each node.
    pub mean: f64,
    /// Series of which each node has one; flat without any.
    pub series: Vec<SeriesRef>,
    /// Moving average over the series.
    pub smooth: Minutes,
    /// Limits of the curves, whose means are 1.
    pub clamp: (f64, f64),
    /// Spread around the curve.
    pub noise: f64,
}

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

/// One-way and back delays between nodes.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Network {
    /// On one node.
    pub same_node_ms: f64,
    /// Between nodes of a zone, on average.
    pub same_zone_ms: f64,
    /// Between zones, on average.
    pub cross_zone_ms: f64,
    /// Spread of a single round trip.
    pub jitter: f64,
}

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

/// CPU limits.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Limit of a replica over its request.
    pub cpu_factor: f64,
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

impl Default for Nodes {
    fn default() -> Self {
        let kinds = vec![NodeKind { cores: 4, memory_gib: 16.0, speed: 1.0, cost_per_hour: 0.2 }];
        Self { count: None, per_service: 0.6, min: 5, max: 40, zones: 2, kinds }
    }
}

impl Default for Replicas {
    fn default() -> Self {
        Self { min: 1, max: 8, node_share: 0.22 }
    }
}

impl Default for Placement {
    fn default() -> Self {
        Self { kind: PlacementKind::Spread, hot_share: 0.0, hot_utilisation: 0.6 }
    }
}

impl Default for Background {
    fn default() -> Self {
        Self { mean: 0.06, series: Vec::new(), smooth: Minutes(5), clamp: (0.2, 2.5), noise: 0.1 }
    }
}

impl Default for Network {
    fn default() -> Self {
        Self { same_node_ms: 0.05, same_zone_ms: 0.3, cross_zone_ms: 0.9, jitter: 0.3 }
    }
}

impl Default for Requests {
    fn default() -> Self {
        Self { timeout_ms: 3000.0, retries: 1, error_share: 0.0002 }
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
        Self { p99_factor: 2.0, least_ms: 2.0, min_requests: 20 }
    }
}

const fn two_days() -> Minutes {
    Minutes(2880)
}

const fn one_day() -> Minutes {
    Minutes(1440)
}

const fn half_hour() -> Minutes {
    Minutes(30)
}

const fn ten_minutes() -> Minutes {
    Minutes(10)
}

const fn samples() -> usize {
    400
}

const fn one() -> f64 {
    1.0
}

const fn load_clamp() -> (f64, f64) {
    (0.2, 3.0)
}

const fn load_noise() -> f64 {
    0.03
}
