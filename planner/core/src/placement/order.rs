//! In which order moves are made, so that each finds room when its turn comes.
//!
//! A move takes up room at both of its ends until it is over. Moves that find room beside everything that runs now can
//! begin at once; one that needs what another leaves waits for that. Two that each need what the other leaves can never
//! begin, and neither is made.
use super::{
    constraint::{Mover, movable},
    layout::{Layout, NodeIndex, Step},
    search::Space,
    space::MeshSpace,
};
use crate::{
    inputs::Inputs,
    topology::Snapshot,
    twin::{Evaluation, NodeIx, ReplicaIx, UPPER},
};

/// Moves in the order in which they can be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    /// Waves: those of one can run side by side once all before it are over.
    pub(super) waves: Vec<Vec<(ReplicaIx, NodeIx)>>,
    /// Moves that never find room.
    pub(super) stuck: Vec<ReplicaIx>,
}

/// Orders the moves of the space's layout. `before` are steps that were promised earlier.
pub(super) fn order(space: &MeshSpace<'_, '_>, before: &[Step]) -> Order {
    let mut pending = space.moved();
    let mut order = Order::default();
    let mut world = std::borrow::Cow::Borrowed(space.inputs.snapshot);
    let mut evaluation = space.at_home();
    while !pending.is_empty() {
        let inputs = Inputs { snapshot: &world, ..space.inputs };
        let mut layout = Layout::new(&inputs);
        for step in before {
            layout.begin(*step);
        }
        let mut wave: Vec<(ReplicaIx, NodeIx)> = Vec::new();
        let mut rest = Vec::new();
        for (unit, to) in pending {
            if begins(space, &mut layout, &mut evaluation, &wave, (unit, to)) {
                wave.push((unit, to));
            } else {
                rest.push((unit, to));
            }
        }
        pending = rest;
        if wave.is_empty() {
            order.stuck = pending.into_iter().map(|(unit, _)| unit).collect();
            return order;
        }
        if !pending.is_empty() {
            let moved = after(space, world.into_owned(), &wave);
            world = std::borrow::Cow::Owned(moved);
        }
        order.waves.push(wave);
    }
    order
}

/// Up to so many moves the best order is found move by move; of more, each is judged alone.
const FEW: usize = 32;

/// The units of the layout, the one first that gains most, then the one that gains most with that, and so on: when not all
/// can be made at once, those are made that are worth most.
pub(super) fn by_gain(space: &mut MeshSpace<'_, '_>) -> Vec<ReplicaIx> {
    let moved = space.moved();
    for (unit, _) in &moved {
        let home = space.home_of(*unit);
        space.put(*unit, home);
    }
    let mut alone: Vec<(f64, ReplicaIx, NodeIx)> =
        moved.iter().map(|(unit, to)| (space.judge(*unit, *to).unwrap_or(f64::MAX), *unit, *to)).collect();
    alone.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut order = Vec::with_capacity(alone.len());
    while let Some((_, unit, to)) = alone.first().copied() {
        alone.remove(0);
        order.push(unit);
        space.put(unit, to);
        if moved.len() <= FEW {
            for (change, unit, to) in &mut alone {
                *change = space.judge(*unit, *to).unwrap_or(f64::MAX);
            }
            alone.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        }
    }
    order
}

/// Whether a move can begin beside those of its wave; it is counted when it can.
fn begins(
    space: &MeshSpace<'_, '_>,
    layout: &mut Layout<'_>,
    evaluation: &mut Evaluation<'_>,
    wave: &[(ReplicaIx, NodeIx)],
    (unit, to): (ReplicaIx, NodeIx),
) -> bool {
    let (workload, _) = space.mesh.replica(unit);
    if wave.iter().any(|(other, _)| space.mesh.replica(*other).0 == workload) {
        return false;
    }
    let Some(index) = layout.workload_index(workload) else { return false };
    let from = NodeIndex(space.home_of(unit));
    let within_ms = space.known_within_ms(unit);
    // What those of the wave add may be the last that a quota allows.
    let fits = Mover::new(layout, index).feasible(from, NodeIndex(to), within_ms).is_ok();
    if !fits || movable(layout, index).is_err() {
        return false;
    }
    // What leaves the target in the same wave still runs there.
    let leaving: Vec<(ReplicaIx, NodeIx)> =
        wave.iter().copied().filter(|(other, _)| space.home_of(*other) == to).collect();
    for (other, _) in &leaving {
        evaluation.move_replica(*other, to);
    }
    evaluation.move_replica(unit, to);
    let bears = evaluation.highest_use(to, UPPER) <= space.inputs.settings.max_utilisation * 1.0001;
    for (other, gone) in &leaving {
        evaluation.move_replica(*other, *gone);
    }
    if !bears {
        evaluation.move_replica(unit, space.home_of(unit));
        return false;
    }
    layout.begin(Step { workload: index, from: Some(from), to: NodeIndex(to) });
    true
}

/// The snapshot as it will be when the moves of a wave are over.
fn after(space: &MeshSpace<'_, '_>, mut world: Snapshot, wave: &[(ReplicaIx, NodeIx)]) -> Snapshot {
    for (unit, to) in wave {
        let (workload, replica) = space.mesh.replica(*unit);
        let placed =
            world.workloads.get_mut(workload).and_then(|workload| workload.replicas.get_mut(replica));
        if let Some(placed) = placed {
            placed.node = space.mesh.node(*to).clone();
        }
    }
    world
}
