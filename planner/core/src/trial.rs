//! The last gate before a rollout: a trial in the staging mesh, or somebody's word instead of it.
use crate::{
    approval::Approval,
    plan::Plan,
    time::Timestamp,
    twin::{MovePrediction, SimulatedPlan},
};
use serde::{Deserialize, Serialize};

/// A plan that may be rolled out. It is made from a [`SimulatedPlan`] and carries how it was tried.
///
/// It can be deserialised because a rollout that outlives its planner finds it again in its own journal; that is the
/// journal's way back in and nobody else's. A plan from anywhere else goes through `verify` and `simulate`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestedPlan {
    plan: Plan,
    predictions: Vec<MovePrediction>,
    trial: Trial,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    approval: Option<Approval>,
}

/// How a plan was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "trial")]
pub enum Trial {
    /// It was not: somebody takes the responsibility.
    Waived {
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// When the waiver was used.
        at: Timestamp,
    },
}

impl TestedPlan {
    /// The plan.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What the twin expects of each move, in the order of the plan: what reality is compared with afterwards.
    pub fn predictions(&self) -> &[MovePrediction] {
        &self.predictions
    }

    /// How it was tried.
    pub const fn trial(&self) -> &Trial {
        &self.trial
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
    let trial = Trial::Waived { by: who.to_owned(), reason: reason.to_owned(), at: now };
    TestedPlan { plan, predictions, trial, approval: None }
}
