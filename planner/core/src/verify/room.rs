//! Whether every move finds room when its turn comes, and nobody suffers.
use super::{Violation, form::waited_for};
use crate::{
    inputs::Inputs,
    placement::{
        constraint::{Immovable, Mover, movable},
        layout::Layout,
    },
    plan::{Move, RejectionReason},
    policy::objective,
    topology::Snapshot,
    twin::{Evaluation, MEDIAN, MeshModel, NodeIx, ReplicaIx, UPPER},
};
use std::{borrow::Cow, collections::BTreeSet};

/// What sums of many small numbers may be off by, as a share.
const ROUNDING: f64 = 1e-3;

/// Checks all moves in their order, and the services at the end. Of the later ones count those that a move cures nobody
/// without.
pub(super) fn check(
    (moves, later): (&[Move], &[Move]),
    inputs: &Inputs<'_>,
    violations: &mut Vec<Violation>,
) {
    let mesh = MeshModel::build(inputs);
    let mut evaluation = mesh.start();
    let before: Vec<Option<f64>> =
        (0..mesh.services()).map(|service| evaluation.worst_ms(service, MEDIAN)).collect();
    let mut world = Cow::Borrowed(inputs.snapshot);
    let mut done = BTreeSet::new();
    let mut from = 0;
    // Moves that wait for the same ones are judged in one layout.
    while from < moves.len() {
        let until = (from + 1..moves.len()).find(|at| waited_for(moves, *at) != done).unwrap_or(moves.len());
        let until = if waited_for(moves, from) == done { until } else { from };
        if until == from {
            done = waited_for(moves, from);
            world = Cow::Owned(after(inputs.snapshot, moves, &done));
            continue;
        }
        let now = Inputs { snapshot: &world, ..*inputs };
        let mut layout = Layout::new(&now);
        for under_way in (0..from).filter(|at| !done.contains(at)) {
            if let Some(step) = layout.step_of(&moves[under_way]) {
                layout.begin(step);
            }
        }
        for at in from..until {
            let leaving = (0..at).filter(|other| !done.contains(other) && moves[*other].from == moves[at].to);
            let leaving: Vec<&Move> = leaving.map(|at| &moves[at]).collect();
            of_move(&moves[at], &leaving, &mut layout, &mut evaluation, violations);
        }
        from = until;
    }
    let follow: Vec<(ReplicaIx, NodeIx)> =
        moves.iter().flat_map(|planned| followers(planned, later, &mesh)).collect();
    let mut with_those_that_follow = evaluation.clone();
    for (unit, to) in &follow {
        with_those_that_follow.move_replica(*unit, *to);
    }
    for (service, before_ms) in before.into_iter().enumerate() {
        // Who moves for itself must keep its objective; who moves for another, or not at all, may not lose it.
        let moves_itself = moves.iter().any(|planned| {
            let itself = planned.reason.on_behalf_of.is_none() && planned.service == *mesh.service(service);
            // Else it was said already.
            itself && planned.from != planned.to && mesh.node_ix(&planned.to).is_some()
        });
        let alone_ms = if moves_itself && follow.is_empty() { Some(0.0) } else { before_ms };
        let said = violations.len();
        harmed(&evaluation, service, alone_ms, violations);
        // Where more replicas follow, it keeps its objective when all of them have moved.
        if moves_itself && !follow.is_empty() && violations.len() == said {
            harmed(&with_those_that_follow, service, Some(0.0), violations);
        }
    }
}

/// Replicas that are to follow a move, with where they will go.
fn followers(planned: &Move, later: &[Move], mesh: &MeshModel) -> Vec<(ReplicaIx, NodeIx)> {
    let follows = |other: &&Move| other.workload == planned.workload && planned.then.contains(&other.replica);
    let places = |other: &Move| {
        let unit = mesh.replica_ix(&other.workload, &other.replica)?;
        Some((unit, mesh.node_ix(&other.to)?))
    };
    later.iter().filter(follows).filter_map(places).collect()
}

/// The snapshot as it will be when some moves are over.
fn after(snapshot: &Snapshot, moves: &[Move], done: &BTreeSet<usize>) -> Snapshot {
    let mut world = snapshot.clone();
    for planned in done.iter().map(|at| &moves[*at]) {
        planned.apply(&mut world);
    }
    world
}

fn of_move(
    planned: &Move,
    leaving: &[&Move],
    layout: &mut Layout<'_>,
    evaluation: &mut Evaluation<'_>,
    violations: &mut Vec<Violation>,
) {
    let mesh = evaluation.mesh();
    let known =
        layout.workload_index(&planned.workload).zip(mesh.replica_ix(&planned.workload, &planned.replica));
    // What is not in the snapshot was said already.
    let Some((index, unit)) = known else { return };
    let refuses =
        |why| Violation::TargetRefuses { workload: planned.workload.clone(), node: planned.to.clone(), why };
    let (Some(to), Some(to_ix)) = (layout.node_index(&planned.to), mesh.node_ix(&planned.to)) else {
        violations.push(refuses(RejectionReason::Unreachable { detail: "not in the snapshot".to_owned() }));
        return;
    };
    // Where only traffic goes, nothing needs a place.
    match if planned.is_shift() { Ok(()) } else { movable(layout, index) } {
        Ok(()) | Err(Immovable::Pinned { .. }) => {}
        Err(why) => violations.push(Violation::Immovable { workload: planned.workload.clone(), why }),
    }
    let from = layout.node_index(&planned.from).filter(|from| *from != to && !planned.is_shift());
    if let Some(from) = from {
        let within_ms = objective(layout.inputs.policies, &planned.service).map_or(0, |rule| rule.within_ms);
        if let Err(why) = Mover::new(layout, index).feasible(from, to, within_ms) {
            violations.push(refuses(why));
        }
    }
    if let Some(step) = layout.step_of(planned) {
        layout.begin(step);
    }
    if let Some(why) = mesh.replica_unknown(unit) {
        violations.push(Violation::Unknown { why: why.clone() });
        return;
    }
    match cpu(planned, leaving, (unit, to_ix), evaluation) {
        Ok(()) => {}
        Err(why) => violations.push(refuses(why)),
    }
}

/// Nodes of the other replicas, with how full they are, where a move leaves these a part of its traffic.
fn others_of(planned: &Move, unit: ReplicaIx, evaluation: &Evaluation<'_>) -> Vec<(NodeIx, f64)> {
    if planned.is_shift() || planned.traffic.after.target >= planned.traffic.before.source {
        return Vec::new();
    }
    let mesh = evaluation.mesh();
    let others = mesh.replicas_of(mesh.service_of(unit)).filter(|other| *other != unit);
    let nodes = others.map(|other| evaluation.node_of(other));
    nodes.map(|node| (node, evaluation.highest_use(node, UPPER))).collect()
}

/// Whether the target keeps its headroom while those that leave it beside this move are still there.
fn cpu(
    planned: &Move,
    leaving: &[&Move],
    (unit, to): (ReplicaIx, NodeIx),
    evaluation: &mut Evaluation<'_>,
) -> Result<(), RejectionReason> {
    let mesh = evaluation.mesh();
    if planned.from == planned.to {
        return Ok(());
    }
    if mesh.node_unknown(to).is_some() {
        return Err(RejectionReason::UsageUnknown);
    }
    let leaving: Vec<(ReplicaIx, NodeIx)> = leaving
        .iter()
        .filter_map(|other| {
            let unit = mesh.replica_ix(&other.workload, &other.replica)?;
            Some((unit, evaluation.node_of(unit)))
        })
        .collect();
    for (other, _) in &leaving {
        evaluation.move_replica(*other, to);
    }
    let before = evaluation.highest_use(to, UPPER);
    let others: Vec<(NodeIx, f64)> = others_of(planned, unit, evaluation);
    evaluation.carry_out(planned);
    let used = evaluation.highest_use(to, UPPER);
    for (other, gone) in &leaving {
        evaluation.move_replica(*other, *gone);
    }
    let most = mesh.max_utilisation();
    for (node, before) in others {
        let used = evaluation.highest_use(node, UPPER);
        if used > most.max(before) * (1.0 + ROUNDING) {
            return Err(RejectionReason::OthersTooFull {
                node: mesh.node(node).clone(),
                utilisation: used.min(1e9),
            });
        }
    }
    if used >= 1.0 {
        return Err(RejectionReason::WouldSaturate { utilisation: used.min(1e9) });
    }
    if used <= most * (1.0 + ROUNDING) {
        return Ok(());
    }
    let capacity = mesh.capacity(to);
    Err(RejectionReason::NotEnoughCpu {
        needed_millicores: (used - before) * capacity,
        free_millicores: ((most - before) * capacity).max(0.0),
    })
}

fn harmed(
    evaluation: &Evaluation<'_>,
    service: usize,
    before_ms: Option<f64>,
    violations: &mut Vec<Violation>,
) {
    let mesh = evaluation.mesh();
    let known = mesh.service_unknown(service).is_none();
    // A service without a bound before cannot be harmed.
    let Some((objective, before_ms)) = mesh.objective(service).filter(|_| known).zip(before_ms) else {
        return;
    };
    let ms = evaluation.worst_ms(service, MEDIAN).unwrap_or(f64::INFINITY);
    if ms > objective.above_ms.max(before_ms) * (1.0 + ROUNDING) {
        violations.push(Violation::WouldHarm {
            service: mesh.service(service).clone(),
            predicted_ms: ms,
            objective_ms: objective.above_ms,
        });
    }
}
