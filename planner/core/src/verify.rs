//! Checks the invariants of a plan, whoever made it, against the world as it is now.
use crate::{
    ids::{NodeId, PlanId, PolicyId, ReplicaId, WorkloadId},
    inputs::Inputs,
    placement::constraint,
    plan::{Move, Plan, RejectionReason},
    policy::{NotPermitted, RelocationPolicy, Rule, objective, permit::Scope, permits},
    twin::{self, Commitments, TwinUnknown},
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
    #[error("the plan has {moves} moves and {in_flight} are in flight, but {limit} at a time are allowed")]
    TooManyMoves {
        /// Moves of the plan.
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
    policy.selects(&planned.service).then_some((policy, rule))
}

/// Checks a plan against the inputs as they are now; these may be newer than those it was made from. Their
/// `newest_generation` is that of the newest *other* plan: a plan that is checked again just before it is carried out
/// is not older than itself.
///
/// # Errors
/// [`VerifyError`] with every invariant that the plan breaks.
pub fn verify(plan: Plan, inputs: &Inputs<'_>) -> Result<VerifiedPlan, VerifyError> {
    let mut violations = of_plan(&plan, inputs);
    let mut commitments = Commitments::in_flight(inputs);
    let mut moved = BTreeSet::new();
    for (index, planned) in plan.moves.iter().enumerate() {
        let in_flight = inputs.in_flight.iter().any(|moving| moving.workload == planned.workload);
        if in_flight || !moved.insert(&planned.workload) {
            violations.push(Violation::MovedTwice { workload: planned.workload.clone() });
        }
        if let Some((policy, _)) = rule_of(inputs, planned)
            && let Err(why) =
                permits(inputs, policy, &planned.workload, &planned.from, &planned.to, &plan.moves[..index])
            // Said already: it is moved twice.
            && !matches!(why, NotPermitted::Concurrent { scope: Scope::Workload(_), .. })
        {
            violations.push(Violation::NotPermitted { workload: planned.workload.clone(), why });
        }
        of_move(planned, inputs, &mut commitments, &mut violations);
    }
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
    if plan.moves.is_empty() {
        violations.push(Violation::Empty);
    }
    if plan.generation <= inputs.newest_generation {
        let newest = inputs.newest_generation;
        violations.push(Violation::OldGeneration { generation: plan.generation, newest });
    }
    let (moves, in_flight) = (plan.moves.len(), inputs.in_flight.len());
    let limit = inputs.settings.max_concurrent_moves;
    if moves + in_flight > limit {
        violations.push(Violation::TooManyMoves { moves, in_flight, limit });
    }
    violations
}

/// What can be said of a move without looking at the world.
fn of_form(planned: &Move, violations: &mut Vec<Violation>) {
    if planned.from == planned.to {
        let (replica, node) = (planned.replica.clone(), planned.to.clone());
        violations.push(Violation::SameNode { replica, node });
    }
    let ramp = &planned.ramp_percent;
    let rises = ramp.windows(2).all(|pair| pair[0] < pair[1]) && ramp.first().is_some_and(|first| *first > 0);
    if !rises || ramp.last() != Some(&100) {
        violations.push(Violation::Ramp { ramp: ramp.clone() });
    }
}

fn of_move<'a>(
    planned: &Move,
    inputs: &Inputs<'a>,
    commitments: &mut Commitments<'a>,
    violations: &mut Vec<Violation>,
) {
    of_form(planned, violations);
    let replica = planned.replica.clone();
    let rule = rule_of(inputs, planned);
    if rule.is_none() {
        violations.push(Violation::NoSuchRule {
            policy: planned.reason.policy.clone(),
            rule: planned.reason.rule.clone(),
            service: planned.service.to_string(),
        });
    }
    let workload = inputs.snapshot.workloads.get(&planned.workload);
    let Some((workload, placed)) = workload.and_then(|w| Some((w, w.replicas.get(&planned.replica)?))) else {
        violations.push(Violation::NoSuchReplica { workload: planned.workload.clone(), replica });
        return;
    };
    if workload.service != planned.service {
        violations.push(Violation::OtherService {
            workload: planned.workload.clone(),
            actual: workload.service.to_string(),
            planned: planned.service.to_string(),
        });
    }
    if placed.node != planned.from {
        let (actual, from) = (placed.node.clone(), planned.from.clone());
        violations.push(Violation::NotOnSource { replica, actual, planned: from });
    }
    if let Some(reason) = &workload.pinned {
        violations.push(Violation::Pinned { workload: planned.workload.clone(), reason: reason.clone() });
    }
    let refuses =
        |why| Violation::TargetRefuses { workload: planned.workload.clone(), node: planned.to.clone(), why };
    if let Err(why) = constraint::takes(inputs, workload, &planned.replica, &planned.to) {
        violations.push(refuses(why));
        return;
    }
    let Some(rule) =
        rule.and_then(|(_, rule)| rule.latency().or_else(|| objective(inputs.policies, &planned.service)))
    else {
        return;
    };
    match twin::fit(inputs, &planned.workload, rule.quantile) {
        Err(why) => violations.push(Violation::Unknown { why }),
        Ok(model) => {
            if let Err(why) = constraint::room(inputs, &model, &planned.to, commitments, rule.within_ms) {
                violations.push(refuses(why));
            }
            // Counted also when it does not fit: the moves after it are judged as if it were made.
            commitments.add(planned.to.clone(), model);
        }
    }
}
