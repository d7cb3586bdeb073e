//! Why a move is made, and why not another: the words and numbers of a placement.
use super::{NothingBecause, case::Case, search::Space, space::MeshSpace};
use crate::{
    plan::{Cause, Effect, Move, Rejection, RejectionReason, Unlisted},
    policy::objective,
    twin::{Evaluation, MEDIAN, NodeIx, ReplicaIx, ServiceIx},
};
use std::collections::BTreeMap;

/// Rejected nodes that are listed for each workload; the others are counted.
pub(super) const LISTED: usize = 20;

/// Whom a move is for: the service itself when that is cured, else the weightiest cured one of those who asked for it.
pub(super) fn case_of<'c, 'r, 'a>(
    space: &MeshSpace<'_, '_>,
    cases: &'c [Case<'r, 'a>],
    unit: ReplicaIx,
) -> Option<&'c Case<'r, 'a>> {
    let asked = || cases.iter().filter(|case| case.units.contains_key(&unit));
    let cured = || asked().filter(|case| case.cured(space).is_some());
    let own = cured().find(|case| case.service == space.service_of(unit));
    own.or_else(|| cured().next()).or_else(|| asked().next()).or(cases.first())
}

/// Tells anew whom the moves that begin now are for. What was put off may have been the cure of whom a move was for, and
/// a move may only make room: then it is for the one that follows it.
pub(super) fn reasons_of(
    space: &mut MeshSpace<'_, '_>,
    cases: &[Case<'_, '_>],
    now: &mut [Move],
    before_ms: &dyn Fn(ServiceIx) -> Option<f64>,
) {
    let cures = |space: &MeshSpace<'_, '_>, planned: &Move| {
        let unit = space.mesh.replica_ix(&planned.workload, &planned.replica)?;
        case_of(space, cases, unit).filter(|case| case.cured(space).is_some())
    };
    for at in 0..now.len() {
        let planned = &now[at];
        let follows = |other: &&Move| other.after.contains(&planned.workload);
        let arrives = |other: &&Move| other.to == planned.from;
        let case = cures(space, planned)
            .or_else(|| now.iter().filter(follows).find_map(|other| cures(space, other)))
            .or_else(|| now.iter().filter(arrives).find_map(|other| cures(space, other)));
        let Some(unit) = space.mesh.replica_ix(&planned.workload, &planned.replica) else { continue };
        if let Some(case) = case.or_else(|| case_of(space, cases, unit)) {
            let to = space.evaluation().node_of(unit);
            now[at].reason = self::planned(space, case, (unit, to), before_ms).reason;
        }
    }
}

/// Highest expected latency of a service in milliseconds in the present layout; 0 when it is not known.
pub(super) fn expected_ms(space: &MeshSpace<'_, '_>, service: ServiceIx) -> f64 {
    space.evaluation().worst_ms(service, MEDIAN).unwrap_or(0.0)
}

/// The move of a unit from its home to where it stands now, for a case.
pub(super) fn planned(
    space: &mut MeshSpace<'_, '_>,
    case: &Case<'_, '_>,
    (unit, to): (ReplicaIx, NodeIx),
    before_ms: &dyn Fn(ServiceIx) -> Option<f64>,
) -> Move {
    let service_ix = space.service_of(unit);
    let service = space.mesh.service(service_ix).clone();
    let own = objective(space.inputs.policies, &service).copied().unwrap_or(case.objective);
    let is_own = service_ix == case.service;
    let mut planned = case.planned(space, unit, (space.home_of(unit), to), expected_ms(space, service_ix));
    if let Some(policy) = space.known(unit).policy {
        planned.ramp_percent.clone_from(&policy.ramp_percent);
    }
    let cause = case.units.get(&unit).cloned();
    planned.reason.cause = cause.unwrap_or(Cause::MakesRoom { of: case.risk.service.clone() });
    if !is_own {
        planned.reason.quantile = own.quantile;
        planned.reason.objective_ms = own.above_ms;
        planned.reason.stay_ms = before_ms(service_ix).unwrap_or(f64::INFINITY);
        planned.reason.on_behalf_of = Some(case.risk.service.clone());
        planned.service = service;
    }
    planned
}

/// What one layout is expected to do to services, against another one.
pub(super) fn effects(
    services: &[ServiceIx],
    with: &Evaluation<'_>,
    without: &Evaluation<'_>,
) -> Vec<Effect> {
    let mesh = with.mesh();
    let effect = |service: &ServiceIx| Effect {
        service: mesh.service(*service).clone(),
        objective_ms: mesh.objective(*service).map(|objective| objective.above_ms),
        stay_ms: without.worst_ms(*service, MEDIAN),
        stay_risk: without.risk(*service),
        move_ms: with.worst_ms(*service, MEDIAN),
        move_risk: with.risk(*service),
    };
    services.iter().map(effect).collect()
}

/// Nodes that were refused for a unit, in the order of their names, a few of them and the others counted. The unit
/// stands at its target, or at home when there is none.
pub(super) fn rejected(
    space: &mut MeshSpace<'_, '_>,
    unit: ReplicaIx,
    case: &Case<'_, '_>,
) -> (Vec<Rejection>, Option<Unlisted>) {
    let (workload, _) = space.mesh.replica(unit);
    let workload = workload.clone();
    let chosen = space.place(unit);
    let home = space.home_of(unit);
    let chosen_ms = space.evaluation().worst_ms(case.service, MEDIAN).unwrap_or(0.0);
    // Against doing nothing: what the whole mesh then costs.
    let chosen_cost = space.cost().total();
    space.put(unit, home);
    let base = space.cost().total();
    let looked_at = space.targets(unit);
    let mut listed = Vec::new();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for node in (0..space.mesh.nodes()).filter(|node| *node != chosen || chosen == home) {
        let why = if node == home {
            RejectionReason::IsSource
        } else {
            match space.takes(unit, node) {
                Err(why) => why,
                Ok(()) if !looked_at.contains(&node) => not_looked_at(space, unit, node),
                Ok(()) => why_not(space, (unit, node), case, (base, chosen_cost, chosen_ms)),
            }
        };
        if listed.len() < LISTED && why != RejectionReason::NotLookedAt {
            listed.push(Rejection { workload: workload.clone(), node: space.mesh.node(node).clone(), why });
        } else {
            *counts.entry(why.kind().to_owned()).or_default() += 1;
        }
    }
    space.put(unit, chosen);
    (listed, (!counts.is_empty()).then_some(Unlisted { workload, counts }))
}

fn not_looked_at(space: &MeshSpace<'_, '_>, unit: ReplicaIx, node: NodeIx) -> RejectionReason {
    match space.failed_there(unit, node) {
        Some((failures, ago_ms)) => RejectionReason::FailedThere { failures, ago_ms },
        None => RejectionReason::NotLookedAt,
    }
}

fn why_not(
    space: &mut MeshSpace<'_, '_>,
    (unit, node): (ReplicaIx, NodeIx),
    case: &Case<'_, '_>,
    (base, chosen, chosen_ms): (f64, f64, f64),
) -> RejectionReason {
    let judged = space.judge(unit, node);
    let latency = space.latency_there(unit, node, case.service);
    let cost = match judged {
        Err(why) => return why,
        Ok(change) => base + change,
    };
    let Some(predicted_ms) = latency else { return RejectionReason::UsageUnknown };
    if case.risk.worst_ms().is_some() && case.units.get(&unit) == Some(&Cause::OwnNode) {
        let below = case.objective.above_ms * (1.0 - case.risk.policy.margin.target);
        if predicted_ms > below {
            return RejectionReason::WouldBreachThere { predicted_ms, limit_ms: below };
        }
        if predicted_ms > case.limit_ms {
            return RejectionReason::NoGain { predicted_ms, stay_ms: case.stay_ms };
        }
    }
    RejectionReason::CostsMore { cost, predicted_ms, chosen, chosen_ms }
}

/// Why a service that could not be cured stays: the best that could be done for its first replica.
pub(super) fn why_staying(space: &mut MeshSpace<'_, '_>, case: &Case<'_, '_>) -> NothingBecause {
    let own: Vec<ReplicaIx> =
        case.units.iter().filter(|(_, cause)| **cause == Cause::OwnNode).map(|(unit, _)| *unit).collect();
    let Some(unit) = own.first().copied() else {
        return case.refused.clone().unwrap_or(NothingBecause::NoFeasibleNode { rejected: Vec::new() });
    };
    let mut cheapest: Option<(f64, NodeIx)> = None;
    for unit in &own {
        for node in space.targets(*unit) {
            let fits = space.latency_there(*unit, node, case.service).is_some_and(|ms| ms <= case.limit_ms);
            let Ok(change) = space.judge(*unit, node) else { continue };
            if fits && cheapest.is_none_or(|(least, _)| change < least) {
                cheapest = Some((change, node));
            }
        }
    }
    if let Some((change, node)) = cheapest {
        let staying = space.cost().total();
        let node = space.mesh.node(node).clone();
        return NothingBecause::StayingCostsLess { staying, cheapest: staying + change, node };
    }
    let (rejected, unlisted) = rejected(space, unit, case);
    let no_gain = rejected.iter().any(|r| matches!(r.why, RejectionReason::NoGain { .. }))
        || unlisted.is_some_and(|rest| rest.counts.contains_key("no_gain"));
    if no_gain { NothingBecause::NoGain { rejected } } else { NothingBecause::NoFeasibleNode { rejected } }
}
