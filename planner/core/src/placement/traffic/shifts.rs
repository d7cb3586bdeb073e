//! Shifts: a replica on a hot node gives a part of its requests to another one of the same workload.
use super::permitted;
use crate::{
    ids::ServiceId,
    inputs::Inputs,
    placement::{Chosen, MeshSpace, NothingBecause, Risk, case::Case},
    plan::{Move, PairWeights, Traffic},
    policy::Mode,
    topology::NodeState,
    twin::{MeshModel, NodeIx, ReplicaIx, UPPER},
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

/// One way to relieve a replica.
#[derive(Clone, Copy, Debug)]
struct Shift {
    from: ReplicaIx,
    to: ReplicaIx,
    traffic: Traffic,
}

/// Looks for one shift for each service at risk that has several replicas, the weightiest first.
pub(super) fn shifts<'a>(
    inputs: &Inputs<'a>,
    mesh: &MeshModel,
    risks: &[Risk<'a>],
    before: &[Move],
) -> Shifted {
    let mode = risks.iter().map(|risk| risk.policy.mode).min().unwrap_or(Mode::Auto);
    let mut space = MeshSpace::new(inputs, mesh, mode, Chosen { before, beside: &[] });
    let cases = risks.iter().filter(|risk| risk.worst_ms().is_some()).filter_map(|risk| {
        let service = mesh.service_ix(risk.service)?;
        Case::looked_at(&space, risk, service).ok()
    });
    let mut cases: Vec<Case<'_, 'a>> = cases.collect();
    let staying: Vec<f64> = cases.iter().map(|case| case.staying(&space)).collect();
    let mut order: Vec<usize> = (0..cases.len()).collect();
    order.sort_by(|a, b| {
        let priority = cases[*b].risk.policy.priority.cmp(&cases[*a].risk.policy.priority);
        priority.then(staying[*b].total_cmp(&staying[*a])).then(a.cmp(b))
    });
    let mut shifted = Shifted::default();
    for at in order {
        let case = &mut cases[at];
        if case.cured(&space).is_some() {
            continue;
        }
        let Some(best) = best(&mut space, case, &shifted.moves) else { continue };
        shifted.moves.push(planned(&mut space, case, best));
        apply(&mut space, best.from, best.to, best.traffic.after);
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
fn best(space: &mut MeshSpace<'_, '_>, case: &Case<'_, '_>, chosen: &[Move]) -> Option<Shift> {
    let mut best: Option<(f64, Shift)> = None;
    for (from, to) in pairs(space, case) {
        let weights = [from, to].map(|end| space.weight_of(end));
        let before = PairWeights { source: weights[0], target: weights[1] };
        for part in PARTS {
            let shift = Shift { from, to, traffic: Traffic::shifted(before, part) };
            let planned = planned(space, case, shift);
            if before.source == 0 || !permitted(space, case.risk, &planned, chosen) {
                continue;
            }
            let Some(change) = change(space, case, shift) else { continue };
            let change = change + space.disruption_of(&planned);
            if change < 0.0 && best.is_none_or(|(least, _)| change < least) {
                best = Some((change, shift));
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

/// Change of the cost without that of the shift itself; `None` when it may not be or cures nobody.
fn change(space: &mut MeshSpace<'_, '_>, case: &Case<'_, '_>, shift: Shift) -> Option<f64> {
    let Shift { from, to, traffic } = shift;
    let node = space.evaluation().node_of(to);
    let before = space.swayed();
    let touched: Vec<_> = space.evaluation.touched(from, node).collect();
    apply(space, from, to, traffic.after);
    let most = space.most_for(to, node);
    let fits = space.evaluation().highest_use(node, UPPER) <= most
        && touched.iter().all(|service| space.spares(*service))
        && case.cured(space).is_some();
    let change = space.swayed() - before;
    apply(space, from, to, traffic.before);
    fits.then_some(change)
}

fn apply(space: &mut MeshSpace<'_, '_>, from: ReplicaIx, to: ReplicaIx, weights: PairWeights) {
    space.evaluation.weigh(from, f64::from(weights.source));
    space.evaluation.weigh(to, f64::from(weights.target));
}

fn planned(space: &mut MeshSpace<'_, '_>, case: &Case<'_, '_>, shift: Shift) -> Move {
    let node = |space: &MeshSpace<'_, '_>, unit| -> NodeIx { space.evaluation().node_of(unit) };
    let (from, to) = (node(space, shift.from), node(space, shift.to));
    let expected_ms = {
        apply(space, shift.from, shift.to, shift.traffic.after);
        let ms = case.expected_ms(space);
        apply(space, shift.from, shift.to, shift.traffic.before);
        ms
    };
    let mut planned = case.planned(space, shift.from, (from, to), expected_ms);
    planned.traffic = shift.traffic;
    planned.shift_to = Some(space.mesh.replica(shift.to).1.clone());
    // A shift starts nothing, so it takes no longer than a move of something that is there at once.
    planned.reason.lead_ms =
        space.inputs.settings.default_move_duration_ms.min(space.inputs.duration_of(&planned.workload));
    planned
}
