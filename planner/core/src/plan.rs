//! A plan: which replicas go where, in which order, and why. It never changes once made and leaves no choice to
//! whoever carries it out.
use crate::{
    ids::{NodeId, PlanId, PolicyId, ReplicaId, ServiceId, WorkloadId},
    time::Timestamp,
    units::{Probability, Quantile},
};
use serde::{Deserialize, Serialize};

/// An immutable plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Derived from the content: equal inputs give the equal id.
    pub id: PlanId,
    /// The plan that was in force when this one was made.
    pub parent: Option<PlanId>,
    /// Counts plans up; an executor refuses a plan older than the newest that it saw.
    pub generation: u64,
    /// When the inputs were taken.
    pub made_at: Timestamp,
    /// SHA-256 over the canonical JSON of all inputs, in hex: two plans with equal digests must be equal.
    pub input_digest: String,
    /// What to do, one after the other.
    pub moves: Vec<Move>,
    /// What was looked at and not chosen, with the reason.
    pub rejected: Vec<Rejection>,
}

/// One replica that goes from one node to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Move {
    /// What moves.
    pub workload: WorkloadId,
    /// The service that it answers for.
    pub service: ServiceId,
    /// The replica that is replaced.
    pub replica: ReplicaId,
    /// Where it runs now.
    pub from: NodeId,
    /// Where its successor will run.
    pub to: NodeId,
    /// Why, with the numbers.
    pub reason: MoveReason,
    /// Shares of traffic in percent that the target gets, one ramp step after the other; the last one is 100.
    pub ramp_percent: Vec<u8>,
}

/// Why a replica is moved: the numbers that decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MoveReason {
    /// The policy whose rule fired.
    pub policy: PolicyId,
    /// The rule's name in that policy.
    pub rule: String,
    /// Quantile of latency that the objective is about.
    pub quantile: Quantile,
    /// The objective in milliseconds.
    pub objective_ms: f64,
    /// Start of the first predicted breach.
    pub breach_at: Timestamp,
    /// Probability of that breach when nothing is done.
    pub breach_probability: Probability,
    /// Highest predicted latency in milliseconds over the window when nothing is done.
    pub stay_ms: f64,
    /// Highest predicted latency in milliseconds over the same window on the target.
    pub move_ms: f64,
    /// The model that forecast the breach.
    pub model: String,
    /// How long the move is expected to take, in milliseconds.
    pub lead_ms: i64,
}

/// A target that was considered and refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rejection {
    /// What would have moved.
    pub workload: WorkloadId,
    /// Where it would have gone.
    pub node: NodeId,
    /// Why not.
    pub why: RejectionReason,
}

/// Why a node was refused as a target; every refused node has one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum RejectionReason {
    /// The replica runs there already.
    IsSource,
    /// The platform could not reach it.
    Unreachable {
        /// What the platform said.
        detail: String,
    },
    /// The operator wants no new replicas on it.
    Cordoned,
    /// The workload may not run there.
    NotAllowed,
    /// Its use is not known, and an unknown node is never a target.
    UsageUnknown,
    /// Not enough CPU left over the window.
    NotEnoughCpu {
        /// What the workload needs, in millicores.
        needed_millicores: f64,
        /// What is left at the fullest moment of the window, in millicores.
        free_millicores: f64,
    },
    /// The workload would breach its objective there too, or come too close to it.
    WouldBreachThere {
        /// Predicted latency there in milliseconds.
        predicted_ms: f64,
        /// The most that it may be, in milliseconds: objective less margin.
        limit_ms: f64,
    },
    /// Not better than staying by the margin.
    NoGain {
        /// Predicted latency there in milliseconds.
        predicted_ms: f64,
        /// Predicted latency where it is, in milliseconds.
        stay_ms: f64,
    },
    /// Feasible, but another node costs less.
    CostsMore {
        /// Its cost.
        cost: f64,
        /// The chosen node's cost.
        chosen: f64,
    },
}
