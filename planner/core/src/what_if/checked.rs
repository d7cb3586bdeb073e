//! The hard side of an answer: conditions on places, and the checker of plans.
use super::{
    answer::{Checked, Refused},
    question::{Asked, Question, Resolved},
};
use crate::{
    history::Metric,
    inputs::{Inputs, OwnedInputs},
    placement::{
        Placement,
        constraint::{Mover, movable},
        layout::Layout,
    },
    plan::{Cause, Move, MoveReason, Plan},
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

/// One move after the other, each with those before it under way.
fn conditions(inputs: &Inputs<'_>, moves: &[Asked]) -> Vec<Refused> {
    let mut layout = Layout::new(inputs);
    let mut refused = Vec::new();
    for asked in moves {
        let (Some(workload), Some(from), Some(to)) = (
            layout.workload_index(&asked.workload),
            layout.node_index(&asked.from),
            layout.node_index(&asked.to_id),
        ) else {
            continue;
        };
        let mut refuse = |why: String| {
            let (workload, node) = (asked.workload.clone(), asked.to_id.clone());
            refused.push(Refused { workload, node, why });
        };
        if let Err(why) = movable(&layout, workload) {
            refuse(why.to_string());
        }
        let within_ms = inputs.settings.default_move_duration_ms.max(1_800_000);
        if let Err(why) = Mover::new(&layout, workload).feasible(from, to, within_ms) {
            refuse(why.to_string());
        }
        layout.begin(crate::placement::layout::Step { workload, from: Some(from), to });
    }
    refused
}

/// The plan that would have these moves.
fn plan(inputs: &Inputs<'_>, moves: &[Asked]) -> Result<Plan, String> {
    let moves = moves.iter().map(|asked| planned(inputs, asked)).collect::<Result<Vec<_>, _>>()?;
    let placement = Placement { moves, ..Placement::default() };
    let built = Plan::build(inputs, &placement).map_err(|error| error.to_string())?;
    built.ok_or_else(|| "nothing is moved".to_owned())
}

fn planned(inputs: &Inputs<'_>, asked: &Asked) -> Result<Move, String> {
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
        after: Vec::new(),
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
