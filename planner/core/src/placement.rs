//! Which replica goes where: the services at risk against the nodes that can take them.
//!
//! Services are taken in the order of their weight. Each chosen move counts as load on its target for the services
//! after it, and so do the moves in flight. Staying is always a candidate.
pub mod constraint;
mod cost;
pub mod layout;
mod nothing;
pub mod search;

pub use cost::Cost;
pub use nothing::NothingBecause;

use crate::{
    history::Metric,
    ids::{NodeId, ReplicaId, ServiceId, WorkloadId},
    inputs::Inputs,
    plan::{Move, MoveReason, Rejection, RejectionReason},
    policy::{PredictedLatency, RelocationPolicy, Rule, Trigger, permits},
    time::Timestamp,
    twin::{self, Commitments, Own, TwinUnknown, WorkloadModel},
    units::Quantile,
};
use constraint::{Demand, Fit};

/// A service that is to be placed anew.
#[derive(Clone, Debug)]
pub struct Risk<'a> {
    /// The service.
    pub service: &'a ServiceId,
    /// The policy whose rule fired.
    pub policy: &'a RelocationPolicy,
    /// That rule.
    pub rule: &'a Rule,
    /// What made it fire: a predicted breach, or a wish to save money.
    pub trigger: Trigger,
    /// The latency that must hold on the target: that of the rule at its own quantile, or of the strictest rule of all
    /// policies that select the service. `None` when no rule looks at latency.
    pub objective: Option<&'a PredictedLatency>,
    /// The model that predicts it.
    pub model: String,
}

impl Risk<'_> {
    /// Start of the predicted breach, if it is one.
    pub fn at(&self) -> Option<Timestamp> {
        self.trigger.breach().map(|breach| breach.at)
    }

    /// Highest predicted latency in milliseconds when nothing is done, if that is what the move is for.
    pub fn worst_ms(&self) -> Option<f64> {
        self.trigger.breach()?.worst_ms()
    }
}

/// Where to put the services at risk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placement {
    /// Moves in the order in which they are made.
    pub moves: Vec<Move>,
    /// Nodes that were refused, for the moves above.
    pub rejected: Vec<Rejection>,
    /// Services at risk that are not moved, and why.
    pub staying: Vec<(ServiceId, NothingBecause)>,
}

/// A move that is possible, with what decides between it and others.
struct Candidate<'a> {
    to: &'a NodeId,
    replica: &'a ReplicaId,
    from: &'a NodeId,
    fit: Fit,
    cost: Cost,
}

/// One service's best move with what was refused on the way.
struct Chosen<'a> {
    planned: Move,
    rejected: Vec<Rejection>,
    model: WorkloadModel<'a>,
}

/// Chooses moves for the services at risk. Equal inputs give equal placements: ties go to the faster node, then to the
/// smaller name. `before` are moves that were chosen already: they count as load on their targets, not against the limit.
pub fn place<'a>(inputs: &Inputs<'a>, risks: &[Risk<'a>], before: &[Move]) -> Placement {
    let mut order: Vec<(f64, &Risk<'a>)> =
        risks.iter().map(|risk| (cost::of_staying(inputs, risk), risk)).collect();
    order.sort_by(|(weight_a, a), (weight_b, b)| {
        let by_priority = b.policy.priority.cmp(&a.policy.priority);
        let by_weight = weight_b.total_cmp(weight_a);
        by_priority.then(by_weight).then(a.at().cmp(&b.at())).then(a.service.cmp(b.service))
    });
    let limit = inputs.settings.max_concurrent_moves;
    let mut placement = Placement::default();
    let mut commitments = Commitments::in_flight(inputs);
    for chosen in before {
        commitments.promise(inputs, &chosen.to, &chosen.workload);
    }
    for (_, risk) in order {
        let full = inputs.in_flight.len() + placement.moves.len() >= limit;
        match choose(inputs, risk, &commitments, &placement.moves) {
            Ok(_) if full => {
                placement.staying.push((risk.service.clone(), NothingBecause::LimitReached { limit }));
            }
            Ok(chosen) => {
                commitments.add(chosen.planned.to.clone(), chosen.model);
                placement.moves.push(chosen.planned);
                placement.rejected.extend(chosen.rejected);
            }
            Err(why) => placement.staying.push((risk.service.clone(), why)),
        }
    }
    placement.staying.sort_by(|a, b| a.0.cmp(&b.0));
    placement
}

/// The best move for one service over all its workloads; the reason of the first workload when there is none.
fn choose<'a>(
    inputs: &Inputs<'a>,
    risk: &Risk<'a>,
    commitments: &Commitments<'a>,
    chosen: &[Move],
) -> Result<Chosen<'a>, NothingBecause> {
    let age_ms = inputs.now.ms_since(inputs.snapshot.taken_at);
    let limit_ms = inputs.settings.snapshot_limit_ms;
    if age_ms > limit_ms || age_ms < -limit_ms {
        return Err(NothingBecause::SnapshotStale { age_ms, limit_ms });
    }
    let of_service = inputs.snapshot.workloads.iter().filter(|(_, w)| w.service == *risk.service);
    let mut best: Option<(f64, Chosen<'a>)> = None;
    let mut reason = None;
    for (workload, _) in of_service {
        match choose_for_workload(inputs, risk, workload, commitments, chosen) {
            Ok((cost, chosen)) => {
                if best.as_ref().is_none_or(|(cheapest, _)| cost < *cheapest) {
                    best = Some((cost, chosen));
                }
            }
            Err(why) => reason = reason.or(Some(why)),
        }
    }
    best.map(|(_, chosen)| chosen).ok_or_else(|| reason.unwrap_or(NothingBecause::NoWorkload))
}

fn choose_for_workload<'a>(
    inputs: &Inputs<'a>,
    risk: &Risk<'a>,
    workload_id: &'a WorkloadId,
    commitments: &Commitments<'a>,
    chosen: &[Move],
) -> Result<(f64, Chosen<'a>), NothingBecause> {
    allowed(inputs, risk, workload_id)?;
    let rule = risk.objective.ok_or(NothingBecause::NoObjective)?;
    let model =
        twin::fit(inputs, workload_id, rule.quantile).map_err(|why| NothingBecause::TwinUnknown { why })?;
    let demand = Demand { workload: workload_id, model: &model, rule, margin: risk.policy.margin };
    let mut candidates = Vec::new();
    let mut rejected = Vec::new();
    let workload = &inputs.snapshot.workloads[workload_id];
    for (replica, placed) in &workload.replicas {
        let stay_ms = match risk.worst_ms() {
            Some(forecast_ms) => expected_stay(inputs, &demand, &placed.node, forecast_ms, commitments)
                .map_err(|why| NothingBecause::TwinUnknown { why })?,
            // The move is not for latency, so it must keep the objective but need not make the service faster.
            None => f64::INFINITY,
        };
        for to in inputs.snapshot.nodes.keys() {
            let allowed = match permits(inputs, risk.policy, workload_id, &placed.node, to, chosen) {
                Err(why) if why.is_of_node() => Err(RejectionReason::NotPermitted { why }),
                Err(why) => return Err(why.into()),
                Ok(()) => saves(inputs, risk, &placed.node, to),
            };
            match allowed.and_then(|()| {
                constraint::fits(inputs, &demand, (replica, &placed.node), to, stay_ms, commitments)
            }) {
                Ok(fit) => {
                    let others = breach_elsewhere(inputs, &demand, replica, commitments)
                        .map_err(|why| NothingBecause::TwinUnknown { why })?;
                    let cost =
                        cost::of_move(inputs, risk, workload_id, &placed.node, to, fit.breach.max(others));
                    candidates.push(Candidate { to, replica, from: &placed.node, fit, cost });
                }
                Err(why) => {
                    let workload = workload_id.clone();
                    rejected.push((replica, Rejection { workload, node: to.clone(), why }));
                }
            }
        }
    }
    pick(inputs, (risk, rule), workload_id, candidates, rejected, model)
}

/// Whether a move saves as much money as its rule asks for.
fn saves(inputs: &Inputs<'_>, risk: &Risk<'_>, from: &NodeId, to: &NodeId) -> Result<(), RejectionReason> {
    let Some(at_least) = risk.trigger.saving() else { return Ok(()) };
    let saving = cost::price(inputs, from) - cost::price(inputs, to);
    if from != to && saving < at_least {
        return Err(RejectionReason::SavesTooLittle { saving, at_least });
    }
    Ok(())
}

fn pick<'a>(
    inputs: &Inputs<'a>,
    (risk, rule): (&Risk<'a>, &PredictedLatency),
    workload_id: &WorkloadId,
    mut candidates: Vec<Candidate<'a>>,
    refused: Vec<(&'a ReplicaId, Rejection)>,
    model: WorkloadModel<'a>,
) -> Result<(f64, Chosen<'a>), NothingBecause> {
    candidates.sort_by(|a, b| {
        let by_cost = a.cost.total().total_cmp(&b.cost.total());
        let by_latency = a.fit.move_ms.total_cmp(&b.fit.move_ms);
        by_cost.then(by_latency).then(a.to.cmp(b.to)).then(a.replica.cmp(b.replica))
    });
    let mut candidates = candidates.into_iter();
    let Some(best) = candidates.next() else {
        let rejected: Vec<Rejection> = refused.into_iter().map(|(_, rejection)| rejection).collect();
        let no_gain = rejected.iter().any(|r| matches!(r.why, RejectionReason::NoGain { .. }));
        return Err(if no_gain {
            NothingBecause::NoGain { rejected }
        } else {
            NothingBecause::NoFeasibleNode { rejected }
        });
    };
    let chosen = best.cost.total();
    let staying = cost::of_staying(inputs, risk);
    if chosen >= staying {
        return Err(NothingBecause::StayingCostsLess { staying, cheapest: chosen, node: best.to.clone() });
    }
    let of_replica = refused.into_iter().filter(|(replica, _)| *replica == best.replica);
    let mut rejected: Vec<Rejection> = of_replica.map(|(_, rejection)| rejection).collect();
    for other in candidates.filter(|other| other.replica == best.replica) {
        let why = RejectionReason::CostsMore {
            cost: other.cost.total(),
            predicted_ms: other.fit.move_ms,
            chosen,
            chosen_ms: best.fit.move_ms,
        };
        rejected.push(Rejection { workload: workload_id.clone(), node: other.to.clone(), why });
    }
    rejected.sort_by(|a, b| a.node.cmp(&b.node));
    let planned = planned_move(inputs, (risk, rule), workload_id, &best);
    Ok((chosen, Chosen { planned, rejected, model }))
}

fn planned_move(
    inputs: &Inputs<'_>,
    (risk, rule): (&Risk<'_>, &PredictedLatency),
    workload_id: &WorkloadId,
    best: &Candidate<'_>,
) -> Move {
    let PredictedLatency { quantile, above_ms, within_ms, .. } = *rule;
    let stay_ms = risk.worst_ms().or_else(|| forecast_ms(inputs, risk.service, quantile, within_ms));
    Move {
        workload: workload_id.clone(),
        service: risk.service.clone(),
        replica: best.replica.clone(),
        from: best.from.clone(),
        to: best.to.clone(),
        reason: MoveReason {
            policy: risk.policy.id.clone(),
            rule: risk.rule.name.clone(),
            quantile,
            objective_ms: above_ms,
            breach_at: risk.at().unwrap_or(inputs.now),
            breach_probability: risk.trigger.probability(),
            stay_ms: stay_ms.unwrap_or_default(),
            move_ms: best.fit.move_ms,
            model: risk.model.clone(),
            lead_ms: inputs.duration_of(workload_id),
        },
        ramp_percent: risk.policy.ramp_percent.clone(),
    }
}

/// Whether the workload may be moved at all, and in time.
fn allowed(inputs: &Inputs<'_>, risk: &Risk<'_>, workload_id: &WorkloadId) -> Result<(), NothingBecause> {
    let workload = &inputs.snapshot.workloads[workload_id];
    if inputs.in_flight.iter().any(|moving| moving.workload == *workload_id) {
        return Err(NothingBecause::RolloutInProgress { workload: workload_id.clone() });
    }
    if let Some(reason) = &workload.pinned {
        return Err(NothingBecause::Pinned { workload: workload_id.clone(), reason: reason.clone() });
    }
    if let Some((replica, _)) = workload.replicas.iter().find(|(_, replica)| !replica.ready) {
        return Err(NothingBecause::NotReady { workload: workload_id.clone(), replica: replica.clone() });
    }
    let in_time = |at| in_time(inputs.now, at, inputs.duration_of(workload_id));
    risk.at().map_or(Ok(()), in_time)
}

/// Highest latency in milliseconds that is forecast for a service within the look-ahead.
fn forecast_ms(inputs: &Inputs<'_>, service: &ServiceId, quantile: Quantile, within_ms: i64) -> Option<f64> {
    let forecast = inputs.forecast(service, Metric::latency(quantile.get())?)?.ok()?;
    let until = inputs.now.plus_ms(within_ms);
    forecast.steps.iter().take_while(|step| step.at < until).map(|step| step.point).reduce(f64::max)
}

fn in_time(now: Timestamp, breach_at: Timestamp, needed_ms: i64) -> Result<(), NothingBecause> {
    let left_ms = breach_at.ms_since(now);
    if left_ms < needed_ms { Err(NothingBecause::TooLate { left_ms, needed_ms }) } else { Ok(()) }
}

/// Latency in milliseconds when the replica stays: the forecast's, or the twin's where that is lower. A breach that
/// the twin cannot see where the replica runs now has a cause that no other node cures, so a move gains nothing.
fn expected_stay(
    inputs: &Inputs<'_>,
    demand: &Demand<'_, '_>,
    from: &NodeId,
    forecast_ms: f64,
    commitments: &Commitments<'_>,
) -> Result<f64, TwinUnknown> {
    let within_ms = demand.rule.within_ms;
    let path = demand.model.path(inputs, from, Own::Included, commitments, within_ms, twin::MEDIAN)?;
    Ok(path.worst_ms().map_or(forecast_ms, |twin_ms| twin_ms.min(forecast_ms)))
}

/// Highest probability of a breach on the nodes of the replicas that stay where they are.
fn breach_elsewhere(
    inputs: &Inputs<'_>,
    demand: &Demand<'_, '_>,
    moving: &ReplicaId,
    commitments: &Commitments<'_>,
) -> Result<f64, TwinUnknown> {
    let replicas = &inputs.snapshot.workloads[demand.workload].replicas;
    let staying = replicas.iter().filter(|(replica, _)| *replica != moving);
    let PredictedLatency { within_ms, above_ms, .. } = *demand.rule;
    let mut highest = 0.0f64;
    for (_, replica) in staying {
        let probability = demand.model.breach_probability(
            inputs,
            &replica.node,
            Own::Included,
            commitments,
            within_ms,
            above_ms,
        )?;
        highest = highest.max(probability.get());
    }
    Ok(highest)
}
