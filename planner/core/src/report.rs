//! What was seen, decided and refused, and why: one record for each service and pass, readable by machines and, by
//! [`AuditRecord::explain`], by people.
mod explain;
mod facts;

pub use facts::{Alternative, Facts, Group, IfNothing, MoveFacts, Uncertainty};

use crate::{
    decide::{Decision, ServiceAssessment},
    ids::{PlanId, PolicyId, ServiceId},
    inputs::{Inputs, Measured},
    placement::NothingBecause,
    plan::{Move, Plan, Rejection},
    policy::{Mode, Quantity, Verdict},
    time::Timestamp,
    twin::{SimulatedPlan, SimulationError, simulate},
    verify::{VerifyError, verify},
};
use serde::{Deserialize, Serialize};
use std::mem::discriminant;

/// One decision about one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// When it was made.
    pub at: Timestamp,
    /// Which pass of the loop made it.
    pub pass: u64,
    /// The service.
    pub service: ServiceId,
    /// What was seen.
    pub seen: Seen,
    /// What was decided.
    pub decided: Decided,
    /// SHA-256 of everything that the decision depends on, when a plan was made.
    pub input_digest: Option<String>,
}

/// What was seen of a service when it was decided on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// What it did in its newest steps.
    pub measured: Option<Measured>,
    /// The policy that counted.
    pub policy: PolicyId,
    /// Its rule that counted.
    pub rule: String,
    /// How far the policy may go.
    pub mode: Mode,
    /// What the rule compares with: an objective of latency, or a limit of something else.
    pub objective: Quantity,
    /// What the rule said.
    pub verdict: Verdict,
    /// The model that forecast it; `None` without a forecast.
    pub model: Option<String>,
    /// Its mean absolute error over replayed origins, in milliseconds; only of a rule that looks at latency.
    pub backtest_mae_ms: Option<f64>,
    /// Age of the newest value behind the forecast, in milliseconds.
    pub data_age_ms: Option<i64>,
}

/// What was decided for a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "decision")]
pub enum Decided {
    /// It is moved.
    Move(PlannedMove),
    /// It is moved when a human approves.
    AwaitingApproval(PlannedMove),
    /// It would be moved, if the policy allowed it.
    Recommend(PlannedMove),
    /// A move was planned and then refused: it stays.
    Refused {
        /// The move.
        planned: PlannedMove,
        /// Who refused it, and why.
        by: Refusal,
    },
    /// It stays.
    Nothing {
        /// Why.
        because: NothingBecause,
    },
}

/// Who refused a planned move, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "who", content = "why")]
pub enum Refusal {
    /// The plan breaks an invariant.
    #[error("the checker refused it: {0}")]
    Checker(VerifyError),
    /// The twin expects a breach, or does not know.
    #[error("the twin refused it: {0}")]
    Twin(SimulationError),
    /// A human approved it when it did not hold any more.
    #[error("it does not hold any more: {0}")]
    Outdated(String),
    /// Whoever was to carry it out could not begin.
    #[error("it could not begin: {0}")]
    Executor(String),
}

/// The checker and the twin, one after the other, as every plan goes through them before it is acted on.
///
/// # Errors
/// [`Refusal`] of whoever refused it first.
pub fn checked(plan: Plan, inputs: &Inputs<'_>) -> Result<SimulatedPlan, Refusal> {
    let verified = verify(plan, inputs).map_err(Refusal::Checker)?;
    simulate(verified, inputs).map_err(Refusal::Twin)
}

/// A move in its plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedMove {
    /// The plan.
    pub plan: PlanId,
    /// The plan's generation.
    pub generation: u64,
    /// The move.
    pub planned: Move,
    /// Nodes that were refused for it.
    pub rejected: Vec<Rejection>,
}

impl AuditRecord {
    /// Whether this record only repeats the one before it: nothing is done, for the same kind of reason. A trail may
    /// leave repeated records out, or each quiet service would add one with every pass.
    pub fn repeats(&self, before: &Self) -> bool {
        match (&self.decided, &before.decided) {
            (Decided::Nothing { because }, Decided::Nothing { because: before_because }) => {
                self.service == before.service && discriminant(because) == discriminant(before_because)
            }
            _ => false,
        }
    }
}

/// Turns the moves of a plan into refused ones.
pub fn refuse(records: &mut [AuditRecord], plan: &PlanId, by: &Refusal) {
    for record in records {
        if let Decided::Move(planned) = &record.decided
            && planned.plan == *plan
        {
            record.decided = Decided::Refused { planned: planned.clone(), by: by.clone() };
        }
    }
}

/// The records of one pass, in the order of the services' names.
pub fn records(inputs: &Inputs<'_>, decision: &Decision, pass: u64) -> Vec<AuditRecord> {
    let record = |assessed: &ServiceAssessment| {
        let rule = assessed.assessment.decisive()?;
        let (decided, input_digest) = decided(decision, &assessed.service)?;
        Some(AuditRecord {
            at: inputs.now,
            pass,
            service: assessed.service.clone(),
            seen: Seen {
                measured: assessed.measured,
                policy: assessed.assessment.policy.clone(),
                rule: rule.rule.clone(),
                mode: assessed.mode,
                objective: assessed.objective,
                verdict: rule.verdict.clone(),
                model: assessed.model.clone(),
                backtest_mae_ms: assessed.backtest_mae_ms,
                data_age_ms: assessed.data_age_ms,
            },
            decided,
            input_digest,
        })
    };
    decision.assessments.iter().filter_map(record).collect()
}

fn decided(decision: &Decision, service: &ServiceId) -> Option<(Decided, Option<String>)> {
    if let Some((planned, digest)) = in_plan(decision.plan.as_ref(), service) {
        return Some((Decided::Move(planned), Some(digest)));
    }
    if let Some((planned, digest)) = in_plan(decision.awaiting_approval.as_ref(), service) {
        return Some((Decided::AwaitingApproval(planned), Some(digest)));
    }
    if let Some((planned, digest)) = in_plan(decision.recommended.as_ref(), service) {
        return Some((Decided::Recommend(planned), Some(digest)));
    }
    let (_, because) = decision.nothing_because.iter().find(|(other, _)| other == service)?;
    Some((Decided::Nothing { because: because.clone() }, None))
}

fn in_plan(plan: Option<&Plan>, service: &ServiceId) -> Option<(PlannedMove, String)> {
    let plan = plan?;
    let planned = plan.moves.iter().find(|planned| planned.service == *service)?;
    let of_workload = plan.rejected.iter().filter(|rejection| rejection.workload == planned.workload);
    let planned_move = PlannedMove {
        plan: plan.id.clone(),
        generation: plan.generation,
        planned: planned.clone(),
        rejected: of_workload.cloned().collect(),
    };
    Some((planned_move, plan.input_digest.clone()))
}
