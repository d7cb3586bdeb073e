//! What a whole plan would bring, move by move, each with the load of the ones before it.
use super::{Calibration, Commitments, MEDIAN, Own, Path, TwinUnknown, fit};
use crate::{
    ids::{NodeId, PolicyId, WorkloadId},
    inputs::Inputs,
    plan::Plan,
    verify::{VerifiedPlan, rule_of},
};
use serde::{Deserialize, Serialize};

/// A verified plan of which the twin expects that it keeps its objectives. Only [`simulate`] makes one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SimulatedPlan {
    plan: VerifiedPlan,
    predictions: Vec<MovePrediction>,
}

impl SimulatedPlan {
    /// The plan.
    pub const fn plan(&self) -> &Plan {
        self.plan.plan()
    }

    /// What the twin expects of each move, in the order of the plan.
    pub fn predictions(&self) -> &[MovePrediction] {
        &self.predictions
    }

    /// Gives the parts back.
    pub fn into_parts(self) -> (Plan, Vec<MovePrediction>) {
        (self.plan.into_plan(), self.predictions)
    }
}

/// What the twin expects of one move over the rule's look-ahead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MovePrediction {
    /// What moves.
    pub workload: WorkloadId,
    /// CPU time of one request in milliseconds of one core.
    pub demand_core_ms: f64,
    /// Correction by measured latency.
    pub calibration: Calibration,
    /// If it stayed.
    pub source: Path,
    /// If it moved.
    pub target: Path,
}

/// Why the twin refuses a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum SimulationError {
    /// The objective would not hold on the target.
    #[error(
        "workload `{workload}` would reach {predicted_ms:.1} ms on `{node}`, but the objective is {objective_ms:.1} ms"
    )]
    WouldBreach {
        /// What would move.
        workload: WorkloadId,
        /// The target.
        node: NodeId,
        /// Highest predicted latency there in milliseconds.
        predicted_ms: f64,
        /// The objective in milliseconds.
        objective_ms: f64,
    },
    /// The target would be full.
    #[error("node `{node}` would be full with workload `{workload}`: {:.0} % of its CPU in use", utilisation * 100.0)]
    WouldSaturate {
        /// What would move.
        workload: WorkloadId,
        /// The target.
        node: NodeId,
        /// Highest predicted share of CPU in use.
        utilisation: f64,
    },
    /// The rule that the move was made for is gone.
    #[error("rule `{rule}` of policy `{policy}` does not apply any more")]
    NoSuchRule {
        /// The policy.
        policy: PolicyId,
        /// The rule.
        rule: String,
    },
    /// The twin cannot tell, so nothing may be moved.
    #[error("what moving workload `{workload}` would bring is not known: {why}")]
    Unknown {
        /// What would move.
        workload: WorkloadId,
        /// Why not.
        why: TwinUnknown,
    },
}

/// Simulates a plan against the inputs as they are now.
///
/// # Errors
/// [`SimulationError`] when the twin predicts a breach on a target, or cannot tell.
pub fn simulate(plan: VerifiedPlan, inputs: &Inputs<'_>) -> Result<SimulatedPlan, SimulationError> {
    let mut commitments = Commitments::in_flight(inputs);
    let mut predictions = Vec::with_capacity(plan.plan().moves.len());
    for planned in &plan.plan().moves {
        let workload = || planned.workload.clone();
        let (_, rule) = rule_of(inputs, planned).ok_or_else(|| SimulationError::NoSuchRule {
            policy: planned.reason.policy.clone(),
            rule: planned.reason.rule.clone(),
        })?;
        let Some(rule) = rule.latency() else { continue };
        let unknown = |why| SimulationError::Unknown { workload: workload(), why };
        let model = fit(inputs, &planned.workload, rule.quantile).map_err(unknown)?;
        let on = |node, own| model.path(inputs, node, own, &commitments, rule.within_ms, MEDIAN);
        let source = on(&planned.from, Own::Included).map_err(unknown)?;
        let target = on(&planned.to, Own::Added).map_err(unknown)?;
        match target.worst_ms() {
            None => {
                let utilisation = target.highest_utilisation();
                let node = planned.to.clone();
                return Err(SimulationError::WouldSaturate { workload: workload(), node, utilisation });
            }
            Some(predicted_ms) if predicted_ms > rule.above_ms => {
                return Err(SimulationError::WouldBreach {
                    workload: workload(),
                    node: planned.to.clone(),
                    predicted_ms,
                    objective_ms: rule.above_ms,
                });
            }
            Some(_) => {}
        }
        predictions.push(MovePrediction {
            workload: workload(),
            demand_core_ms: model.demand_core_ms,
            calibration: model.calibration,
            source,
            target,
        });
        commitments.add(planned.to.clone(), model);
    }
    Ok(SimulatedPlan { plan, predictions })
}
