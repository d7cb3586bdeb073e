//! What a plan is expected to do, and what it costs.
use crate::{
    ids::{NodeId, RolloutId, ServiceId, WorkloadId},
    placement::Cost,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a plan is expected to do to one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// The service.
    pub service: ServiceId,
    /// The objective in milliseconds that the twin holds it to; `None` without one.
    pub objective_ms: Option<f64>,
    /// Highest expected latency in milliseconds when nothing is done; `None` where it has no bound or is not known.
    pub stay_ms: Option<f64>,
    /// Probability of a breach when nothing is done, by the twin.
    pub stay_risk: f64,
    /// Highest expected latency with the plan.
    pub move_ms: Option<f64>,
    /// Probability of a breach with the plan.
    pub move_risk: f64,
}

/// What staying and moving cost, over the whole mesh.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// Nothing is done.
    pub staying: Cost,
    /// The plan is carried out, with what follows it.
    pub chosen: Cost,
}

/// Refused nodes that a plan does not list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlisted {
    /// What would have moved.
    pub workload: WorkloadId,
    /// How many nodes were refused for each kind of reason.
    pub counts: BTreeMap<String, usize>,
}

/// Why it is this replica that moves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Cause {
    /// The service at risk suffers from the node that this replica of it is on.
    #[default]
    OwnNode,
    /// The service at risk waits for this one, whose node will be too full.
    Callee {
        /// The service that is waited for.
        service: ServiceId,
        /// Its node.
        node: NodeId,
    },
    /// It lives on a node that will be too full, and is cheaper to move than the service at risk.
    Neighbour {
        /// The service at risk.
        of: ServiceId,
        /// The node.
        node: NodeId,
    },
    /// It leaves the place that another move needs.
    MakesRoom {
        /// The service at risk.
        of: ServiceId,
    },
    /// A human asked for the way back of a move.
    Undo {
        /// The move.
        of: RolloutId,
    },
}

impl Cause {
    /// Whether it is that of a service that moves for itself, which needs no words.
    pub const fn is_own(&self) -> bool {
        matches!(self, Self::OwnNode)
    }
}
