//! A human says yes to a plan that waits: judged on the newest pass, on record, and begun.
//!
//! Whether it may begin is [`foremesh_core::approval`]'s to say. Here is what it must not have: the trail that the plan is
//! found in, also after a restart, the turn that keeps a pass from beginning another plan meanwhile, and the executor.
mod running;
mod turn;
mod undo;
mod waiting;

pub use turn::{SharedTurn, Turn};
pub use undo::UndoError;
pub use waiting::Waiting;

use self::running::moves_at;
use crate::{
    audit::{Audit, AuditError, Entry, Kind},
    causes::chain,
    clock::Clock,
    control::{LatestInputs, REMEMBERED_MS},
    rollout::{RolloutError, Rollouts},
};
use foremesh_core::{
    approval::{Approval, NotNow, approved},
    duration::in_words,
    ids::{PlanId, RolloutId},
    inputs::{Inputs, OwnedInputs},
    plan::Plan,
    policy::Mode,
    report::Refusal,
    rollout::RolloutRecord,
    time::Timestamp,
    trial::TestedPlan,
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::sync::OwnedMutexGuard;

/// How long an approval waits for a pass to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// What approvals work with.
#[derive(Clone, Debug)]
pub struct ApprovalParts {
    /// Tells the time.
    pub clock: Clock,
    /// Where plans are found, and approvals recorded.
    pub audit: Arc<Audit>,
    /// Carries plans out.
    pub rollouts: Arc<Rollouts>,
    /// The newest pass.
    pub latest: Arc<LatestInputs>,
    /// Whose turn it is to begin a plan.
    pub turn: SharedTurn,
}

/// How old things may be, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct ApprovalLimits {
    /// A plan, to be approved.
    pub within_ms: i64,
    /// The newest pass, to judge a plan on.
    pub pass_ms: i64,
}

/// Takes approvals.
#[derive(Clone, Debug)]
pub struct Approvals {
    parts: ApprovalParts,
    limits: ApprovalLimits,
}

/// A plan that was begun because a human said yes.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The plan.
    pub plan: Plan,
    /// What carries out its moves, in their order.
    pub rollouts: Vec<RolloutId>,
}

/// Why a plan was not begun.
#[derive(Debug, thiserror::Error)]
pub enum ApproveError {
    /// There is none.
    #[error("there is no plan `{0}`; /api/v1/plans lists those that were made")]
    Unknown(PlanId),
    /// No human is asked about it.
    #[error("plan `{plan}` is of mode {mode}: {}", instead(mode))]
    NoneOfApprove {
        /// The plan.
        plan: PlanId,
        /// Its mode.
        mode: String,
    },
    /// It was begun before.
    #[error("plan `{plan}` was approved {before} already; /api/v1/relocations/{first} tells how it goes")]
    BegunAlready {
        /// The plan.
        plan: PlanId,
        /// By whom.
        before: String,
        /// Its first rollout.
        first: RolloutId,
    },
    /// It was written by a planner that writes plans in another way.
    #[error("plan `{plan}` cannot be read by this version of the planner; wait for the next one")]
    Unreadable {
        /// The plan.
        plan: PlanId,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// It may not be carried out now.
    #[error("plan `{plan}` was not begun, and nothing was moved: {why}")]
    Refused {
        /// The plan.
        plan: PlanId,
        /// Why not.
        #[source]
        why: Box<NotNow>,
    },
    /// The executor did not take it.
    #[error("plan `{plan}` was not begun, and nothing was moved: {why}")]
    NotTaken {
        /// The plan.
        plan: PlanId,
        /// Why not.
        why: String,
    },
    /// There is nothing to judge it on.
    #[error("no pass was made yet, so nothing tells whether the plan still holds; ask again in a moment")]
    NoPass,
    /// What there is to judge it on is old.
    #[error(
        "the newest pass was made {} ago, and a plan is judged on one of the last {}; /readyz tells what is wrong",
        in_words(*age_ms),
        in_words(*limit_ms)
    )]
    OldPass {
        /// Age of the newest pass, in milliseconds.
        age_ms: i64,
        /// Its highest age, in milliseconds.
        limit_ms: i64,
    },
    /// A pass takes long.
    #[error("a pass has been running for {} s, and no plan is begun before it ends; ask again", PATIENCE.as_secs())]
    PassRuns,
    /// The trail did not answer, and what is not on record is not done.
    #[error("the approval could not be recorded")]
    Audit(#[from] AuditError),
    /// The journal of rollouts did not answer.
    #[error("the rollouts could not be read")]
    Rollouts(#[from] RolloutError),
    /// The judgement took a panic with it.
    #[error("the judgement ended in a fault of the planner")]
    Fault(#[from] tokio::task::JoinError),
}

fn instead(mode: &str) -> &'static str {
    if mode == Mode::Auto.name() {
        "it was begun without being asked for"
    } else {
        "it is only shown; plans of policies in mode approve can be approved"
    }
}

impl Approvals {
    /// Approvals over the same parts as the loop.
    pub const fn new(parts: ApprovalParts, limits: ApprovalLimits) -> Self {
        Self { parts, limits }
    }

    /// How long a plan can be approved, in milliseconds.
    pub const fn within_ms(&self) -> i64 {
        self.limits.within_ms
    }

    /// Begins exactly this plan, if it still holds. The approval is on record before anything is done, and so is the
    /// refusal when there is one. It is brought to its end also when the caller does not wait for it.
    ///
    /// # Errors
    /// [`ApproveError`]; nothing was begun then.
    pub async fn approve(&self, plan: PlanId, by: String, reason: String) -> Result<Begun, ApproveError> {
        let own = self.clone();
        tokio::spawn(async move { own.in_turn(plan, by, reason).await }).await?
    }

    async fn in_turn(&self, plan: PlanId, by: String, reason: String) -> Result<Begun, ApproveError> {
        let mut turn = self.turn().await?;
        let plan = self.find(&plan).await?;
        let now = self.parts.clock.now();
        let inputs = self.newest_pass(now)?;
        let approval = Approval { by, reason, at: now };
        let said = json!({
            "event": "plan_approved", "plan": plan.id, "generation": plan.generation, "by": approval.by,
            "reason": approval.reason,
        });
        self.parts.audit.append(now, Kind::Event, Some(plan.id.as_str()), &said)?;
        match self.judged(&turn, inputs, plan.clone(), approval).await? {
            Ok(tested) => self.begin(&mut turn, &tested).await,
            Err(why) => {
                self.refused(&plan.id, &Refusal::from(&why))?;
                Err(ApproveError::Refused { plan: plan.id, why: Box::new(why) })
            }
        }
    }

    /// Nobody else begins a plan while this is held.
    async fn turn(&self) -> Result<OwnedMutexGuard<Turn>, ApproveError> {
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.parts.turn).lock_owned()).await;
        turn.map_err(|_| ApproveError::PassRuns)
    }

    /// What a plan is judged on.
    fn newest_pass(&self, now: Timestamp) -> Result<Arc<OwnedInputs>, ApproveError> {
        let inputs = self.parts.latest.get().ok_or(ApproveError::NoPass)?;
        let age_ms = now.ms_since(inputs.now);
        if age_ms > self.limits.pass_ms {
            return Err(ApproveError::OldPass { age_ms, limit_ms: self.limits.pass_ms });
        }
        Ok(inputs)
    }

    /// The plan, if a human is asked about it and it was not begun before.
    async fn find(&self, plan: &PlanId) -> Result<Plan, ApproveError> {
        let entries = self.parts.audit.of_plan(plan.as_str())?;
        let made = entries.iter().find(|entry| entry.record.get("plan").is_some_and(Value::is_object));
        let made = made.ok_or_else(|| ApproveError::Unknown(plan.clone()))?;
        let mode = made.record.get("mode").and_then(Value::as_str).unwrap_or_default();
        if mode != Mode::Approve.name() {
            return Err(ApproveError::NoneOfApprove { plan: plan.clone(), mode: mode.to_owned() });
        }
        if let Some(first) = self.parts.rollouts.begun(std::slice::from_ref(plan)).await?.remove(plan) {
            let record = self.parts.rollouts.get(&first).await?;
            return Err(ApproveError::BegunAlready { plan: plan.clone(), before: by_whom(&record), first });
        }
        plan_in(made).map_err(|source| ApproveError::Unreadable { plan: plan.clone(), source })
    }

    /// The judgement, with the moves that run now.
    async fn judged(
        &self,
        turn: &Turn,
        inputs: Arc<OwnedInputs>,
        plan: Plan,
        approval: Approval,
    ) -> Result<Result<TestedPlan, NotNow>, ApproveError> {
        let rollouts = self.parts.rollouts.recent(approval.at.plus_ms(-REMEMBERED_MS)).await?;
        let (begun, limit_ms) = (turn.begun.clone(), self.limits.within_ms);
        let staging = self.parts.rollouts.staging();
        let judged = tokio::task::spawn_blocking(move || {
            let (in_flight, past_moves) = moves_at(&inputs, &rollouts);
            let inputs = Inputs {
                now: approval.at,
                past_moves: &past_moves,
                in_flight: &in_flight,
                newest_generation: begun.as_ref().map_or(0, |(_, generation)| *generation),
                parent: begun.as_ref().map(|(plan, _)| plan),
                ..inputs.borrow()
            };
            approved(plan, approval, &inputs, limit_ms, staging.as_ref())
        });
        Ok(judged.await?)
    }

    async fn begin(
        &self,
        turn: &mut OwnedMutexGuard<Turn>,
        tested: &TestedPlan,
    ) -> Result<Begun, ApproveError> {
        let plan = tested.plan();
        let rollouts = match self.parts.rollouts.start(tested).await {
            Ok(rollouts) => rollouts,
            Err(error) => {
                let why = chain(&error);
                self.refused(&plan.id, &Refusal::Executor(why.clone()))?;
                return Err(match error {
                    RolloutError::Journal { .. } => error.into(),
                    _ => ApproveError::NotTaken { plan: plan.id.clone(), why },
                });
            }
        };
        turn.began(plan);
        let by = tested.approval().map(|approval| approval.by.as_str());
        tracing::info!(plan = %plan.id, by, "plan approved and begun");
        Ok(Begun { plan: plan.clone(), rollouts })
    }

    fn refused(&self, plan: &PlanId, refusal: &Refusal) -> Result<(), ApproveError> {
        tracing::warn!(plan = %plan, why = %refusal, "approved plan refused");
        let record = json!({"event": "plan_refused", "by": refusal});
        self.parts.audit.append(self.parts.clock.now(), Kind::Event, Some(plan.as_str()), &record)?;
        Ok(())
    }
}

/// The plan in its entry of the trail.
pub(crate) fn plan_in(entry: &Entry) -> Result<Plan, serde_json::Error> {
    serde_json::from_value(entry.record.get("plan").cloned().unwrap_or_default())
}

fn by_whom(record: &RolloutRecord) -> String {
    record.approval.as_ref().map_or_else(
        || "by somebody".to_owned(),
        |approval| format!("by {} at {}", approval.by, crate::api::rfc3339(approval.at)),
    )
}
