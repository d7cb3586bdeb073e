//! Whether a plan that a human says yes to may be carried out now: exactly that plan, judged on the newest inputs.
//!
//! A plan that waits for a human gets old. It goes through everything that a plan of mode `auto` goes through in the
//! pass that makes it, and nothing of it is taken over from the pass that made it.
use crate::{
    duration::in_words,
    ids::{PlanId, PolicyId},
    inputs::Inputs,
    plan::{Move, Plan},
    policy::Mode,
    report::Refusal,
    revalidate::{Outdated, revalidate_plan},
    time::Timestamp,
    trial::{TestedPlan, TrialLimits, TrialRefused, owe},
    twin::simulate,
    verify::{VerifyError, verify},
};
use serde::{Deserialize, Serialize};

/// A human's yes to a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who.
    pub by: String,
    /// Why; empty when nothing was said.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// Why a plan may not be carried out now, although a human said yes.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NotNow {
    /// It is too old to be said yes to.
    #[error(
        "it was made {} ago, and can be approved for {} (`approveWithin`)",
        in_words(*age_ms),
        in_words(*limit_ms)
    )]
    Expired {
        /// Its age in milliseconds.
        age_ms: i64,
        /// The highest age, in milliseconds.
        limit_ms: i64,
    },
    /// A plan that was made later was begun.
    #[error(
        "{} was begun since it was made (generation {newest}, this one has {generation}), so the mesh is not the one that \
         it was made for",
        newer(by.as_ref())
    )]
    Superseded {
        /// Its generation.
        generation: u64,
        /// That of the newest plan.
        newest: u64,
        /// The newest plan.
        by: Option<PlanId>,
    },
    /// The policy may not go so far any more.
    #[error("policy `{policy}` is in mode {} now, and a plan can be approved in mode approve or auto", mode.name())]
    Mode {
        /// The policy.
        policy: PolicyId,
        /// Its mode.
        mode: Mode,
    },
    /// It can neither go without a trial nor be tried.
    #[error("{0}")]
    Trial(TrialRefused),
    /// It breaks an invariant or a guard rail now.
    #[error("{}", listed(.0))]
    Checker(VerifyError),
    /// It would not be decided any more.
    #[error("{0}")]
    Outdated(Outdated),
    /// The twin expects a breach now, or does not know.
    #[error("{0}")]
    Twin(crate::twin::SimulationError),
}

fn newer(by: Option<&PlanId>) -> String {
    by.map_or_else(|| "a newer plan".to_owned(), |plan| format!("plan `{plan}`"))
}

/// Every broken invariant: whoever asked is to know all that stands in the way.
fn listed(error: &VerifyError) -> String {
    let each: Vec<String> = error.violations.iter().map(ToString::to_string).collect();
    each.join("; ")
}

impl From<&NotNow> for Refusal {
    fn from(why: &NotNow) -> Self {
        match why {
            NotNow::Checker(error) => Self::Checker(error.clone()),
            NotNow::Twin(error) => Self::Twin(error.clone()),
            why => Self::Outdated(why.to_string()),
        }
    }
}

/// Judges a plan that a human said yes to. `inputs` are the newest ones, with the moves that run at this very moment, and
/// with the newest plan that was begun as the newest plan: one that was made and refused changed nothing. `limit_ms` is the
/// age up to which a plan can be approved, `staging` how trials are made where there is a staging mesh.
///
/// # Errors
/// [`NotNow`] with what has changed since the plan was made, or what was missing then already.
pub fn approved(
    plan: Plan,
    approval: Approval,
    inputs: &Inputs<'_>,
    limit_ms: i64,
    staging: Option<&TrialLimits>,
) -> Result<TestedPlan, NotNow> {
    let age_ms = inputs.now.ms_since(plan.made_at);
    if age_ms > limit_ms {
        return Err(NotNow::Expired { age_ms, limit_ms });
    }
    if plan.generation <= inputs.newest_generation {
        return Err(NotNow::Superseded {
            generation: plan.generation,
            newest: inputs.newest_generation,
            by: inputs.parent.cloned(),
        });
    }
    allowed(inputs, &plan.moves)?;
    let verified = verify(plan, inputs).map_err(NotNow::Checker)?;
    revalidate_plan(inputs, verified.plan(), Mode::Approve).map_err(NotNow::Outdated)?;
    let simulated = simulate(verified, inputs).map_err(NotNow::Twin)?;
    // A plan without moves does not come through the checker.
    let tested = owe(simulated, inputs, staging).map_err(NotNow::Trial)?;
    Ok(tested.approved(approval))
}

/// Whether the policy of every move may move. Of a policy that is gone the checker tells.
fn allowed(inputs: &Inputs<'_>, moves: &[Move]) -> Result<(), NotNow> {
    for planned in moves {
        let named = &planned.reason.policy;
        let Some(policy) = inputs.policies.iter().find(|policy| policy.id == *named) else { continue };
        if policy.mode < Mode::Approve {
            return Err(NotNow::Mode { policy: named.clone(), mode: policy.mode });
        }
    }
    Ok(())
}
