//! The way back of a move that is over, because a human asks for it.
//!
//! It is a plan of one move like any other: the checker and the twin judge it on the newest inputs, so a node that is gone,
//! has no room or would be too slow by now refuses it, and freezes and limits of moves at once hold. Cooldown and the budget
//! of the day do not: they are there against a planner that cannot make up its mind, and this is a human's decision. No trial
//! is made of it, because the service ran there before.
use crate::{
    approval::Approval,
    ids::{NodeId, WorkloadId},
    inputs::Inputs,
    placement::{NothingBecause, Placement, stale},
    plan::{Cause, DigestError, Move, MoveReason, PairWeights, Plan, Traffic},
    report::{Refusal, checked},
    rollout::{Phase, RolloutRecord},
    trial::{TestedPlan, waive},
    units::Probability,
};

/// Why a move is not undone.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NotUndone {
    /// It is not over.
    #[error("it is not over ({0}); `foremesh abort` takes it back")]
    Running(Phase),
    /// It ended where it began.
    #[error("it ended as {0}, so there is nothing to undo")]
    NotMoved(Phase),
    /// It is not known well enough what runs where.
    #[error("{0}")]
    Blind(NothingBecause),
    /// The replica that it started is not there any more.
    #[error(
        "workload `{workload}` does not run any more on `{node}` as the move left it; move it by a policy, or by hand"
    )]
    MovedSince {
        /// The workload.
        workload: WorkloadId,
        /// Where the move left it.
        node: NodeId,
    },
    /// The way back breaks an invariant or a guard rail, or the twin expects a breach of it.
    #[error("{0}")]
    Refused(Refusal),
    /// The way back is no plan.
    #[error("the way back could not be planned: {0}")]
    NoPlan(String),
}

impl From<DigestError> for NotUndone {
    fn from(error: DigestError) -> Self {
        Self::NoPlan(error.to_string())
    }
}

/// Plans and judges the way back of a move that has succeeded. `inputs` are the newest ones, with the moves that run at
/// this very moment, and the newest plan that was made.
///
/// # Errors
/// [`NotUndone`]; nothing is to be done then.
pub fn undo(
    record: &RolloutRecord,
    approval: Approval,
    inputs: &Inputs<'_>,
) -> Result<TestedPlan, NotUndone> {
    match record.state.phase() {
        Phase::Succeeded => {}
        ended if record.state.is_last() => return Err(NotUndone::NotMoved(ended)),
        running => return Err(NotUndone::Running(running)),
    }
    if let Some(stale) = stale(inputs) {
        return Err(NotUndone::Blind(stale));
    }
    let back = way_back(record, inputs)?;
    let inputs = rested(inputs);
    let placement = Placement { moves: vec![back], ..Placement::default() };
    let plan = Plan::build(&inputs, &placement)?;
    let plan = plan.ok_or_else(|| NotUndone::NoPlan("it moves nothing".to_owned()))?;
    let simulated = checked(plan, &inputs).map_err(NotUndone::Refused)?;
    let why = format!("no trial is made of a way back: the service ran there before {}", record.id);
    Ok(waive(simulated, &approval.by, &why, inputs.now).approved(approval))
}

/// The inputs as if nothing had been moved: without cooldown, and with the whole budget of the day.
pub(crate) fn rested<'a>(inputs: &Inputs<'a>) -> Inputs<'a> {
    Inputs { past_moves: &[], ..*inputs }
}

/// The move with its ends changed over. A shift of traffic gives back what it took.
fn way_back(record: &RolloutRecord, inputs: &Inputs<'_>) -> Result<Move, NotUndone> {
    let done = &record.relocation;
    let since = || NotUndone::MovedSince { workload: done.workload.clone(), node: done.to.clone() };
    let target = record.target.as_ref().ok_or_else(since)?;
    let replicas = &inputs.snapshot.workloads.get(&done.workload).ok_or_else(since)?.replicas;
    let there = replicas.get(target).filter(|replica| replica.node == done.to).ok_or_else(since)?;
    let (before, after) = (done.traffic.before, done.traffic.after);
    let turned = |pair: PairWeights| PairWeights { source: pair.target, target: pair.source };
    let traffic = if done.is_shift() {
        Traffic { before: turned(after), after: turned(before) }
    } else {
        Traffic::of_replica(there.weight, 100)
    };
    let reason = MoveReason {
        breach_at: inputs.now,
        breach_probability: Probability::default(),
        stay_ms: 0.0,
        move_ms: 0.0,
        model: String::new(),
        lead_ms: inputs.duration_of(&done.workload),
        on_behalf_of: None,
        cause: Cause::Undo { of: record.id.clone() },
        ..done.reason.clone()
    };
    Ok(Move {
        replica: target.clone(),
        from: done.to.clone(),
        to: done.from.clone(),
        reason,
        traffic,
        shift_to: done.is_shift().then(|| done.replica.clone()),
        after: Vec::new(),
        then: Vec::new(),
        ..done.clone()
    })
}
