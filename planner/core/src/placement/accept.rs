//! What is kept of a searched layout: moves that cure somebody by the policies' margins, and pay.
use super::{case::Case, search::Space, space::MeshSpace};
use crate::twin::{NodeIx, ReplicaIx};

/// Takes back what cures nobody, until the rest holds together. Leaves the space at the layout that is kept.
pub(super) fn keep_cures(space: &mut MeshSpace<'_, '_>, cases: &[Case<'_, '_>]) {
    loop {
        let before = space.moved();
        let idle = idle(space, cases);
        for unit in &idle {
            let home = space.home_of(*unit);
            space.put(*unit, home);
        }
        if idle.is_empty() {
            trim(space, cases);
        }
        if space.moved() == before {
            break;
        }
    }
    if space.cost().total() >= space.staying_cost().total() {
        for (unit, _) in space.moved() {
            let home = space.home_of(unit);
            space.put(unit, home);
        }
    }
}

/// Moved replicas that no cured service needs, nor another move that makes room for one.
fn idle(space: &MeshSpace<'_, '_>, cases: &[Case<'_, '_>]) -> Vec<ReplicaIx> {
    let moved = space.moved();
    let cured: Vec<&Case<'_, '_>> = cases.iter().filter(|case| case.cured(space).is_some()).collect();
    let serves = |unit: &ReplicaIx| cured.iter().any(|case| case.units.contains_key(unit));
    let needed: Vec<NodeIx> = moved.iter().filter(|(unit, _)| serves(unit)).map(|(_, to)| *to).collect();
    let makes_room = |unit: &ReplicaIx| needed.contains(&space.home_of(*unit));
    moved.iter().map(|(unit, _)| *unit).filter(|unit| !serves(unit) && !makes_room(unit)).collect()
}

/// Takes back one move at a time that costs more than it brings, as long as nobody who is cured falls ill of it.
fn trim(space: &mut MeshSpace<'_, '_>, cases: &[Case<'_, '_>]) {
    let cured = |space: &MeshSpace<'_, '_>| cases.iter().filter(|case| case.cured(space).is_some()).count();
    for (unit, to) in space.moved() {
        let home = space.home_of(unit);
        if space.judge(unit, home).is_ok_and(|change| change <= 0.0) {
            let before = cured(space);
            space.put(unit, home);
            if cured(space) < before {
                space.put(unit, to);
            }
        }
    }
}
