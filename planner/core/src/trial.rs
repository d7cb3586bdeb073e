//! The last gate before production is touched: a trial in the staging mesh, or somebody's word instead of it.
//!
//! A plan that is to be tried is handed to the rollout with an order for each move ([`Trial::Owed`]); the rollout tries
//! the move in its state `Trial`, and goes on only with a verdict that passes ([`Trial::permits`]). So what is tried is
//! tried just before it is done, and a planner that is killed meanwhile finds the order in its journal.
mod errors;
mod judge;
mod order;
mod samples;
mod slower;
#[cfg(test)]
mod tests;

pub use judge::{TrialReport, TrialVerdict, judge};
pub use order::{TrialLimits, TrialOrder, TrialRefused, order};
pub use samples::{Answer, Pair, TrialSamples};

use crate::{
    approval::Approval,
    inputs::Inputs,
    plan::{Move, Plan},
    policy::RelocationPolicy,
    time::Timestamp,
    twin::{MovePrediction, SimulatedPlan},
};
use serde::{Deserialize, Serialize};

/// A plan that may be rolled out. It is made from a [`SimulatedPlan`] and carries how it was tried, or has to be.
///
/// It can be deserialised because a rollout that outlives its planner finds it again in its own journal; that is the
/// journal's way back in and nobody else's. A plan from anywhere else goes through `verify` and `simulate`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestedPlan {
    plan: Plan,
    predictions: Vec<MovePrediction>,
    trial: Trials,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    approval: Option<Approval>,
}

/// How the moves of a plan are tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Trials {
    /// All in the same way.
    All(Trial),
    /// Each in its own, in the order of the plan.
    Each(Vec<Trial>),
}

/// How a move is tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "trial")]
pub enum Trial {
    /// It is not: somebody takes the responsibility.
    Waived {
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// When the waiver was used.
        at: Timestamp,
    },
    /// It has to be, before anything of production is touched.
    Owed {
        /// What is to be tried.
        order: Box<TrialOrder>,
    },
    /// It was, and this came of it.
    Tried {
        /// The verdict with its numbers.
        report: Box<TrialReport>,
    },
}

impl Trial {
    /// Whether the move may go on to production: the trial passed, or was waived.
    pub fn permits(&self) -> bool {
        match self {
            Self::Waived { .. } => true,
            Self::Owed { .. } => false,
            Self::Tried { report } => report.verdict == TrialVerdict::Pass,
        }
    }

    /// What is to be tried, while it is not.
    pub fn owed(&self) -> Option<&TrialOrder> {
        match self {
            Self::Owed { order } => Some(order),
            Self::Waived { .. } | Self::Tried { .. } => None,
        }
    }

    /// What came of it, once it was tried.
    pub fn report(&self) -> Option<&TrialReport> {
        match self {
            Self::Tried { report } => Some(report),
            Self::Waived { .. } | Self::Owed { .. } => None,
        }
    }

    /// In words.
    pub fn in_words(&self) -> String {
        match self {
            Self::Waived { by, reason, .. } => format!("waived by {by}: {reason}"),
            Self::Owed { order } => format!("owed: {}", order.in_words()),
            Self::Tried { report } => format!("{}: {}", report.verdict.name(), report.why),
        }
    }
}

impl TestedPlan {
    /// The plan.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What the twin expects of one of its moves, which reality is compared with afterwards; `None` of one that has no
    /// objective of latency.
    pub fn prediction_of(&self, planned: &Move) -> Option<&MovePrediction> {
        self.predictions.iter().find(|prediction| prediction.workload == planned.workload)
    }

    /// How a move is tried, by its number in the plan; `None` when it has so few moves.
    pub fn trial(&self, number: usize) -> Option<&Trial> {
        match &self.trial {
            Trials::All(trial) => (number < self.plan.moves.len()).then_some(trial),
            Trials::Each(trials) => trials.get(number),
        }
    }

    /// The human who said yes to it; `None` of a plan that policies in mode `auto` asked for.
    pub const fn approval(&self) -> Option<&Approval> {
        self.approval.as_ref()
    }

    /// The same plan with the yes of a human. Only [`crate::approval::approved`] says it.
    pub(crate) fn approved(self, approval: Approval) -> Self {
        Self { approval: Some(approval), ..self }
    }
}

/// Lets a plan through without a trial, and records on whose word.
pub fn waive(plan: SimulatedPlan, who: &str, reason: &str, now: Timestamp) -> TestedPlan {
    let (plan, predictions) = plan.into_parts();
    let trial = Trials::All(Trial::Waived { by: who.to_owned(), reason: reason.to_owned(), at: now });
    TestedPlan { plan, predictions, trial, approval: None }
}

/// Lets a plan through to its trials: each move whose policy does not waive the trial gets an order for one. `staging` is
/// how trials are made, where there is a staging mesh.
///
/// # Errors
/// When a move can neither go without a trial nor be tried, with the remedy.
pub fn owe(
    plan: SimulatedPlan,
    inputs: &Inputs<'_>,
    staging: Option<&TrialLimits>,
) -> Result<TestedPlan, TrialRefused> {
    let mut trials = Vec::new();
    for planned in &plan.plan().moves {
        let policy = policy_of(inputs, &planned.reason.policy)?;
        trials.push(match &policy.waiver {
            Some(waiver) => {
                Trial::Waived { by: waiver.by.clone(), reason: waiver.reason.clone(), at: inputs.now }
            }
            None => Trial::Owed {
                order: Box::new(order(planned, plan.prediction_of(planned), policy, inputs, staging)?),
            },
        });
    }
    let (plan, predictions) = plan.into_parts();
    let alike = trials.windows(2).all(|two| two[0] == two[1]);
    let trial = match trials.first() {
        Some(first) if alike => Trials::All(first.clone()),
        _ => Trials::Each(trials),
    };
    Ok(TestedPlan { plan, predictions, trial, approval: None })
}

fn policy_of<'a>(
    inputs: &Inputs<'a>,
    policy: &crate::ids::PolicyId,
) -> Result<&'a RelocationPolicy, TrialRefused> {
    let found = inputs.policies.iter().find(|candidate| candidate.id == *policy);
    found.ok_or_else(|| TrialRefused::NoPolicy { policy: policy.clone() })
}
