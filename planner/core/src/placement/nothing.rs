//! Doing nothing is a decision too, and it has a reason.
use crate::{
    duration::in_words,
    ids::{NodeId, ReplicaId, WorkloadId},
    latency::{in_ms, reach},
    placement::constraint::Immovable,
    plan::Rejection,
    policy::{Cooldown, Mode, NotPermitted, Quantity, UnknownReason},
    twin::TwinUnknown,
};
use serde::{Deserialize, Serialize};

/// Why nothing is done for a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum NothingBecause {
    /// No breach is predicted.
    #[error(
        "no breach is predicted: {worst} at worst against {objective}, probability of a breach {probability:.2}"
    )]
    Healthy {
        /// The worst value within the look-ahead.
        worst: Quantity,
        /// What it is compared with.
        objective: Quantity,
        /// Probability that a rule fires within its look-ahead.
        probability: f64,
    },
    /// Nothing can be said about the future.
    #[error("the future is not known: {why}")]
    Unknown {
        /// Why not.
        why: UnknownReason,
    },
    /// The policy does not allow it to move on its own.
    #[error("policy `{policy}` {}", held_back(*mode))]
    Mode {
        /// The policy.
        policy: String,
        /// Its mode.
        mode: Mode,
    },
    /// A guard rail of the policy stands in the way.
    #[error("{why}")]
    NotPermitted {
        /// Which one.
        why: NotPermitted,
    },
    /// No rule tells which latency the service must keep, so that no target can be judged.
    #[error(
        "no policy in force has a predictedLatency rule for it, so no target can be judged; add one with its objective"
    )]
    NoObjective,
    /// The platform was asked too long ago.
    #[error("the snapshot is {} old, but at most {} are allowed", in_words(*age_ms), in_words(*limit_ms))]
    SnapshotStale {
        /// Its age in milliseconds; negative when it is from the future.
        age_ms: i64,
        /// The limit in milliseconds.
        limit_ms: i64,
    },
    /// No workload of the service is managed.
    #[error("no workload in the snapshot answers for it")]
    NoWorkload,
    /// The workload is moving already.
    #[error("workload `{workload}` is moving already")]
    RolloutInProgress {
        /// The workload.
        workload: WorkloadId,
    },
    /// As many moves as allowed run or were chosen.
    #[error(
        "{limit} moves at the same time are allowed, and that many run or were chosen before it; then `{workload}` would \
         go to `{to}`"
    )]
    LimitReached {
        /// The limit.
        limit: usize,
        /// What would move for it.
        workload: WorkloadId,
        /// Where to.
        to: NodeId,
    },
    /// Another workload moves for it, which is cheaper.
    #[error("workload `{workload}`, moved from `{from}` to `{to}`, is expected to cure it")]
    CuredBy {
        /// What moves.
        workload: WorkloadId,
        /// From where.
        from: NodeId,
        /// Where to.
        to: NodeId,
    },
    /// Moves that are made for others cure it too, or those in flight do.
    #[error("it is expected to keep its objective with the moves that are chosen or in flight")]
    CuredByOthers,
    /// The twin does not see the breach in what its nodes and those of its callees will be used.
    #[error(
        "the cause is not the node: by the use of the nodes it would {}, but {} are forecast",
        reach(*expected_ms),
        in_ms(*forecast_ms)
    )]
    CauseIsNotTheNode {
        /// Highest latency in milliseconds that the twin expects when nothing is done.
        #[serde(with = "crate::latency")]
        expected_ms: f64,
        /// Highest latency in milliseconds that is forecast.
        #[serde(with = "crate::latency")]
        forecast_ms: f64,
    },
    /// What is predicted does not depend on the node.
    #[error("what is predicted is not about a node, so that no other node would cure it")]
    NoNodeCures,
    /// No policy that goes so far is about the workload.
    #[error("no policy of that mode is about workload `{workload}`")]
    NoPolicy {
        /// The workload.
        workload: WorkloadId,
    },
    /// Nobody may move it.
    #[error("workload `{workload}` is pinned: {reason}")]
    Pinned {
        /// The workload.
        workload: WorkloadId,
        /// Why.
        reason: String,
    },
    /// It moved a short while ago.
    #[error("workload `{workload}` {rest}")]
    Cooldown {
        /// The workload.
        workload: WorkloadId,
        /// How long it still rests.
        rest: Cooldown,
    },
    /// A replica is not ready, so something else is going on.
    #[error("replica `{replica}` of workload `{workload}` is not ready")]
    NotReady {
        /// The workload.
        workload: WorkloadId,
        /// The replica.
        replica: ReplicaId,
    },
    /// It cannot be moved, wherever it would go.
    #[error("workload `{workload}` cannot be moved: {why}")]
    Immovable {
        /// The workload.
        workload: WorkloadId,
        /// Why not.
        why: Immovable,
    },
    /// A move would not be over before the breach.
    #[error("a move takes {}, but the breach begins in {}", in_words(*needed_ms), in_words(*left_ms))]
    TooLate {
        /// Time until the breach in milliseconds.
        left_ms: i64,
        /// How long the move takes, in milliseconds.
        needed_ms: i64,
    },
    /// What a move would bring is not known.
    #[error("what a move would bring is not known: {why}")]
    TwinUnknown {
        /// Why not.
        why: TwinUnknown,
    },
    /// No node can take it.
    #[error("none of the nodes can take it")]
    NoFeasibleNode {
        /// Why not, node by node.
        rejected: Vec<Rejection>,
    },
    /// There are nodes that could take it, but none where it would be better by the margin.
    #[error("no node is better by the margin")]
    NoGain {
        /// Why not, node by node.
        rejected: Vec<Rejection>,
    },
    /// The best move costs more than the breach.
    #[error("staying costs {staying:.2}, the cheapest move, to `{node}`, costs {cheapest:.2}")]
    StayingCostsLess {
        /// Cost of staying, in tier-weighted requests per second at risk.
        staying: f64,
        /// Cost of the cheapest move.
        cheapest: f64,
        /// Its target.
        node: NodeId,
    },
}

impl From<NotPermitted> for NothingBecause {
    fn from(why: NotPermitted) -> Self {
        match why {
            NotPermitted::Cooldown { workload, rest, .. } => Self::Cooldown { workload, rest },
            why => Self::NotPermitted { why },
        }
    }
}

fn held_back(mode: Mode) -> &'static str {
    match mode {
        Mode::Observe => "only says what it sees: its mode is observe",
        Mode::Recommend => "only says what it would do: its mode is recommend",
        Mode::Approve => "waits for approval: its mode is approve; `foremesh approve` lists what waits",
        Mode::Auto => "moves",
    }
}
