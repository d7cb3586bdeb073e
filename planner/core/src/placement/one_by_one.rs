//! Replicas of one workload that cure their service only together, and yet move one at a time.
//!
//! The first goes when all of them together cure. Half-way nobody may be worse off than before: what follows is decided
//! anew when its turn comes, and may then not follow.
use super::{
    case::Case,
    limits::{Split, serves},
    search::Space,
    space::MeshSpace,
};
use crate::{
    plan::Move,
    policy::{NotPermitted, permit::Scope, permit::budget_left},
    twin::{NodeIx, ReplicaIx},
};

/// What sums of many small numbers may be off by, as a share.
const ROUNDING: f64 = 1e-6;

/// One move that begins now, and those that it cures nobody without.
struct Row {
    /// Place of the first in [`Split::now`].
    first: usize,
    /// The others in the order in which they follow.
    others: Vec<(ReplicaIx, NodeIx)>,
}

/// Puts replicas that follow one that begins now on their targets, where only all of them together cure a service. That
/// first move then says who follows.
pub(super) fn follow(
    space: &mut MeshSpace<'_, '_>,
    cases: &[Case<'_, '_>],
    in_the_end: &[bool],
    split: &mut Split,
) {
    if split.later.is_empty() || !harmless(space) {
        return;
    }
    let open: Vec<&Case<'_, '_>> = cases
        .iter()
        .zip(in_the_end)
        .filter(|(case, cured)| **cured && case.cured(space).is_none())
        .map(|(case, _)| case)
        .collect();
    let rows: Vec<Row> = (0..split.now.len()).filter_map(|first| row(space, &open, split, first)).collect();
    for row in rows {
        let mut put = Vec::new();
        for (unit, to) in &row.others {
            if space.judge(*unit, *to).is_err() {
                break;
            }
            space.put(*unit, *to);
            put.push(*unit);
        }
        if put.len() == row.others.len() {
            let replica = |unit: &ReplicaIx| space.mesh.replica(*unit).1.clone();
            split.now[row.first].then = put.iter().map(replica).collect();
        } else {
            go_home(space, &put);
        }
    }
}

/// Takes back those that would have followed a move.
pub(super) fn follow_no_more(space: &mut MeshSpace<'_, '_>, planned: &mut Move) {
    let units: Vec<ReplicaIx> = followers(space, planned);
    go_home(space, &units);
    planned.then.clear();
}

/// Replicas that follow a move.
pub(super) fn followers(space: &MeshSpace<'_, '_>, planned: &Move) -> Vec<ReplicaIx> {
    let then = planned.then.iter();
    then.filter_map(|replica| space.mesh.replica_ix(&planned.workload, replica)).collect()
}

/// Whether nobody is worse off when nothing follows what begins now.
pub(super) fn harmless_alone(space: &mut MeshSpace<'_, '_>, now: &[Move]) -> bool {
    let follow: Vec<ReplicaIx> = now.iter().flat_map(|planned| followers(space, planned)).collect();
    if follow.is_empty() {
        return true;
    }
    let places: Vec<NodeIx> = follow.iter().map(|unit| space.place(*unit)).collect();
    go_home(space, &follow);
    let harmless = harmless(space);
    for (unit, to) in follow.into_iter().zip(places) {
        space.put(unit, to);
    }
    harmless
}

fn go_home(space: &mut MeshSpace<'_, '_>, units: &[ReplicaIx]) {
    for unit in units {
        let home = space.home_of(*unit);
        space.put(*unit, home);
    }
}

/// Whether the moves that begin now do not make matters worse, should nothing follow.
fn harmless(space: &mut MeshSpace<'_, '_>) -> bool {
    let staying = space.staying_cost().risk;
    space.allowed() && space.cost().risk <= staying * (1.0 + ROUNDING)
}

/// What must follow a move, when that is for a service that is not cured yet, in time, and within the budget of the day.
fn row(space: &mut MeshSpace<'_, '_>, open: &[&Case<'_, '_>], split: &Split, first: usize) -> Option<Row> {
    let planned = &split.now[first];
    let case = open.iter().find(|case| serves(space, case, planned))?;
    let mut others = Vec::new();
    let mut counted = [space.beside.as_slice(), &split.now].concat();
    for (later, why) in split.waiting().filter(|(later, _)| later.workload == planned.workload) {
        let in_turn = matches!(why, None | Some(NotPermitted::Concurrent { scope: Scope::Workload(_), .. }));
        let unit = space.mesh.replica_ix(&later.workload, &later.replica)?;
        let to = space.mesh.node_ix(&later.to)?;
        let policy = space.known(unit).policy?;
        let begins_in_ms =
            space.inputs.duration_of(&planned.workload).saturating_mul(others.len() as i64 + 1);
        if !in_turn
            || budget_left(&space.inputs, policy, &counted).is_err()
            || !case.in_time(space, unit, begins_in_ms)
        {
            return None;
        }
        counted.push(later.clone());
        others.push((unit, to));
    }
    (!others.is_empty()).then_some(Row { first, others })
}
