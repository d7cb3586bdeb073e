//! Shifts: a replica on a hot node gives a part of its requests to another one of the same workload.
use super::permitted;
use crate::{
    ids::ServiceId,
    inputs::Inputs,
    placement::{Chosen, MeshSpace, NothingBecause, Risk, case::Case, space_with, weightiest_first},
    plan::{Move, PairWeights, Traffic},
    topology::NodeState,
    twin::{MeshModel, ReplicaIx, UPPER},
};
use std::collections::BTreeSet;

/// Parts of a replica's requests that are given away, in percent. All of them where its node is full of others: what little
/// stays there would be the slowest of all requests.
const PARTS: [u32; 4] = [25, 50, 75, 100];

/// Replicas of one workload that are looked at: the hottest that give, and the coolest that take.
const GIVE: usize = 4;
const TAKE: usize = 8;

/// What can be done by shifts alone.
#[derive(Debug, Default)]
pub(super) struct Shifted {
    pub(super) moves: Vec<Move>,
    /// Services that are cured with them.
    pub(super) cured: BTreeSet<ServiceId>,
    /// Those of them whose own traffic is not shifted, and why they stay.
    pub(super) staying: Vec<(ServiceId, NothingBecause)>,
}

/// Looks for one shift for each service at risk that has several replicas, the weightiest first.
pub(super) fn shifts<'a>(
    inputs: &Inputs<'a>,
    mesh: &MeshModel,
    risks: &[Risk<'a>],
    before: &[Move],
) -> Shifted {
    let mut space = space_with(inputs, mesh, risks, Chosen { before, beside: &[] });
    let cases = risks.iter().filter(|risk| risk.worst_ms().is_some()).filter_map(|risk| {
        let service = mesh.service_ix(risk.service)?;
        Case::looked_at(&space, risk, service).ok()
    });
    let mut cases: Vec<Case<'_, 'a>> = cases.collect();
    weightiest_first(&space, &mut cases);
    let mut shifted = Shifted::default();
    for case in &cases {
        if case.cured(&space).is_none()
            && let Some(best) = best(&mut space, case, &shifted.moves)
        {
            space.evaluation.carry_out(&best);
            shifted.moves.push(best);
        }
    }
    for case in cases.iter().filter(|_| !shifted.moves.is_empty()) {
        if case.cured(&space).is_none() {
            continue;
        }
        shifted.cured.insert(case.risk.service.clone());
        let by = shifted.moves.iter().find(|planned| case.waits_for(&space, planned));
        if let Some(by) = by.filter(|by| by.service != *case.risk.service) {
            let (workload, from, to) = (by.workload.clone(), by.from.clone(), by.to.clone());
            shifted.staying.push((case.risk.service.clone(), NothingBecause::CuredBy { workload, from, to }));
        } else if by.is_none() {
            shifted.staying.push((case.risk.service.clone(), NothingBecause::CuredByOthers));
        }
    }
    shifted
}

/// The shift that cures the service and costs least, if one does.
fn best(space: &mut MeshSpace<'_, '_>, case: &Case<'_, '_>, chosen: &[Move]) -> Option<Move> {
    let mut best: Option<(f64, Move)> = None;
    for (from, to) in pairs(space, case) {
        let before = PairWeights { source: space.weight_of(from), target: space.weight_of(to) };
        let mut shift = planned(space, case, (from, to));
        if before.source == 0 || !permitted(space, case.risk, &shift, chosen) {
            continue;
        }
        for part in PARTS {
            shift.traffic = Traffic::shifted(before, part);
            let Some((change, move_ms)) = tried(space, case, (from, to), &shift) else { continue };
            if change < 0.0 && best.as_ref().is_none_or(|(least, _)| change < *least) {
                let mut found = shift.clone();
                found.reason.move_ms = move_ms;
                best = Some((change, found));
            }
        }
    }
    best.map(|(_, shift)| shift)
}

/// Replicas of the service that give and take, of one workload each: the hottest ones and the coolest.
fn pairs(space: &MeshSpace<'_, '_>, case: &Case<'_, '_>) -> Vec<(ReplicaIx, ReplicaIx)> {
    let use_of = |unit: &ReplicaIx| space.evaluation().highest_use(space.evaluation().node_of(*unit), UPPER);
    let mut units: Vec<ReplicaIx> =
        space.mesh.replicas_of(case.service).filter(|unit| serves(space, *unit)).collect();
    units.sort_by(|a, b| use_of(b).total_cmp(&use_of(a)).then(a.cmp(b)));
    let workload = |unit: ReplicaIx| space.mesh.replica(unit).0;
    let node = |unit: ReplicaIx| space.evaluation().node_of(unit);
    let of = |from: ReplicaIx| {
        let takers = units.iter().rev().copied();
        let takers = takers.filter(move |to| workload(*to) == workload(from) && node(*to) != node(from));
        takers.take(TAKE).map(move |to| (from, to)).collect::<Vec<_>>()
    };
    units.iter().take(GIVE).flat_map(|from| of(*from)).collect()
}

/// Whether a replica answers where the twin knows it, on a node that is to go on, and nothing of it is moving.
fn serves(space: &MeshSpace<'_, '_>, unit: ReplicaIx) -> bool {
    let (workload, replica) = space.mesh.replica(unit);
    let node = space.mesh.node(space.evaluation().node_of(unit));
    let snapshot = space.inputs.snapshot;
    let ready = snapshot.workloads.get(workload).is_some_and(|described| {
        described.pinned.is_none() && described.replicas.get(replica).is_some_and(|replica| replica.ready)
    });
    let stays = snapshot.nodes.get(node).is_some_and(|node| node.state == NodeState::Ready);
    let known = space.mesh.replica_unknown(unit).is_none()
        && space.mesh.node_unknown(space.evaluation().node_of(unit)).is_none();
    ready && stays && known && !space.moves_already(unit)
}

/// Change of the cost and the latency in milliseconds that the service comes to; `None` when the shift may not be or cures
/// nobody.
fn tried(
    space: &mut MeshSpace<'_, '_>,
    case: &Case<'_, '_>,
    (from, to): (ReplicaIx, ReplicaIx),
    shift: &Move,
) -> Option<(f64, f64)> {
    let node = space.evaluation().node_of(to);
    let disruption = space.disruption_of(shift);
    let before = space.swayed();
    let touched: Vec<_> = space.evaluation.touched(from, node).collect();
    apply(space, (from, to), shift.traffic.after);
    let most = space.most_for(to, node);
    let fits = space.evaluation().highest_use(node, UPPER) <= most
        && touched.iter().all(|service| space.spares(*service));
    let cured = case.cured(space).filter(|_| fits);
    let change = space.swayed() - before;
    apply(space, (from, to), shift.traffic.before);
    cured.map(|move_ms| (change + disruption, move_ms))
}

fn apply(space: &mut MeshSpace<'_, '_>, (from, to): (ReplicaIx, ReplicaIx), weights: PairWeights) {
    space.evaluation.weigh(from, f64::from(weights.source));
    space.evaluation.weigh(to, f64::from(weights.target));
}

/// A shift between two replicas, without how much.
fn planned(space: &MeshSpace<'_, '_>, case: &Case<'_, '_>, (from, to): (ReplicaIx, ReplicaIx)) -> Move {
    let node = |unit| space.evaluation().node_of(unit);
    let mut planned = case.planned(space, from, (node(from), node(to)), f64::INFINITY);
    planned.shift_to = Some(space.mesh.replica(to).1.clone());
    // A shift starts nothing, so it takes no longer than a move of something that is there at once.
    planned.reason.lead_ms =
        space.inputs.settings.default_move_duration_ms.min(space.inputs.duration_of(&planned.workload));
    planned
}
