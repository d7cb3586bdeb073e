//! The nodes, what runs where on them, and how far they are apart.

use serde::Deserialize;

use super::load::SeriesRef;
use crate::duration::Minutes;

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

/// CPU limits.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Limit of a replica over its request.
    pub cpu_factor: f64,
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

const fn one() -> f64 {
    1.0
}
