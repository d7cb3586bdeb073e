//! The hard side of an answer: conditions on places, and the checker of plans.
use super::{
    answer::{Checked, Refused},
    question::{Asked, Question, Resolved},
};
use crate::{
    history::Metric,
    ids::WorkloadId,
    inputs::{Inputs, OwnedInputs},
    placement::{
        Placement,
        constraint::{Mover, movable},
        layout::Layout,
    },
    plan::{Cause, Move, MoveReason, Plan, Traffic, WHOLE},
    policy::{PredictedLatency, RelocationPolicy, Rule},
    topology::NodeState,
    units::Probability,
    verify::verify,
};

/// Judges the moves in a world in which the failed nodes have failed and the load is as asked.
pub(super) fn check(inputs: &OwnedInputs, question: &Question, resolved: &Resolved) -> Checked {
    let mut world = inputs.clone();
    for failed in &question.node_down {
        if let Some(node) = world.snapshot.nodes.get_mut(failed) {
            node.state = NodeState::Unreachable("it is taken to have failed".to_owned());
        }
    }
    for (service, factor) in &question.load {
        let known = world.services.get_mut(service);
        let forecast = known.and_then(|known| known.forecasts.get_mut(&Metric::Throughput)?.as_mut().ok());
        if let Some(forecast) = forecast {
            forecast.scale(*factor);
        }
    }
    let inputs = world.borrow();
    let mut checked = Checked { refused: conditions(&inputs, &resolved.moves), ..Checked::default() };
    if resolved.moves.is_empty() {
        return checked;
    }
    match plan(&inputs, &resolved.moves) {
        Err(why) => checked.objections.push(why),
        Ok(plan) => match verify(plan, &inputs) {
            Ok(_) => checked.accepted = true,
            Err(error) => checked.objections.extend(error.violations.iter().map(ToString::to_string)),
        },
    }
    checked
}

/// One move after the other, each when those before it are over.
fn conditions(inputs: &Inputs<'_>, moves: &[Asked]) -> Vec<Refused> {
    let mut snapshot = inputs.snapshot.clone();
    let mut refused = Vec::new();
    for asked in moves {
        let now = Inputs { snapshot: &snapshot, ..*inputs };
        refused.extend(condition(&now, asked).into_iter().map(|why| Refused {
            workload: asked.workload.clone(),
            node: asked.to_id.clone(),
            why,
        }));
        let workload = snapshot.workloads.get_mut(&asked.workload);
        if let Some(placed) = workload.and_then(|workload| workload.replicas.get_mut(&asked.replica_id)) {
            placed.node.clone_from(&asked.to_id);
        }
    }
    refused
}

/// Why the workload cannot be moved at all, and why not there.
fn condition(inputs: &Inputs<'_>, asked: &Asked) -> Vec<String> {
    let layout = Layout::new(inputs);
    let found = (
        layout.workload_index(&asked.workload),
        layout.node_index(&asked.from),
        layout.node_index(&asked.to_id),
    );
    let (Some(workload), Some(from), Some(to)) = found else { return Vec::new() };
    let rule = rule_for(inputs, asked);
    let within_ms = rule.map_or(0, |(_, _, latency)| latency.within_ms);
    let immovable = movable(&layout, workload).err().map(|why| why.to_string());
    let refused =
        Mover::new(&layout, workload).feasible(from, to, within_ms).err().map(|why| why.to_string());
    immovable.into_iter().chain(refused).collect()
}

/// The plan that would have these moves.
fn plan(inputs: &Inputs<'_>, moves: &[Asked]) -> Result<Plan, String> {
    let mut before: Vec<WorkloadId> = Vec::new();
    let in_order = moves.iter().map(|asked| {
        let made = planned(inputs, asked, before.clone());
        before.push(asked.workload.clone());
        made
    });
    let moves = in_order.collect::<Result<Vec<_>, _>>()?;
    let placement = Placement { moves, ..Placement::default() };
    let built = Plan::build(inputs, &placement).map_err(|error| error.to_string())?;
    built.ok_or_else(|| "nothing is moved".to_owned())
}

fn planned(inputs: &Inputs<'_>, asked: &Asked, after: Vec<WorkloadId>) -> Result<Move, String> {
    let workload = &inputs.snapshot.workloads[&asked.workload];
    let (policy, rule, latency) = rule_for(inputs, asked)
        .ok_or_else(|| format!("no policy with an objective of latency is about `{}`", workload.service))?;
    Ok(Move {
        workload: asked.workload.clone(),
        service: workload.service.clone(),
        replica: asked.replica_id.clone(),
        from: asked.from.clone(),
        to: asked.to_id.clone(),
        reason: MoveReason {
            policy: policy.id.clone(),
            rule: rule.name.clone(),
            quantile: latency.quantile,
            objective_ms: latency.above_ms,
            breach_at: inputs.now,
            breach_probability: Probability::default(),
            stay_ms: 0.0,
            move_ms: 0.0,
            model: "asked".to_owned(),
            lead_ms: inputs.duration_of(&asked.workload),
            on_behalf_of: None,
            cause: Cause::default(),
        },
        ramp_percent: policy.ramp_percent.clone(),
        traffic: Traffic::of_replica(
            workload.replicas.get(&asked.replica_id).map_or(WHOLE, |now| now.weight),
            100,
        ),
        shift_to: None,
        after,
        then: Vec::new(),
    })
}

fn rule_for<'a>(
    inputs: &Inputs<'a>,
    asked: &Asked,
) -> Option<(&'a RelocationPolicy, &'a Rule, &'a PredictedLatency)> {
    let service = &inputs.snapshot.workloads.get(&asked.workload)?.service;
    inputs.policies.iter().filter(|policy| policy.selects(service)).find_map(|policy| {
        let rule = policy.rules.iter().find(|rule| rule.latency().is_some())?;
        Some((policy, rule, rule.latency()?))
    })
}
