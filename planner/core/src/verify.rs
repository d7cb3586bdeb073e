//! Checks the invariants of a plan, whoever made it, against the world as it is now.
mod form;
pub(crate) use form::waited_for;
mod room;
mod weights;

use crate::{
    ids::{NodeId, PlanId, PolicyId, ReplicaId, ServiceId, WorkloadId},
    inputs::Inputs,
    latency::reach,
    placement::constraint::Immovable,
    plan::{Move, PairWeights, Plan, RejectionReason, Traffic},
    policy::{NotPermitted, RelocationPolicy, Rule},
    twin::TwinUnknown,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A plan that holds all invariants. Only [`verify`] makes one.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct VerifiedPlan(Plan);

impl VerifiedPlan {
    /// The plan.
    pub const fn plan(&self) -> &Plan {
        &self.0
    }

    /// Gives the plan back; what was checked is forgotten with it.
    pub fn into_plan(self) -> Plan {
        self.0
    }
}

/// An invariant that a plan breaks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Violation {
    /// The id does not follow from the content.
    #[error("plan `{id}` was changed after it was made: its content has the id `{content}`")]
    ContentChanged {
        /// Its id.
        id: PlanId,
        /// The id that its content has.
        content: PlanId,
    },
    /// Nothing is moved.
    #[error("the plan has no moves")]
    Empty,
    /// A newer plan exists.
    #[error("the plan has generation {generation}, but generation {newest} was seen already")]
    OldGeneration {
        /// The plan's generation.
        generation: u64,
        /// The newest one seen.
        newest: u64,
    },
    /// More moves at once than allowed.
    #[error(
        "the plan has {moves} moves at once and {in_flight} are in flight, but {limit} at a time are allowed"
    )]
    TooManyMoves {
        /// Moves of the plan that may run side by side.
        moves: usize,
        /// Moves in flight.
        in_flight: usize,
        /// The limit.
        limit: usize,
    },
    /// A workload is moved twice, or moves already.
    #[error("workload `{workload}` has more than one move")]
    MovedTwice {
        /// The workload.
        workload: WorkloadId,
    },
    /// The workload or replica is not there.
    #[error("replica `{replica}` of workload `{workload}` is not in the snapshot")]
    NoSuchReplica {
        /// The workload.
        workload: WorkloadId,
        /// The replica.
        replica: ReplicaId,
    },
    /// The workload answers for another service than the plan says.
    #[error("workload `{workload}` answers for `{actual}`, not for `{planned}`")]
    OtherService {
        /// The workload.
        workload: WorkloadId,
        /// Service that it answers for.
        actual: String,
        /// Service in the plan.
        planned: String,
    },
    /// The replica runs somewhere else.
    #[error("replica `{replica}` runs on `{actual}`, not on `{planned}`")]
    NotOnSource {
        /// The replica.
        replica: ReplicaId,
        /// Where it runs.
        actual: NodeId,
        /// Where the plan says that it runs.
        planned: NodeId,
    },
    /// Source and target are the same.
    #[error("replica `{replica}` would move from `{node}` to itself")]
    SameNode {
        /// The replica.
        replica: ReplicaId,
        /// The node.
        node: NodeId,
    },
    /// Nobody may move it.
    #[error("workload `{workload}` is pinned: {reason}")]
    Pinned {
        /// The workload.
        workload: WorkloadId,
        /// Why.
        reason: String,
    },
    /// The target does not take it.
    #[error("node `{node}` does not take workload `{workload}`: {why}")]
    TargetRefuses {
        /// The workload.
        workload: WorkloadId,
        /// The target.
        node: NodeId,
        /// Why not.
        why: RejectionReason,
    },
    /// The ramp is not a way from little to all.
    #[error("the ramp {ramp:?} must rise from at least 1 and end with 100")]
    Ramp {
        /// The ramp.
        ramp: Vec<u8>,
    },
    /// Traffic is to be shared out unevenly for good, and the platform cannot do that.
    #[error(
        "the traffic of workload `{workload}` is to be shared out by weights, which this platform cannot do"
    )]
    NoWeights {
        /// The workload.
        workload: WorkloadId,
    },
    /// The weights of its two ends are not those that it was planned with.
    #[error(
        "the ends of the move of `{workload}` have the weights {actual}, not {planned} as it was planned"
    )]
    WeightsChanged {
        /// The workload.
        workload: WorkloadId,
        /// As they are.
        actual: PairWeights,
        /// As it was planned.
        planned: PairWeights,
    },
    /// Weights appear from nowhere, or traffic goes the wrong way.
    #[error("the weights of the move of `{workload}` go from {} to {}: {why}", traffic.before, traffic.after)]
    Weights {
        /// The workload.
        workload: WorkloadId,
        /// Before and after.
        traffic: Traffic,
        /// What is wrong with that.
        why: String,
    },
    /// The replica that is to get the traffic is not there, or does not answer.
    #[error(
        "replica `{replica}` of workload `{workload}` is to get traffic on `{node}`, but does not answer there"
    )]
    TargetNotServing {
        /// The workload.
        workload: WorkloadId,
        /// The replica.
        replica: ReplicaId,
        /// Where it should be.
        node: NodeId,
    },
    /// The policy or rule that it is made for is gone, or is about other services.
    #[error("rule `{rule}` of policy `{policy}` does not apply to `{service}` any more")]
    NoSuchRule {
        /// The policy.
        policy: PolicyId,
        /// The rule.
        rule: String,
        /// The service.
        service: String,
    },
    /// The policy's guard rails do not let it through.
    #[error("workload `{workload}` may not move: {why}")]
    NotPermitted {
        /// The workload.
        workload: WorkloadId,
        /// Which one.
        why: NotPermitted,
    },
    /// The digest of the inputs is none.
    #[error("the digest of its inputs must be 64 hexadecimal digits, not `{digest}`")]
    Digest {
        /// What stands there.
        digest: String,
    },
    /// It waits for a move that does not come before it.
    #[error(
        "the move of workload `{workload}` waits for one of `{after}`, but none comes before it in the plan"
    )]
    Order {
        /// The workload.
        workload: WorkloadId,
        /// What it waits for.
        after: WorkloadId,
    },
    /// It cannot be moved, wherever it would go.
    #[error("workload `{workload}` cannot be moved: {why}")]
    Immovable {
        /// The workload.
        workload: WorkloadId,
        /// Why not.
        why: Immovable,
    },
    /// A service would be pushed into a breach.
    #[error(
        "service `{service}` would {} by the plan, its objective is {objective_ms:.1} ms", reach(*predicted_ms)
    )]
    WouldHarm {
        /// The service.
        service: ServiceId,
        /// What it would come to, in milliseconds; `null` where a node saturates.
        #[serde(with = "crate::latency")]
        predicted_ms: f64,
        /// Its objective in milliseconds.
        objective_ms: f64,
    },
    /// Capacity could not be judged.
    #[error("capacity could not be checked: {why}")]
    Unknown {
        /// Why not.
        why: TwinUnknown,
    },
}

/// Why a plan was refused: every broken invariant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("plan `{plan}` breaks {} invariants, first: {}", violations.len(), first(violations))]
pub struct VerifyError {
    /// The plan.
    pub plan: PlanId,
    /// What it breaks, in the order of the moves.
    pub violations: Vec<Violation>,
}

fn first(violations: &[Violation]) -> String {
    violations.first().map(ToString::to_string).unwrap_or_default()
}

/// The rule that a move was made for, as it is now.
pub(crate) fn rule_of<'a>(inputs: &Inputs<'a>, planned: &Move) -> Option<(&'a RelocationPolicy, &'a Rule)> {
    let policy = inputs.policies.iter().find(|policy| policy.id == planned.reason.policy)?;
    let rule = policy.rules.iter().find(|rule| rule.name == planned.reason.rule)?;
    let at_risk = planned.reason.on_behalf_of.as_ref().unwrap_or(&planned.service);
    policy.selects(at_risk).then_some((policy, rule))
}

/// Checks a plan against the inputs as they are now; these may be newer than those it was made from. Their
/// `newest_generation` is that of the newest *other* plan: a plan that is checked again just before it is carried out
/// is not older than itself.
///
/// Moves are judged one after the other. Each finds the moves that it waits for done, and all others before it under
/// way, with their load at both ends.
///
/// # Errors
/// [`VerifyError`] with every invariant that the plan breaks.
pub fn verify(plan: Plan, inputs: &Inputs<'_>) -> Result<VerifiedPlan, VerifyError> {
    let mut violations = of_plan(&plan, inputs);
    let mut moved = BTreeSet::new();
    for (index, planned) in plan.moves.iter().enumerate() {
        let in_flight = inputs.in_flight.iter().any(|moving| moving.workload == planned.workload);
        if in_flight || !moved.insert(&planned.workload) {
            violations.push(Violation::MovedTwice { workload: planned.workload.clone() });
        }
        form::of_move(&plan.moves, index, inputs, &mut violations);
    }
    room::check((&plan.moves, &plan.later), inputs, &mut violations);
    if violations.is_empty() {
        Ok(VerifiedPlan(plan))
    } else {
        Err(VerifyError { plan: plan.id, violations })
    }
}

fn of_plan(plan: &Plan, inputs: &Inputs<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    // A plan without JSON form cannot have come from anywhere; its id is then wrong as well.
    let content = plan.content_id().unwrap_or_else(|_| PlanId::new("none"));
    if content != plan.id {
        violations.push(Violation::ContentChanged { id: plan.id.clone(), content });
    }
    let digest = &plan.input_digest;
    if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        violations.push(Violation::Digest { digest: digest.clone() });
    }
    if plan.moves.is_empty() {
        violations.push(Violation::Empty);
    }
    if plan.generation <= inputs.newest_generation {
        let newest = inputs.newest_generation;
        violations.push(Violation::OldGeneration { generation: plan.generation, newest });
    }
    let at_once = |index: usize| index + 1 - form::waited_for(&plan.moves, index).len();
    let moves = (0..plan.moves.len()).map(at_once).max().unwrap_or(0);
    let (in_flight, limit) = (inputs.in_flight.len(), inputs.settings.max_concurrent_moves);
    if moves + in_flight > limit {
        violations.push(Violation::TooManyMoves { moves, in_flight, limit });
    }
    violations
}
