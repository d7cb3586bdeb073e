//! What a whole plan would bring, move by move, each with the load of the ones before it.
use super::{
    Calibration, Evaluation, KNOTS, MEDIAN, MeshModel, NodeIx, Path, ReplicaIx, TwinStep, TwinUnknown,
    confirm::{self, Confirmation},
};
use crate::{
    ids::{NodeId, PolicyId, WorkloadId},
    inputs::Inputs,
    plan::{Move, Plan},
    policy::{PredictedLatency, objective},
    units::Quantile,
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

    /// What is expected of one of its moves; `None` of one that has no objective of latency. No workload moves twice.
    pub fn prediction_of(&self, planned: &Move) -> Option<&MovePrediction> {
        self.predictions.iter().find(|prediction| prediction.workload == planned.workload)
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
    /// What a simulation of single requests says; `None` when the service has too few requests among all that would
    /// have to be simulated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<Confirmation>,
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
    /// Formulas and simulation do not agree on whether the move helps.
    #[error(
        "moving workload `{workload}` is predicted to bring {from_ms:.1} to {to_ms:.1} ms, but single requests went from {:.1} to {:.1} ms in the simulation",
        simulated.source_ms,
        simulated.target_ms
    )]
    Disputed {
        /// What would move.
        workload: WorkloadId,
        /// Latency of the service in milliseconds if nothing moved, by the formulas.
        from_ms: f64,
        /// Its latency after the move.
        to_ms: f64,
        /// The simulation.
        simulated: Confirmation,
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

/// Simulates a plan against the inputs as they are now, each move with the ones before it made.
///
/// # Errors
/// [`SimulationError`] when the twin predicts a breach on a target, when its formulas and a simulation of single
/// requests do not agree, or when it cannot tell.
pub fn simulate(plan: VerifiedPlan, inputs: &Inputs<'_>) -> Result<SimulatedPlan, SimulationError> {
    let mesh = MeshModel::build(inputs);
    let mut layout = mesh.start();
    let mut predictions = Vec::with_capacity(plan.plan().moves.len());
    for (number, planned) in plan.plan().moves.iter().enumerate() {
        let (_, rule) = rule_of(inputs, planned).ok_or_else(|| SimulationError::NoSuchRule {
            policy: planned.reason.policy.clone(),
            rule: planned.reason.rule.clone(),
        })?;
        let unknown = |why| SimulationError::Unknown { workload: planned.workload.clone(), why };
        let (from, to) = places(&mesh, planned).map_err(unknown)?;
        // What moves for another keeps its own objective.
        let own =
            planned.reason.on_behalf_of.as_ref().and_then(|_| objective(inputs.policies, &planned.service));
        let Some(rule) = own.or(rule.latency()) else {
            layout.carry_out(planned);
            continue;
        };
        let seed = confirm::seed(&plan.plan().input_digest, number);
        predictions.push(predict(&mut layout, planned, rule, (from, to), seed)?);
    }
    Ok(SimulatedPlan { plan, predictions })
}

/// The replica whose traffic goes, and who gets it and where, when the twin knows enough of all.
fn places(mesh: &MeshModel, planned: &Move) -> Result<(ReplicaIx, (ReplicaIx, NodeIx)), TwinUnknown> {
    let no_replica = || TwinUnknown::NoReplica { workload: planned.workload.clone() };
    let replica = mesh.replica_ix(&planned.workload, &planned.replica).ok_or_else(no_replica)?;
    let target = planned.shift_to.as_ref().unwrap_or(&planned.replica);
    let target = mesh.replica_ix(&planned.workload, target).ok_or_else(no_replica)?;
    let unknown = || TwinUnknown::NodeUnknown { node: planned.to.clone() };
    let to = mesh.node_ix(&planned.to).ok_or_else(unknown)?;
    match mesh.replica_unknown(replica).or(mesh.node_unknown(to)) {
        Some(why) => Err(why.clone()),
        None => Ok((replica, (target, to))),
    }
}

/// Makes a move in the layout and says what it brings.
fn predict(
    layout: &mut Evaluation<'_>,
    planned: &Move,
    rule: &PredictedLatency,
    (replica, (successor, to)): (ReplicaIx, (ReplicaIx, NodeIx)),
    seed: u64,
) -> Result<MovePrediction, SimulationError> {
    let mesh = layout.mesh();
    let workload = || planned.workload.clone();
    let knots = mesh.knots(rule.within_ms);
    let from = layout.node_of(replica);
    let before = layout.clone();
    let source = path(layout, replica, from, rule.quantile, knots);
    layout.carry_out(planned);
    let target = path(layout, successor, to, rule.quantile, knots);
    // What moves for another must not lose its objective; where it has none left to lose, it was checked that nobody
    // comes to more than without the plan.
    let for_itself = planned.reason.on_behalf_of.is_none();
    let lost = source.worst_ms().is_none_or(|ms| ms > rule.above_ms);
    let most_ms = if for_itself || !lost { rule.above_ms } else { f64::INFINITY };
    match target.worst_ms() {
        None => {
            let utilisation = target.highest_utilisation();
            let node = planned.to.clone();
            return Err(SimulationError::WouldSaturate { workload: workload(), node, utilisation });
        }
        Some(predicted_ms) if predicted_ms > most_ms => {
            return Err(SimulationError::WouldBreach {
                workload: workload(),
                node: planned.to.clone(),
                predicted_ms,
                objective_ms: rule.above_ms,
            });
        }
        Some(_) => {}
    }
    let confirmed = confirm::confirm((&before, layout), replica, rule.quantile, knots, seed);
    // What moves for another need not get faster.
    if for_itself && let Some(dispute) = confirmed.and_then(|confirmed| confirmed.dispute(rule.above_ms)) {
        let (from_ms, to_ms, simulated) = dispute;
        return Err(SimulationError::Disputed { workload: workload(), from_ms, to_ms, simulated });
    }
    Ok(MovePrediction {
        workload: workload(),
        demand_core_ms: mesh.demand_core_ms(replica).unwrap_or(0.0),
        calibration: mesh.calibration(mesh.service_of(replica)),
        source,
        target,
        confirmed: confirmed.map(|confirmed| confirmed.simulated),
    })
}

/// A replica where it is, knot by knot, as expected.
fn path(layout: &Evaluation<'_>, replica: ReplicaIx, node: NodeIx, quantile: Quantile, knots: usize) -> Path {
    let step = |knot: usize| TwinStep {
        at: layout.mesh().knot_start(knot),
        utilisation: layout.node_use(node, knot, MEDIAN),
        latency_ms: layout.replica_latency(replica, quantile, knot, MEDIAN),
    };
    Path { steps: (0..knots.min(KNOTS)).map(step).collect() }
}
